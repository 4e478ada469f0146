"""Items of every kind, orders of them, and what a test asks about stock and credits. Inside a transaction."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from app import mall, orders
from app.db import run, session
from app.mall.models import Item
from tests.given import AT
from tests.world import World

PLACE = orders.Place("林一", "13800000000", "四川省", "成都市", "青羊区", "某街 1 号")


def item(world: World, kind: str = "voucher", *, stock: int = 10, publish: bool = True, **changes: Any) -> int:
    """An item of a hundred credits, on sale."""
    values: dict[str, Any] = {
        "code": f"{kind.replace('_', '-')}-{secrets.token_hex(3)}", "name": "商品", "name_en": "Thing",
        "price_credits": 100, "settlement_fen": 150, "valid_days": 30,
        "merchant_id": None if kind == "donation" else world.merchant_id,
        "project_id": world.project_id if kind == "donation" else None,
    }  # fmt: skip
    if kind == "donation":
        values["settlement_fen"] = 0
    made = mall.draft(program_id=world.program_id, kind=kind, stock_pieces=stock, **{**values, **changes})
    if publish:
        mall.publish(item=made)
    return made.id


def address(person_id: int, *, province: str = "四川省", at: datetime = AT) -> int:
    """A new address of a person."""
    place = orders.Place("林一", "13800000000", province, "某市", "某区", "某街 1 号")
    return orders.addresses.add(person_id=person_id, place=place, is_default=False, at=at).id


def slot(item_id: int, *, capacity: int = 2, hours: int = 24) -> int:
    """An hour of a service, so many hours from now."""
    starts_at = AT + timedelta(hours=hours)
    return mall.open_slot(
        item_id=item_id, starts_at=starts_at, ends_at=starts_at + timedelta(hours=1), capacity=capacity
    ).id


def place(
    person_id: int, item_id: int, quantity: int = 1, *, ref: str = "", at: datetime = AT, **changes: Any
) -> orders.Order:
    """An order at the item's price now."""
    found = session().get_one(Item, item_id)
    wish = orders.Wish(
        item_id, quantity, **{"price_credits": found.price_credits, "price_fen": found.price_fen, **changes}
    )
    placed = orders.place(person_id=person_id, client_ref=ref or secrets.token_hex(6), wish=wish, at=at)
    return session().get_one(orders.Order, placed.order_id, populate_existing=True)


def stock(item_id: int) -> tuple[int, int, int]:
    """Available, reserved, sold."""
    row = run("select available, reserved, sold from items where id = %(item)s", {"item": item_id})[0]
    return row.available, row.reserved, row.sold


def credits(world: World, person_id: int) -> int:
    query = """
        select a.balance from wallets w join accounts a on a.id = w.credits_account_id
        where w.person_id = %(person)s and w.program_id = %(program)s
    """
    return int(run(query, {"person": person_id, "program": world.program_id})[0].balance)


def owed(world: World) -> int:
    """What the merchant is owed, in fen."""
    query = "select a.balance from merchants m join accounts a on a.id = m.payable_account_id where m.id = %(m)s"
    return int(run(query, {"m": world.merchant_id})[0].balance)


def state(order: orders.Order) -> str:
    return str(run("select state from orders where id = %(id)s", {"id": order.id})[0].state)
