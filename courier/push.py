"""Message push: what WeChat tells by itself is verified, kept once, answered at once and worked on later by a job."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog

from app import events, inbox, later, media, messages, outbox, people, personal_data, phones, records, tickets
from app.clock import now
from app.db import transaction
from courier import metrics
from courier.clients import App, apps
from wechat import push as wechat
from wechat import safety as wechat_safety

log = structlog.get_logger("courier")
# What a trade event may carry on: numbers of payments and times, nothing about the person.
TRADE_FIELDS = (
    *("transaction_id", "merchant_id", "merchant_trade_no", "pay_time", "shipped_time", "estimated_settlement_time"),
    *("confirm_receive_method", "confirm_receive_time", "settlement_time"),
)
TRADE_EVENTS = (
    *("trade_manage_remind_access_api", "trade_manage_remind_shipping", "trade_manage_order_settlement"),
    "wxa_trade_controlled",
)
SPOKEN = {"image": "[图片]", "miniprogrampage": "[小程序卡片]", "voice": "[语音]", "video": "[视频]", "link": "[链接]"}


def hear(app: App, query: Mapping[str, str], raw: bytes) -> str:
    """Take one push; what to answer. Raises wechat.PushRefused (403). Nothing slow here: WeChat waits five seconds."""
    if app.push is None:
        raise wechat.PushRefused("mode")
    event = app.push.opened(query, raw)
    kept = {"kind": event.kind, "from": event.from_user, "data": dict(event.data)}
    with transaction():
        at = now()
        body = json.dumps(kept, ensure_ascii=False).encode()
        if inbox.keep(origin=_origin(app.appid), message_key=event.key, body=body, at=at):
            later.defer(later.HEARD, key=f"heard:{app.appid}:{event.key}", appid=app.appid, message_key=event.key)
            metrics.PUSHED.labels(_counted(event.kind), "kept").inc()
        else:
            metrics.PUSHED.labels(_counted(event.kind), "again").inc()
    return wechat.ANSWER


def work(appid: str, message_key: str) -> None:
    """Do what a kept push asks for, once: its mark and its effect share a transaction."""
    app = apps().find(appid)
    with transaction():
        body = inbox.received(_origin(appid), message_key)
        if app is None or body is None:
            return
        kept = json.loads(body)
        handler = HANDLERS.get(kept["kind"])
        fresh = inbox.keep(origin=f"{_origin(appid)}:done", message_key=message_key, body=b"", at=now())
        if handler is None or not fresh:
            metrics.PUSHED.labels(_counted(kept["kind"]), "ignored").inc()
            return
        at = now()
        person = people.person_of(appid, kept["from"]) if kept["from"] else None
        ended = handler(app, kept, person, at)
    people.logins.evict(ended or [])
    metrics.PUSHED.labels(_counted(kept["kind"]), "done").inc()


Handler = Callable[[App, dict[str, Any], int | None, datetime], list[bytes] | None]


def _popup(app: App, kept: dict[str, Any], person: int | None, at: datetime) -> None:
    """An accepted popup gives one message more."""
    for news in wechat.subscription_news(_event(kept)):
        if person is not None and news.status == "accept":
            messages.allow(person_id=person, appid=app.appid, template_id=news.template_id, at=at)


def _changed(app: App, kept: dict[str, Any], person: int | None, at: datetime) -> None:
    """Switched off in WeChat's settings."""
    for news in wechat.subscription_news(_event(kept)):
        if person is not None and news.status == "reject":
            messages.refuse(person_id=person, appid=app.appid, template_id=news.template_id, at=at)


def _sent(app: App, kept: dict[str, Any], person: int | None, at: datetime) -> None:
    for news in wechat.subscription_news(_event(kept)):
        messages.delivered(message_id=news.message_id, word=news.status)


def _media(app: App, kept: dict[str, Any], person: int | None, at: datetime) -> None:
    verdict = wechat_safety.media_verdict(kept["data"], appid=app.appid)
    if verdict is None:
        log.error("media_verdict_unread")
        return
    label, errcode = verdict.label, verdict.errcode
    media.heard(trace_id=verdict.trace_id, suggest=verdict.suggest, label=label, errcode=errcode, at=at)


def _modified(app: App, kept: dict[str, Any], person: int | None, at: datetime) -> None:
    """The profile at WeChat is another now: what we had of it is not shown any longer."""
    subject = _subject(app, kept, person)
    if subject is not None:
        people.clear_name(subject, at)
        media.take_back_avatar(person_id=subject, at=at)


def _revoked(app: App, kept: dict[str, Any], person: int | None, at: datetime) -> None:
    """The person takes an authorisation back: that data goes, what is credited stays."""
    subject = _subject(app, kept, person)
    if subject is None:
        return
    for kind in wechat.revoked_kinds(_event(kept)):
        forget_kind(subject, kind, at)


def forget_kind(person_id: int, kind: str, at: datetime) -> None:
    """Delete what a person has let us have of one kind, in WeChat's division (reference: RevokeInfo)."""
    if kind in ("profile", "nickname"):
        people.clear_name(person_id, at)
    if kind in ("profile", "avatar"):
        media.take_back_avatar(person_id=person_id, at=at)
    if kind == "phone" and phones.of_person(person_id) is not None:
        phones.unbind(person_id=person_id, at=at)
    if kind == "steps":
        people.consents.withdraw(person_id=person_id, key="steps", at=at)
        records.forget_open_steps(person_id=person_id)
    if kind in ("location", "place"):
        people.consents.withdraw(person_id=person_id, key="location", at=at)
    if kind == "pictures":
        for one in media.mine(person_id):
            if one.purpose == "photo":
                media.remove(medium_id=one.id, person_id=person_id, at=at)


def _cancelled(app: App, kept: dict[str, Any], person: int | None, at: datetime) -> list[bytes] | None:
    """The account is closed at WeChat: nobody can come back to it, so we delete the person."""
    subject = _subject(app, kept, person)
    if subject is None:
        return None
    _, mark = personal_data.losses(subject, at)
    return personal_data.forget(person_id=subject, seen=mark, at=at)


def _trade(app: App, kept: dict[str, Any], person: int | None, at: datetime) -> None:
    """About orders: whoever keeps them listens."""
    told = {name: str(kept["data"][name]) for name in TRADE_FIELDS if kept["data"].get(name) not in (None, "")}
    outbox.publish(events.WECHAT_TRADE, {"kind": kept["kind"], "appid": app.appid, **told})
    if kept["kind"] in ("wxa_trade_controlled", "trade_manage_remind_access_api"):
        log.error("wechat_wants_shipping", kind=kept["kind"])


def _said(app: App, kept: dict[str, Any], person: int | None, at: datetime) -> None:
    """A message to customer service."""
    body = str(kept["data"].get("Content", "")).replace("\x00", "")[:2000] if kept["kind"] == "text" else ""
    words = body.strip() or SPOKEN.get(kept["kind"], f"[{kept['kind'][:20]}]")
    if kept["from"]:
        tickets.said(appid=app.appid, openid=kept["from"], person_id=person, body=words, at=at)


HANDLERS: Mapping[str, Handler] = {
    "subscribe_msg_popup_event": _popup,
    "subscribe_msg_change_event": _changed,
    "subscribe_msg_sent_event": _sent,
    "wxa_media_check": _media,
    "user_info_modified": _modified,
    "user_authorization_revoke": _revoked,
    "user_authorization_cancellation": _cancelled,
    **dict.fromkeys(TRADE_EVENTS, _trade),
    **dict.fromkeys(("text", *SPOKEN), _said),
}


def _subject(app: App, kept: dict[str, Any], person: int | None) -> int | None:
    """Whom an event is about: its OpenID, where it names one."""
    openid = kept["data"].get("OpenID")
    return people.person_of(app.appid, openid) if isinstance(openid, str) and openid else person


def _event(kept: dict[str, Any]) -> wechat.Event:
    return wechat.Event(
        kind=kept["kind"], is_event=True, from_user=kept["from"], created_at=None, key="", data=kept["data"]
    )


def _origin(appid: str) -> str:
    return f"wechat:{appid}"


def _counted(kind: str) -> str:
    """Labels come from WeChat's words that we know."""
    return kind if kind in HANDLERS else "other"
