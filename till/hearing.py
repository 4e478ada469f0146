"""Notices: verified over the raw bytes, opened, kept once, settled once, in one transaction (section 6.2).

What is WeChat's own and yet unreadable is answered with failure, so that it comes again when our key is right (step 5),
and kept all the same, with an alarm: repeats end after a day, and :func:`read_again` settles it once we can read it.

No call goes out from here, and nothing slow happens: WeChat waits five seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import structlog

from app import orders
from app.clock import business_day, now
from app.db import retrying, transaction
from app.payments import notices
from till import metrics
from till.calls import note_refused
from till.desk import Desk
from wechat.pay import Notice, Refund, Transaction, open_notice, read_notice
from wechat.pay.errors import NoticeRefused

log = structlog.get_logger("till")
SETTLED, REFUSED, IGNORED, UNREAD = "settled", "refused", "ignored", "unread"


@dataclass(frozen=True, slots=True)
class Heard:
    """What to answer: a 2xx status ends it, anything else makes WeChat come again."""

    status: int
    outcome: str
    problem: str | None = None


def hear(desk: Desk, headers: Mapping[str, str], raw: bytes) -> Heard:
    """Take one notice. What is not shown to be WeChat's, or doesn't fit what we ordered, is answered with failure."""
    at = now()
    merchant = desk.client.merchant
    try:
        notice = open_notice(headers, raw, keys=desk.keys, apiv3_key=merchant.apiv3_key, now=at.timestamp())
    except NoticeRefused as error:
        metrics.NOTICES.labels("unknown", error.reason).inc()
        if error.is_genuine:
            return _keep_unread(desk, error, raw)
        log.warning("notice_refused", kind=error.reason, status=error.status)
        return Heard(error.status, REFUSED, error.reason)
    return _heard(desk, notice)


def read_again(desk: Desk) -> list[tuple[str, Heard]]:
    """Read again what could not be read when it came; how each ended, by its id. Safe to repeat."""
    outcomes: list[tuple[str, Heard]] = []
    after = 0
    while True:
        with transaction():
            waiting = notices.unread(desk.mchid, after=after)
        if not waiting:
            return outcomes
        outcomes += [(one.notice_id, _read_again(desk, one)) for one in waiting]
        after = waiting[-1].id


def _read_again(desk: Desk, one: Any) -> Heard:
    try:
        notice = read_notice(bytes(one.body), apiv3_key=desk.client.merchant.apiv3_key)
    except NoticeRefused as error:
        return Heard(error.status, UNREAD, error.reason)
    heard = _heard(desk, notice)
    with transaction():
        notices.read_as(one.id, notice.id)
    return heard


def _heard(desk: Desk, notice: Notice) -> Heard:
    def command() -> Heard:
        with transaction():
            return _settle(desk, notice)

    heard = retrying(command)
    metrics.NOTICES.labels(notice.event_type, heard.outcome).inc()
    if heard.outcome == REFUSED:
        log.error("notice_differs", kind=heard.problem)
    elif heard.outcome == IGNORED:
        log.error("notice_of_unknown_event", kind=notice.event_type)
    return heard


def _keep_unread(desk: Desk, error: NoticeRefused, raw: bytes) -> Heard:
    """Genuine, and yet we can't open it (the APIv3 key was changed without us) or understand it."""
    at = now()
    # One whose envelope names no id is known by its bytes.
    notice_id = error.notice_id or f"bytes:{hashlib.sha256(raw).hexdigest()[:40]}"

    def command() -> None:
        with transaction():
            notices.keep_unread(mchid=desk.mchid, notice_id=notice_id, body=raw, problem=error.reason, at=at)
            note_refused(desk.mchid, _once_a_day(error.reason, at), "notice_unread", None, at)

    retrying(command)
    log.error("notice_unread", kind=error.reason)
    return Heard(error.status, UNREAD, error.reason)


def _once_a_day(what: str, at: datetime) -> str:
    """A number for a trouble that may come a thousand times: counted, told once a day."""
    return f"{what}:{business_day(at).isoformat()}"


def _settle(desk: Desk, notice: Notice) -> Heard:
    """Keep it, settle it, say how it ended; inside one transaction."""
    at = now()
    resource = notice.resource
    kept = notices.keep(
        mchid=desk.mchid,
        notice_id=notice.id,
        event_type=notice.event_type,
        content=_content(resource),
        number=_number(resource),
        at=at,
    )
    if not kept.same:
        note_refused(desk.mchid, notice.id, "notice_changed", None, at)
        return Heard(400, REFUSED, "changed")
    if kept.settled:
        return Heard(200, SETTLED, "known")
    if isinstance(resource, Transaction) and notice.event_type == "TRANSACTION.SUCCESS":
        taken = orders.take_transaction(resource, why="notice", at=at, found=kept.payment)
    elif isinstance(resource, Refund):
        taken = orders.take_refund(resource, at=at)
    else:
        notices.end(kept, state=IGNORED, problem="event", at=at, event_type=notice.event_type)
        note_refused(desk.mchid, _once_a_day(notice.event_type, at), "notice_event", None, at)
        return Heard(200, IGNORED, "event")
    told = {"event_type": notice.event_type, "number": _number(resource)}
    if taken.outcome != REFUSED:
        if kept.refused:
            notices.end(kept, state=SETTLED, problem=None, at=at, **told)
        return Heard(200, SETTLED, taken.outcome)
    # An order that we don't know is refused as well: it comes again, which gives time for a restore.
    notices.end(kept, state=REFUSED, problem=taken.problem, at=at, **told)
    note_refused(desk.mchid, _number(resource) or notice.id, f"notice_{taken.problem}", taken.payment_id, at)
    return Heard(400, REFUSED, taken.problem)


def _content(resource: Any) -> dict[str, Any]:
    if isinstance(resource, dict):
        return resource
    return {one.name: getattr(resource, one.name) for one in fields(resource)}


def _number(resource: Any) -> str | None:
    if isinstance(resource, Refund):
        return resource.out_refund_no
    return resource.out_trade_no if isinstance(resource, Transaction) else None
