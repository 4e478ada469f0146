"""The cart: what a person means to take, at the price seen. Nothing is held; checking out places all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert

from app import funding
from app.db import connection, read, run
from app.errors import IDEMPOTENCY_CONFLICT, NOT_FOUND, Kind, declare
from app.mall import EVERYBODY, admits, standing
from app.orders.models import CartLine
from app.orders.placing import Placed, Wish, place

MOST_LINES = 50

CART_FULL = declare(
    "cart_full",
    Kind.CONFLICT,
    zh="购物车最多放 50 种商品，请先移出一些。",
    en="The cart holds 50 items. Take some out first.",
)

_ITEM = "select price_credits, price_fen from items where id = %(item)s and state <> 'draft'"
_COUNT = "select count(*) as n from cart_lines where person_id = %(person)s and item_id <> %(item)s"


def put(*, person_id: int, item_id: int, quantity: int, at: datetime) -> None:
    """Mean to take so many of an item, at its price now. Twice is once. Raises NOT_FOUND, CART_FULL."""
    rows = run(_ITEM, {"item": item_id})
    if not rows:
        raise NOT_FOUND(item=str(item_id))
    if run(_COUNT, {"person": person_id, "item": item_id})[0].n >= MOST_LINES:
        raise CART_FULL()
    row = {
        "person_id": person_id,
        "item_id": item_id,
        "quantity": quantity,
        "price_credits": rows[0].price_credits,
        "price_fen": rows[0].price_fen,
        "added_at": at,
    }
    line = insert(CartLine).values(row)
    again = {name: line.excluded[name] for name in ("quantity", "price_credits", "price_fen")}
    connection().execute(line.on_conflict_do_update(index_elements=["person_id", "item_id"], set_=again))


def drop(*, person_id: int, item_ids: Sequence[int]) -> int:
    """Take items out that are in it; answers how many were."""
    gone = delete(CartLine).where(CartLine.person_id == person_id, CartLine.item_id.in_(item_ids))
    return len(connection().execute(gone.returning(CartLine.item_id)).all())


_LINES = """
    select c.item_id, c.quantity, c.price_credits as seen_credits, c.price_fen as seen_fen, c.added_at,
           p.code as program, p.id as program_id, i.code, i.kind, i.name, i.name_en, i.picture, i.price_credits,
           i.price_fen, i.available,
           case when coalesce(m.state = 'active', true) then i.state else 'off_sale' end as state,
           i.per_person, i.sale_from, i.sale_until, i.audience_units, i.audience_tags, i.least_level
    from cart_lines c join items i on i.id = c.item_id join programs p on p.id = i.program_id
    left join merchants m on m.id = i.merchant_id
    where c.person_id = %(person)s order by c.added_at desc, c.item_id
"""


def lines(person_id: int) -> list[Any]:
    """A person's cart, newest first, with each item as it is now."""
    return read(_LINES, {"person": person_id})


def trouble(line: Any, person_id: int, at: datetime) -> str | None:
    """Why a line could not be taken now, by the code of its refusal; None when it could."""
    if line.state != "on_sale" or (line.sale_until is not None and line.sale_until <= at):
        return "not_on_sale"
    if line.sale_from is not None and line.sale_from > at:
        return "not_on_sale"
    open_to_all = line.audience_units is None and line.audience_tags is None and line.least_level == 0
    if not admits(line, EVERYBODY if open_to_all else standing(line.program_id, person_id)):
        return "not_for_you"
    if line.available < line.quantity:
        return "sold_out"
    if (line.seen_credits, line.seen_fen) != (line.price_credits, line.price_fen):
        return "price_changed"
    return None


_BEFORE = """
    select item_id from orders where person_id = %(person)s and starts_with(client_ref, %(prefix)s)
"""


def check_out(*, person_id: int, client_ref: str, wishes: Sequence[Wish], at: datetime) -> list[Placed]:
    """Place an order for each wish, all of them or none; what was placed leaves the cart.

    The same ``client_ref`` with the same wishes is answered with the first orders, with others it is a conflict. Raises
    IDEMPOTENCY_CONFLICT, and what ``place`` raises.
    Locks: wallets by id, then item by item.
    """
    programs = run(
        "select distinct program_id from items where id = any (%(ids)s::bigint[])",
        {"ids": [wish.item_id for wish in wishes]},
    )
    funding.lock_wallets([(person_id, row.program_id) for row in programs], at=at)
    before = run(_BEFORE, {"person": person_id, "prefix": f"{client_ref}:"})
    if before and {row.item_id for row in before} != {wish.item_id for wish in wishes}:
        raise IDEMPOTENCY_CONFLICT(client_ref=client_ref)
    placed = [
        place(person_id=person_id, client_ref=f"{client_ref}:{wish.item_id}", wish=wish, at=at)
        for wish in sorted(wishes, key=lambda one: one.item_id)
    ]
    drop(person_id=person_id, item_ids=[wish.item_id for wish in wishes])
    return placed
