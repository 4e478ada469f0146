"""Reads: a person's orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.db import read
from app.errors import NOT_FOUND

_LINES = """
    select o.id, o.state, o.quantity, o.credits, o.cash_fen, o.placed_at, o.pay_until, o.fulfilled_at, o.item_id,
           p.code as program,
           i.code as item, i.name, i.name_en, i.picture, m.name as merchant, m.name_en as merchant_en
    from orders o join items i on i.id = o.item_id join merchants m on m.id = i.merchant_id
    join programs p on p.id = o.program_id
    where o.person_id = %(person)s
"""


def of_person(person_id: int, *, before: int | None, limit: int) -> list[Any]:
    """A person's orders with item and merchant, newest first, below the cursor."""
    values = {"person": person_id, "before": before or 2**63 - 1, "limit": limit}
    return read(_LINES + " and o.id < %(before)s order by o.id desc limit %(limit)s", values)


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
