"""Differences: what about money doesn't agree, or needs a person. Named, kept, counted; nothing silently repaired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import case
from sqlalchemy.dialects.postgresql import insert

from app import audit
from app.db import connection, read, run, session
from app.errors import NOT_FOUND, STATE_CONFLICT
from app.payments.models import PaymentDifference


@dataclass(frozen=True, slots=True)
class Found:
    """One difference. ``number`` is the one it is about; ``ours`` and ``theirs`` are what either side says."""

    kind: str
    number: str
    program_id: int | None = None
    payment_id: int | None = None
    refund_id: int | None = None
    day: date | None = None
    ours: str = ""
    theirs: str = ""


def note(found: Sequence[Found], *, mchid: str, at: datetime) -> None:
    """Keep differences; one that is known already is counted once more, and open again when it had mended."""
    for one in found:
        row = {
            "program_id": one.program_id,
            "mchid": mchid,
            "kind": one.kind,
            "number": one.number,
            "day": one.day,
            "payment_id": one.payment_id,
            "refund_id": one.refund_id,
            "ours": one.ours,
            "theirs": one.theirs,
            "found_at": at,
            "seen_at": at,
        }
        statement = insert(PaymentDifference).values(row)
        mended = PaymentDifference.state == "mended"
        again = {
            "seen_at": at,
            "times": PaymentDifference.times + 1,
            "state": case((mended, "open"), else_=PaymentDifference.state),
            "settled_at": case((mended, None), else_=PaymentDifference.settled_at),
            "settled_by": case((mended, None), else_=PaymentDifference.settled_by),
        }
        known = statement.on_conflict_do_update(index_elements=["mchid", "kind", "number"], set_=again)
        connection().execute(known)


def mended(difference_id: int, *, at: datetime) -> None:
    """The normal transition has made both sides equal; the difference stays on record as such."""
    found = session().get(PaymentDifference, difference_id, with_for_update=True, populate_existing=True)
    if found is not None and found.state == "open":
        found.state, found.settled_at, found.settled_by = "mended", at, "system:query"


# What stood in the way and is over; what two bills say differently is not.
_WELL = """
    update payment_differences set state = 'mended', settled_at = %(at)s, settled_by = %(by)s
    where state = 'open' and day is null
      and (refund_id = %(refund)s and starts_with(kind, 'refund_') and kind <> 'refund_twice'
           or payment_id = %(goods)s and kind in ('shipping', 'shipping_reminded'))
"""


def well(*, by: str, at: datetime, refund_id: int | None = None, goods_of: int | None = None) -> None:
    """A refund has reached its payer after all, or WeChat has heard of a payment's goods: troubles on the way are over.

    Each stays on record, ``mended``.
    """
    run(_WELL, {"refund": refund_id, "goods": goods_of, "by": by, "at": at})


def settle(*, difference_id: int, reason: str, by: str, approval_id: int, at: datetime) -> PaymentDifference:
    """A person says why it is so; another has approved. Moves nothing. Raises NOT_FOUND, STATE_CONFLICT."""
    found = session().get(PaymentDifference, difference_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NOT_FOUND(difference=str(difference_id))
    if found.state != "open":
        raise STATE_CONFLICT(state=found.state)
    found.state, found.settled_at, found.settled_by = "settled", at, by
    found.reason, found.approval_id = reason, approval_id
    audit.write(
        actor=by,
        action="payment.settle",
        object_type="payment_difference",
        object_id=found.id,
        at=at,
        program_id=found.program_id,
        after={"kind": found.kind, "number": found.number},
        reason=reason,
    )
    return found


_LIST = """
    select id, kind, number, day, ours, theirs, state, times, found_at, seen_at, settled_by, reason, payment_id,
           refund_id
    from payment_differences where (%(all)s or state = 'open') and id > %(after)s order by id limit %(limit)s
"""
_COUNT = "select kind, count(*) as n from payment_differences where state = 'open' group by kind order by kind"


def listed(*, everything: bool = False, after: int = 0, limit: int = 1_000) -> list[Any]:
    """Open differences, or all, oldest first."""
    return read(_LIST, {"all": everything, "after": after, "limit": limit})


def open_by_kind() -> dict[str, int]:
    """How many are open, by kind: what an alarm watches."""
    return {row.kind: int(row.n) for row in read(_COUNT)}
