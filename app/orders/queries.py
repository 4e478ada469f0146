"""Reads: a person's orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.db import read
from app.errors import NOT_FOUND

# The tabs of an order list.
STATE_GROUPS = {
    "unpaid": ("placed", "paying"),
    "open": ("paid",),
    "done": ("fulfilled", "completed"),
    "returned": ("refunding", "refunded", "cancelled", "timed_out"),
}
_LINES = """
    select o.id, o.state, o.quantity, o.credits, o.cash_fen, o.refunded_pieces, o.placed_at, o.pay_until,
           o.fulfilled_at, o.item_id, p.code as program, i.code as item, i.kind, i.name, i.name_en,
           i.picture, i.refundable,
           coalesce(m.name, w.name) as merchant, coalesce(m.name_en, w.name_en) as merchant_en,
           a.state as parcel_state, a.carrier, a.tracking_no, a.shipped_at, a.received_at,
           b.state as booking_state, b.slot_id, t.starts_at, t.ends_at, v.state as invoice_state, v.number as invoice_no
    from orders o join items i on i.id = o.item_id join programs p on p.id = o.program_id
    left join merchants m on m.id = i.merchant_id left join welfare_projects w on w.id = i.project_id
    left join parcels a on a.order_id = o.id left join bookings b on b.order_id = o.id
    left join service_slots t on t.id = b.slot_id left join invoice_requests v on v.order_id = o.id
    where o.person_id = %(person)s
"""


def of_person(person_id: int, *, before: int | None, limit: int, states: Sequence[str] | None = None) -> list[Any]:
    """A person's orders with item, merchant, parcel and booking, newest first, below the cursor."""
    values = {"person": person_id, "before": before or 2**63 - 1, "limit": limit, "states": list(states or ())}
    only = " and o.state = any (%(states)s::text[])" if states else ""
    return read(f"{_LINES} and o.id < %(before)s{only} order by o.id desc limit %(limit)s", values)


def line(order_id: int, person_id: int) -> Any:
    """One of a person's orders as in the list. Raises NOT_FOUND for somebody else's."""
    rows = read(_LINES + " and o.id = %(order)s", {"person": person_id, "order": order_id})
    if not rows:
        raise NOT_FOUND(order=str(order_id))
    return rows[0]


def appid(order_id: int) -> str | None:
    """The mini-program in which an order is paid: its program's own, None for the main one."""
    query = "select g.wechat_appid from orders o join programs g on g.id = o.program_id where o.id = %(order)s"
    rows = read(query, {"order": order_id})
    return rows[0].wechat_appid if rows else None


def of_transfers(person_id: int, transfer_ids: Sequence[int]) -> dict[int, int]:
    """The orders that a person paid with these transfers, by transfer."""
    query = "select transfer_id, id from orders where person_id = %(person)s and transfer_id = any (%(ids)s::bigint[])"
    return {row.transfer_id: row.id for row in read(query, {"person": person_id, "ids": list(transfer_ids)})}


def address_of(order_id: int, person_id: int) -> Any | None:
    """The sealed address that an order's parcel goes to, for its owner."""
    query = """
        select a.address_sealed, a.province from parcels a join orders o on o.id = a.order_id
        where o.id = %(order)s and o.person_id = %(person)s
    """
    rows = read(query, {"order": order_id, "person": person_id})
    return rows[0] if rows else None
