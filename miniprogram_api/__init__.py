"""The edge for citizens and merchants' staff: the API of the mini-program under ``/api/v1``.

One module per subject, each with a blueprint named ``routes``; a new one is a line in SUBJECTS. A route stands beside
its guard (``guards.py``) and its schemas; it opens the transaction, makes one call into the domain, and answers.
"""

from __future__ import annotations

from apiflask import APIFlask

from app.config import Settings
from miniprogram_api import (
    addresses,
    appeals,
    boards,
    business,
    cart,
    challenges,
    checkins,
    codes,
    community,
    consents,
    gatherings,
    grove,
    home,
    learning,
    levels,
    mall,
    me,
    media,
    meetings,
    messages,
    notices,
    offers,
    offline,
    orders,
    payments,
    phone,
    privacy,
    programs,
    push,
    records,
    scenes,
    shops,
    sign_in,
    snapshots,
    statements,
    steps,
    surveys,
    teams,
    vehicles,
    wallet,
    welfare,
)
from wechat.login import Login

PREFIX = "/api/v1"
SUBJECTS = (
    *(sign_in, me, home, privacy, consents),
    *(programs, records, vehicles, wallet, boards),
    *(mall, orders, cart, addresses, payments, codes, shops, business, offers, offline, statements, welfare, notices),
    *(media, steps, phone, messages, scenes),
    *(checkins, gatherings, meetings, learning),
    *(challenges, levels, grove),
    *(teams, appeals, community, surveys, snapshots),
)


def register(app: APIFlask, settings: Settings) -> None:
    """Add the routes, and the client that asks WeChat who logs in."""
    app.extensions["wechat_login"] = Login(
        appid=settings.wechat_appid, secret=settings.wechat_secret, base=settings.wechat_api_base
    )
    for subject in SUBJECTS:
        app.register_blueprint(subject.routes, url_prefix=PREFIX)
    for alone in (payments.notices, push.routes, media.served, mall.served, meetings.webhook):
        app.register_blueprint(alone)
