"""A phone number by the code of WeChat's button: asked once, counted (it costs), bound or used to prove who one is."""

from __future__ import annotations

from app import people, phones
from app.clock import now
from app.db import forbid_in_transaction, transaction
from app.errors import Kind, declare
from courier import metrics
from courier.clients import App, apps
from courier.words import log, refusal_of
from wechat import errors
from wechat import phone as wechat

COST_ALARM = 1_000
"""A day's number of paid calls from which somebody should look (0.03 CNY each)."""

PHONE_CODE_INVALID = declare(
    "phone_code_invalid",
    Kind.INVALID,
    zh="手机号授权码无效、已过期或已使用，请重新点击授权按钮。",
    en="The phone code is wrong, older than five minutes, or used. Press WeChat's button again.",
)
IDENTITY_UNKNOWN = declare(
    "identity_unknown",
    Kind.CONFLICT,
    zh="找不到您的微信身份，请重新登录后再试。",
    en="We don't know you by this mini-program. Log in again, then repeat.",
)


def number_of(person_id: int, code: str) -> tuple[App, wechat.PhoneNumber]:
    """The number behind a code, of the mini-program used last. Raises PHONE_CODE_INVALID, TOO_MANY, BUSY."""
    forbid_in_transaction("a phone number")
    app, openid = identity_of(person_id)
    try:
        found = wechat.phone_number(app.api, code=code, openid=openid)
    except (errors.CodeInvalid, errors.CodeUsed):
        metrics.PHONE_NUMBERS.labels("invalid").inc()
        raise PHONE_CODE_INVALID() from None
    except errors.WeChatError as error:
        metrics.PHONE_NUMBERS.labels("failed").inc()
        raise refusal_of(error) from None
    metrics.PHONE_NUMBERS.labels("paid").inc()
    with transaction():
        today = phones.charge(appid=app.appid, what=phones.NUMBER_COST, at=now())
    if today % COST_ALARM == 0:
        log.error("phone_numbers_cost", count=today)
    return app, found


def identity_of(person_id: int) -> tuple[App, str]:
    """The mini-program and openid under which somebody was here last. Raises IDENTITY_UNKNOWN."""
    for identity in people.identities(person_id):
        app = apps().find(identity.appid)
        if app is not None:
            return app, str(identity.openid)
    raise IDENTITY_UNKNOWN()
