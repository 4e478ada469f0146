"""Orders: a person takes an item for credits. Credits-only vouchers are paid at once, and their codes issued."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import errors as pg
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from app import funding, ledger, mall, redemptions
from app.db import connection, read, session
from app.errors import IDEMPOTENCY_CONFLICT, NOT_FOUND, Kind, declare
from app.funding.spending import worth_fen
from app.mall.models import Item
from app.orders.models import ItemPurchase, Order
from app.units import CREDITS

PERSON_LIMIT = declare(
    "person_limit",
    Kind.CONFLICT,
    zh="已达到每人可兑换的数量上限。",
    en="You have reached the number that one person may take.",
)
PRICE_CHANGED = declare(
    "price_changed",
    Kind.CONFLICT,
    zh="价格已变化，请确认新价格后再兑换。",
    en="The price has changed. Confirm the new one first.",
)


@dataclass(frozen=True, slots=True)
class Placed:
    """An order and its codes; ``fresh`` is false for a repeat with the same reference."""

    order: Order
    code_ids: list[int]
    fresh: bool


def place(
    *, person_id: int, program_id: int, item_id: int, quantity: int, client_ref: str, price_credits: int, at: datetime
) -> Placed:
    """Buy a voucher for credits: stock, limit, spend and codes in one transaction.

    ``price_credits`` is the price per piece that the person saw. The same ``client_ref`` with the same content is
    answered with the first order. Raises IDEMPOTENCY_CONFLICT, NOT_FOUND, NOT_ON_SALE, SOLD_OUT, PERSON_LIMIT,
    PRICE_CHANGED, INSUFFICIENT. Locks: wallet, item, ledger accounts.
    """
    body_hash = _body_hash(item_id=item_id, quantity=quantity, price_credits=price_credits)
    wallet = funding.lock_wallet(person_id=person_id, program_id=program_id, at=at)
    first = _standing(person_id, client_ref)
    if first is not None:
        if bytes(first.body_hash) != body_hash:
            raise IDEMPOTENCY_CONFLICT(client_ref=client_ref)
        return Placed(first, redemptions.codes_of_order(first.id), False)
    item = _item(item_id, program_id, price_credits)
    _count_purchase(item, person_id, quantity)
    item = mall.take_stock(item_id=item_id, pieces=quantity, at=at)
    price = item.price_credits * quantity
    committed = ledger.account(program_id=program_id, asset=CREDITS, kind="committed")
    source_ref = f"person:{person_id}:{client_ref}"
    spent = funding.spend(
        wallet=wallet, credits=price, to_account_id=committed, reason="order", source_ref=source_ref, at=at
    )
    order = Order(
        program_id=program_id,
        person_id=person_id,
        wallet_id=wallet.id,
        item_id=item_id,
        client_ref=client_ref,
        body_hash=body_hash,
        quantity=quantity,
        credits=price,
        state="paid",
        transfer_id=spent.transfer_id,
        placed_at=at,
    )
    session().add(order)
    session().flush()
    codes = [
        redemptions.issue(
            order_id=order.id,
            program_id=program_id,
            person_id=person_id,
            merchant_id=item.merchant_id,
            title=item.name,
            title_en=item.name_en,
            settlement_fen=item.settlement_fen,
            parts=parts,
            valid_days=item.valid_days,
            at=at,
        ).id
        for parts in _per_piece(spent.parts, item, quantity)
    ]
    return Placed(order, codes, True)


def _per_piece(parts: Any, item: Item, quantity: int) -> list[list[ledger.LotPart]]:
    """Deal the lots that paid out to the pieces, each piece its price, oldest first."""
    queue = [[part, part.credits] for part in parts]
    pieces = []
    for _ in range(quantity):
        missing, piece = item.price_credits, []
        while missing:
            part, left = queue[0]
            used = min(missing, left)
            piece.append(ledger.LotPart(part.lot_id, part.budget_id, part.price_fen, used))
            missing -= used
            queue[0][1] -= used
            if queue[0][1] == 0:
                queue.pop(0)
        if sum(worth_fen(piece)) < item.settlement_fen:
            raise mall.ITEM_UNDERFUNDED(item=str(item.id))
        pieces.append(piece)
    return pieces


def _item(item_id: int, program_id: int, price_credits: int) -> Item:
    item = session().get(Item, item_id)
    if item is None or item.program_id != program_id or item.state == "draft":
        raise NOT_FOUND(item=str(item_id))
    if item.price_credits != price_credits:
        raise PRICE_CHANGED(price_credits=str(item.price_credits))
    return item


def _count_purchase(item: Item, person_id: int, quantity: int) -> None:
    """Count the pieces a person takes of an item; the row's constraint is the limit (STK-3)."""
    row = insert(ItemPurchase).values(item_id=item.id, person_id=person_id, pieces=quantity, most=item.per_person)
    again = row.on_conflict_do_update(
        index_elements=["item_id", "person_id"],
        set_={"pieces": ItemPurchase.pieces + quantity, "most": item.per_person},
    )
    try:
        connection().execute(again)
    except DBAPIError as error:
        if isinstance(error.orig, pg.CheckViolation):
            raise PERSON_LIMIT(most=str(item.per_person)) from error
        raise


def _standing(person_id: int, client_ref: str) -> Order | None:
    return session().scalars(
        select(Order).where(Order.person_id == person_id, Order.client_ref == client_ref)
    ).first()  # fmt: skip


_LINES = """
    select o.id, o.state, o.quantity, o.credits, o.placed_at, o.fulfilled_at, o.item_id, p.code as program,
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


def of_transfers(person_id: int, transfer_ids: Sequence[int]) -> dict[int, int]:
    """The orders that a person paid with these transfers, by transfer."""
    query = "select transfer_id, id from orders where person_id = %(person)s and transfer_id = any (%(ids)s::bigint[])"
    return {row.transfer_id: row.id for row in read(query, {"person": person_id, "ids": list(transfer_ids)})}


def _body_hash(**body: Any) -> bytes:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()


__all__ = ["PERSON_LIMIT", "PRICE_CHANGED", "Order", "Placed", "line", "of_person", "of_transfers", "place"]
