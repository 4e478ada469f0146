"""Stock: three counters on the item's row, moved by conditional updates. A trigger keeps the log (0011_mall.sql)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app import later
from app.db import read, run
from app.errors import Kind, declare

SOLD_OUT = declare(
    "sold_out",
    Kind.CONFLICT,
    zh="已兑完。可加入候补，补货后按顺序通知；也可看看其他商品。",
    en="Sold out. Join the waiting list to be told in your turn, or see other items.",
)
NOT_ON_SALE = declare(
    "not_on_sale",
    Kind.CONFLICT,
    zh="该商品当前不可兑换（未上架、未开始或已结束）。",
    en="This item can't be bought now: not on sale, not yet, or no longer.",
)
PERSON_LIMIT = declare(
    "person_limit",
    Kind.CONFLICT,
    zh="已达到每人可兑换的数量上限（总量或本周期），details 中有上限与周期。",
    en="You have reached the number that one person may take, in all or in this period; see `details`.",
)
STOCK_TAKEN = declare(
    "stock_taken",
    Kind.CONFLICT,
    zh="可用库存不足：已售出或已为未付款订单保留的数量不能减去。",
    en="Fewer pieces are free: what is sold or held for unpaid orders can't be taken away.",
)

_MOVE = """
    update items set available = available + %(available)s, reserved = reserved + %(reserved)s,
      sold = sold + %(sold)s, total = total + %(available)s + %(reserved)s + %(sold)s
    where id = %(item)s and available + %(available)s >= 0 and reserved + %(reserved)s >= 0
      and sold + %(sold)s >= 0
    returning available
"""


def move(item_id: int, *, why: str, available: int = 0, reserved: int = 0, sold: int = 0) -> int:
    """Move an item's counters; answers what is available then. ``why`` is for the log: ``order:7``, ``restock:3``.

    Raises STOCK_TAKEN when a counter would be less than nothing. The item's row is the last lock of a transaction.
    """
    run("select set_config('diandi.why', %(why)s, true)", {"why": why})
    values = {"item": item_id, "available": available, "reserved": reserved, "sold": sold}
    rows = run(_MOVE, values)
    if not rows:
        raise STOCK_TAKEN(item=str(item_id))
    return int(rows[0].available)


def free_reserved(*, item_id: int, pieces: int, why: str) -> None:
    """What was reserved was never paid: it is on the shelf again, for whoever waits first."""
    move(item_id, why=why, reserved=-pieces, available=pieces)
    _offer(item_id)


def take_back(*, item_id: int, pieces: int, why: str) -> None:
    """What was sold is refunded: it is on the shelf again, for whoever waits first."""
    move(item_id, why=why, sold=-pieces, available=pieces)
    _offer(item_id)


def add(*, item_id: int, pieces: int, why: str) -> int:
    """New pieces, or (negative) fewer of the free ones. Raises STOCK_TAKEN."""
    left = move(item_id, why=why, available=pieces)
    if pieces > 0:
        _offer(item_id)
    return left


def _offer(item_id: int) -> None:
    """Pieces came: the job gives the waiting their turn."""
    if run("select 1 from waitlist where item_id = %(item)s and state = 'waiting' limit 1", {"item": item_id}):
        later.defer(later.WAITLIST, key=f"waitlist:{item_id}", item_id=item_id)


def low(item_id: int, low_at: int | None, *, left: int, taken: int) -> None:
    """When this taking crossed the line under which stock is low, somebody is told, once per crossing."""
    if low_at is not None and left <= low_at < left + taken:
        later.defer(later.STOCK_LOW, key=f"low:{item_id}", item_id=item_id)


def add_due(*, at: datetime) -> list[int]:
    """Put announced pieces on the shelf whose time has come; answers the items. Twice is once."""
    due = """
        update restocks r set done_at = %(at)s where r.done_at is null and r.due_at <= %(at)s
        returning r.id, r.item_id, r.pieces
    """
    rows = run(due, {"at": at})
    for row in sorted(rows, key=lambda one: one.item_id):
        add(item_id=row.item_id, pieces=row.pieces, why=f"restock:{row.id}")
    return [row.item_id for row in rows]


def movements(item_id: int, *, before: int | None, limit: int) -> list[Any]:
    """The log of an item's stock, newest first, below the cursor."""
    query = """
        select id, available, reserved, sold, why, at from stock_movements
        where item_id = %(item)s and id < %(before)s order by id desc limit %(limit)s
    """
    return read(query, {"item": item_id, "before": before or 2**63 - 1, "limit": limit})
