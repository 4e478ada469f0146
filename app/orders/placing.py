"""Placing: stock, limit and credits in one transaction. Without a cash part an order is paid at once, else it waits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from psycopg import errors as pg
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from app import funding, later, ledger, mall, redemptions
from app.db import connection, session
from app.errors import IDEMPOTENCY_CONFLICT, NOT_FOUND, Kind, declare
from app.funding.spending import worth_fen
from app.mall.models import Item
from app.orders.models import ItemPurchase, Order
from app.units import CREDITS

PAY_WITHIN = timedelta(minutes=15)
CLOSE_AFTER = timedelta(minutes=2)  # a payment begun in time may still succeed a little later (L9)

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
    *,
    person_id: int,
    program_id: int,
    item_id: int,
    quantity: int,
    client_ref: str,
    price_credits: int,
    at: datetime,
    price_fen: int = 0,
) -> Placed:
    """Take an item: stock, limit, credits and codes in one transaction. With a cash part stock and credits are held for
    :data:`PAY_WITHIN`, and codes come when the money is there.

    ``price_credits`` and ``price_fen`` are the price per piece that the person saw. The same ``client_ref`` with the
    same content is answered with the first order. Raises IDEMPOTENCY_CONFLICT, NOT_FOUND, NOT_ON_SALE, SOLD_OUT,
    PERSON_LIMIT, PRICE_CHANGED, INSUFFICIENT. Locks: wallet, item, ledger accounts.
    """
    content = {"item_id": item_id, "quantity": quantity, "price_credits": price_credits}
    body_hash = _body_hash(**content, **({"price_fen": price_fen} if price_fen else {}))
    wallet = funding.lock_wallet(person_id=person_id, program_id=program_id, at=at)
    first = _standing(person_id, client_ref)
    if first is not None:
        if bytes(first.body_hash) != body_hash:
            raise IDEMPOTENCY_CONFLICT(client_ref=client_ref)
        return Placed(first, redemptions.codes_of_order(first.id), False)
    item = _item(item_id, program_id, price_credits, price_fen)
    count_purchase(item, person_id, quantity)
    item = mall.take_stock(item_id=item_id, pieces=quantity, at=at, reserve=price_fen > 0)
    price = item.price_credits * quantity
    source_ref = f"person:{person_id}:{client_ref}"
    if price_fen:
        taken = funding.hold(wallet=wallet, credits=price, source_ref=source_ref, at=at)
    else:
        committed = ledger.account(program_id=program_id, asset=CREDITS, kind="committed")
        taken = funding.spend(
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
        cash_fen=price_fen * quantity,
        settlement_fen=item.settlement_fen,
        state="placed" if price_fen else "paid",
        transfer_id=taken.transfer_id,
        placed_at=at,
        pay_until=at + PAY_WITHIN if price_fen else None,
        paid_at=None if price_fen else at,
    )
    session().add(order)
    session().flush()
    pieces = per_piece(order, taken.parts)  # also refuses an order that its credits don't cover
    if price_fen:
        later.defer(later.ORDER_END, key=f"end:{order.id}", at=at + PAY_WITHIN + CLOSE_AFTER, order_id=order.id)
        return Placed(order, [], True)
    return Placed(order, issue_codes(order, item, pieces, at), True)


def issue_codes(order: Order, item: Item, pieces: Sequence[Sequence[ledger.LotPart]], at: datetime) -> list[int]:
    """A code for each piece of an order that is paid; the lots that paid stand behind them."""
    return [
        redemptions.issue(
            order_id=order.id,
            program_id=order.program_id,
            person_id=order.person_id,
            merchant_id=item.merchant_id,
            title=item.name,
            title_en=item.name_en,
            settlement_fen=order.settlement_fen,
            parts=piece,
            valid_days=item.valid_days,
            at=at,
        ).id
        for piece in pieces
    ]


class Ordered(Protocol):
    """What the dealing needs of an order, whether it is a row or a model."""

    @property
    def quantity(self) -> int: ...
    @property
    def credits(self) -> int: ...
    @property
    def settlement_fen(self) -> int: ...


def per_piece(order: Ordered, parts: Sequence[ledger.LotPart]) -> list[list[ledger.LotPart]]:
    """Deal the lots that paid out to the pieces, each piece its price as ordered, oldest first.

    Raises ITEM_UNDERFUNDED when the credits of a piece are worth less than what the merchant is owed for it.
    """
    queue: list[list[Any]] = [[part, part.credits] for part in parts]
    pieces = []
    for _ in range(order.quantity):
        missing, piece = order.credits // order.quantity, []
        while missing:
            part, left = queue[0]
            used = min(missing, left)
            piece.append(ledger.LotPart(part.lot_id, part.budget_id, part.price_fen, used))
            missing -= used
            queue[0][1] -= used
            if queue[0][1] == 0:
                queue.pop(0)
        if sum(worth_fen(piece)) < order.settlement_fen:
            raise mall.ITEM_UNDERFUNDED(settlement_fen=str(order.settlement_fen))
        pieces.append(piece)
    return pieces


def _item(item_id: int, program_id: int, price_credits: int, price_fen: int) -> Item:
    item = session().get(Item, item_id)
    if item is None or item.program_id != program_id or item.state == "draft":
        raise NOT_FOUND(item=str(item_id))
    if (item.price_credits, item.price_fen) != (price_credits, price_fen):
        raise PRICE_CHANGED(price_credits=str(item.price_credits), price_fen=str(item.price_fen))
    return item


def count_purchase(item: Item, person_id: int, quantity: int) -> None:
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


def uncount_purchase(item_id: int, person_id: int, quantity: int) -> None:
    """An order that came to nothing frees its place under the limit."""
    row = (ItemPurchase.item_id == item_id, ItemPurchase.person_id == person_id)
    connection().execute(update(ItemPurchase).where(*row).values(pieces=ItemPurchase.pieces - quantity))


def _standing(person_id: int, client_ref: str) -> Order | None:
    return session().scalars(
        select(Order).where(Order.person_id == person_id, Order.client_ref == client_ref)
    ).first()  # fmt: skip


def _body_hash(**body: Any) -> bytes:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
