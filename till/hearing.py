"""Notices: verified over the raw bytes, opened, kept once, settled once, in one transaction (section 6.2).

No call goes out from here, and nothing slow happens: WeChat waits five seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import structlog

from app import orders
from app.clock import now
from app.db import retrying, transaction
from app.payments import notices
from till import metrics
from till.calls import note_refused
from till.desk import Desk
from wechat.pay import Notice, Refund, Transaction, open_notice
from wechat.pay.errors import NoticeRefused

log = structlog.get_logger("till")
SETTLED, REFUSED, IGNORED = "settled", "refused", "ignored"


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
        # A good signature with a content that can't be opened means that the APIv3 key was changed without us.
        level = log.error if error.status == 400 else log.warning
        level("notice_refused", kind=error.reason, status=error.status)
        return Heard(error.status, REFUSED, error.reason)

    def command() -> Heard:
        with transaction():
            return _settle(desk, notice)

    heard = retrying(command)
    metrics.NOTICES.labels(notice.event_type, heard.outcome).inc()
    if heard.outcome == REFUSED:
        log.error("notice_differs", kind=heard.problem)
    return heard


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
        notices.end(kept, state=IGNORED, problem=None, at=at)
        return Heard(200, IGNORED)
    if taken.outcome != REFUSED:
        if kept.refused:
            notices.end(kept, state=SETTLED, problem=None, at=at)
        return Heard(200, SETTLED, taken.outcome)
    # An order that we don't know is refused as well: it comes again, which gives time for a restore.
    notices.end(kept, state=REFUSED, problem=taken.problem, at=at)
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
