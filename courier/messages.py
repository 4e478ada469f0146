"""Send what is told by subscribe messages: one at a time per person, marked before the call, each error its own end."""

from __future__ import annotations

import math
import time
from datetime import datetime, timedelta
from typing import Any

import structlog

from app import later, messages, people
from app.clock import now
from app.db import forbid_in_transaction, transaction
from app.messages.queries import of_notice
from courier import metrics
from courier.clients import App, apps
from courier.words import again_at, tomorrow
from wechat import errors
from wechat import messages as wechat

log = structlog.get_logger("courier")


def tell(notice_id: int) -> None:
    """Make the delivery of a notice, and send it when it is not night."""
    at = now()
    with transaction():
        messages.queue(notice_id=notice_id, at=at)
        found = of_notice(notice_id)
        if found is not None and found.state == "waiting" and found.send_at > at:
            later.defer(
                later.MESSAGE, at=found.send_at, lock=f"message:{found.person_id}",
                key=f"message:{notice_id}", notice_id=notice_id,
            )  # fmt: skip
            return
    if found is not None and found.state == "waiting":
        send(found)


def send(delivery: Any) -> None:
    """Send one waiting delivery by the mini-program that its person used last and that has the template."""
    forbid_in_transaction("a message")
    at = now()
    app, openid = _reach(delivery)
    if app is None:
        with transaction():
            messages.end(
                delivery_id=delivery.id, state="not_subscribed", at=at, problem="no template in any mini-program"
            )
        return _count(delivery, "no_template")
    template_id = app.templates[delivery.template]
    if messages.stopped(app.appid, template_id, at) is not None:
        with transaction():
            messages.later_again(
                delivery_id=delivery.id, until=tomorrow(at), errcode=None, problem="template stopped", at=at
            )
        return _count(delivery, "stopped")
    with transaction():
        taken = messages.begin(delivery_id=delivery.id, appid=app.appid, template_id=template_id, at=at)
    if taken is None:
        return None
    _call(app, openid, template_id, delivery)
    return None


def _call(app: App, openid: str, template_id: str, delivery: Any) -> None:
    state = apps().message_state
    try:
        data = wechat.fitted(delivery.data)
        message_id = wechat.send_subscribed(
            app.api, openid=openid, template_id=template_id, data=data, page=delivery.page, state=state
        )
    except ValueError as error:
        return _end(delivery, "failed", None, f"data: {error}")
    except errors.WeChatError as error:
        return _failed(app, template_id, delivery, error)
    with transaction():
        messages.end(delivery_id=delivery.id, state="sent", at=now(), message_id=message_id)
    return _count(delivery, "sent")


def _failed(app: App, template_id: str, delivery: Any, error: errors.WeChatError) -> None:
    """43101 ends it and zeroes the counter; 43108 and limits come again; a ban or a spent quota stops the template."""
    at, problem = now(), f"{type(error).__name__}"
    if isinstance(error, errors.NotSubscribed):
        return _end(delivery, "not_subscribed", error.errcode, problem)
    if isinstance(error, errors.WeChatUnavailable) or (isinstance(error, errors.Busy) and error.errcode == -1):
        # The answer was lost, or says that WeChat is not sure: it may have been sent, so it isn't sent again.
        return _end(delivery, "unknown", error.errcode, problem)
    if isinstance(error, errors.Together):
        return _again(delivery, at + timedelta(seconds=20), error, at)
    if isinstance(error, errors.RateLimited | errors.Busy):
        return _again(delivery, again_at(error, delivery_attempts(delivery), at), error, at)
    if error.alarm or isinstance(error, errors.BadRequest):
        log.error("message_refused", code=error.errcode, rid=error.rid, template=delivery.template, kind=problem)
    if isinstance(error, errors.QuotaSpent):
        with transaction():
            messages.stop(appid=app.appid, template_id=template_id, until=tomorrow(at), problem=problem)
        return _again(delivery, tomorrow(at), error, at)
    if isinstance(error, errors.Banned):
        with transaction():
            messages.stop(appid=app.appid, template_id=template_id, until=None, problem=problem)
    if isinstance(error, errors.Misconfigured | errors.StaleToken) and not isinstance(error, errors.Banned):
        return _again(delivery, at + timedelta(hours=1), error, at)
    return _end(delivery, "failed", error.errcode, problem)


def delivery_attempts(delivery: Any) -> int:
    """How often it was tried; rows of the queue's listing don't carry it."""
    return int(getattr(delivery, "attempts", 0))


def sweep(at: datetime, *, until: float = math.inf) -> int:
    """What is due and what the queue has lost, until `until` (monotonic seconds); answers how many were looked at."""
    with transaction():
        lost = messages.give_up_on_lost(at=at)
        waiting = messages.due(at)
    if lost:
        log.error("messages_lost", count=lost)
    for done, delivery in enumerate(waiting):
        if time.monotonic() >= until:
            return done
        send(delivery)
    return len(waiting)


def _reach(delivery: Any) -> tuple[App | None, str]:
    for identity in people.identities(delivery.person_id):
        app = apps().find(identity.appid)
        if app is not None and delivery.template in app.templates:
            return app, str(identity.openid)
    return None, ""


def _again(delivery: Any, until: datetime, error: errors.WeChatError, at: datetime) -> None:
    with transaction():
        messages.later_again(
            delivery_id=delivery.id, until=until, errcode=error.errcode, problem=type(error).__name__, at=at
        )
    _count(delivery, "again")


def _end(delivery: Any, state: str, errcode: int | None, problem: str) -> None:
    with transaction():
        messages.end(delivery_id=delivery.id, state=state, at=now(), errcode=errcode, problem=problem)
    _count(delivery, state)


def _count(delivery: Any, outcome: str) -> None:
    metrics.MESSAGES.labels(delivery.template, outcome).inc()
