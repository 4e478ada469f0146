"""Placing: one look, one write. Stock, limits and credits in one transaction; without a cash part an order is paid at
once, else it waits for its money."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import psycopg
from psycopg import errors as pg

from app import clock, later, ledger, mall, redemptions, welfare
from app.db import run
from app.errors import IDEMPOTENCY_CONFLICT, NOT_FOUND, Kind, declare
from app.funding.spending import WALLET_FROZEN, worth_fen
from app.mall import KINDS, audience, stock
from app.orders import bookings, parcels

PAY_WITHIN = timedelta(minutes=15)
CLOSE_AFTER = timedelta(minutes=2)  # a payment begun in time may still succeed a little later (L9)
MOST_PIECES = 99

PRICE_CHANGED = declare(
    "price_changed",
    Kind.CONFLICT,
    zh="价格已变化，请确认新价格后再兑换。",
    en="The price has changed. Confirm the new one first.",
)
POOL_EMPTY = declare(
    "pool_empty",
    Kind.CONFLICT,
    zh="券码暂时发完，未扣除积分。请稍后再试，运营已收到提醒。",
    en="No code is left at the moment; no credits were taken. Try later: the operators have been told.",
)
SOLD_OUT_STATE, POOL_EMPTY_STATE = "DL002", "DL003"


@dataclass(frozen=True, slots=True)
class Placed:
    """An order; ``fresh`` is false for a repeat with the same reference. ``left``: what is still free of the item."""

    order_id: int
    fresh: bool
    left: int | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants of one item, at the price seen; where to for a parcel, when for a service with slots."""

    item_id: int
    quantity: int
    price_credits: int
    price_fen: int = 0
    address_id: int | None = None
    slot_id: int | None = None

    def body_hash(self) -> bytes:
        content = {name: getattr(self, name) for name in self.__slots__ if getattr(self, name)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()


_LOOK = "select * from order_look(%(person)s, %(item)s, %(pieces)s, %(ref)s, %(at)s)"
_WRITE = "select * from order_write(%(facts)s::jsonb, %(at)s)"


def place(*, person_id: int, client_ref: str, wish: Wish, at: datetime) -> Placed:
    """Take an item: limits, credits, stock and codes in one transaction. With a cash part stock and credits are held
    for :data:`PAY_WITHIN`, and codes come when the money is there.

    The same ``client_ref`` with the same content is answered with the first order. Raises IDEMPOTENCY_CONFLICT,
    NOT_FOUND, NOT_ON_SALE, SOLD_OUT, NOT_FOR_YOU, PERSON_LIMIT, PRICE_CHANGED, INSUFFICIENT, WALLET_FROZEN, POOL_EMPTY,
    and for parcels and services what their address and their time raise. Locks: wallet, lots, ledger accounts, item.
    """
    look = _look(person_id, client_ref, wish, at)
    if look.first_id is not None:
        if bytes(look.first_hash) != wish.body_hash():
            raise IDEMPOTENCY_CONFLICT(client_ref=client_ref)
        return Placed(look.first_id, False)
    _allow(look, wish, at)
    kind = KINDS[look.kind]
    pay = _donated if kind.how is None else _held if look.price_fen else _paid
    facts = _facts(look, person_id, client_ref, wish, at) | pay(look, person_id, client_ref, wish, at)
    written = _write(facts, wish, at)
    _follow(look, written, person_id, wish, at)
    return Placed(written.order_id, True, written.available)


def _follow(look: Any, written: Any, person_id: int, wish: Wish, at: datetime) -> None:
    """What an order needs beside its row: a parcel, a time, an end, a pool's code, a word to whoever restocks."""
    kind = KINDS[look.kind]
    if kind.ships:
        parcels.plan(order_id=written.order_id, person_id=person_id, address_id=wish.address_id, served=look.provinces)
    if wish.slot_id is not None:
        bookings.book(
            order_id=written.order_id, item_id=wish.item_id, slot_id=wish.slot_id, pieces=wish.quantity, at=at
        )
    if look.price_fen:
        until = at + PAY_WITHIN + CLOSE_AFTER
        later.defer(later.ORDER_END, key=f"end:{written.order_id}", at=until, order_id=written.order_id)
    if kind.how == "pool":
        redemptions.fulfil(order_id=written.order_id, by="system:pool", at=at)
    stock.low(wish.item_id, look.low_at, left=written.available, taken=wish.quantity)


def _look(person_id: int, client_ref: str, wish: Wish, at: datetime) -> Any:
    values = {"person": person_id, "item": wish.item_id, "pieces": wish.quantity, "ref": client_ref, "at": at}
    rows = run(_LOOK, values)
    if not rows or (rows[0].state == "draft" and rows[0].first_id is None):
        raise NOT_FOUND(item=str(wish.item_id))
    return rows[0]


def _allow(look: Any, wish: Wish, at: datetime) -> None:
    """Refuse before anything is written; the write has the same guards for stock and limits."""
    if not audience.admits(look, audience.of(look.level, look.tags, look.unit_path)):
        raise audience.NOT_FOR_YOU()
    if (look.price_credits, look.price_fen) != (wish.price_credits, wish.price_fen):
        raise PRICE_CHANGED(
            item=str(wish.item_id), price_credits=str(look.price_credits), price_fen=str(look.price_fen)
        )
    over = look.sale_until is not None and look.sale_until <= at
    if look.state != "on_sale" or over or (look.sale_from is not None and look.sale_from > at):
        raise stock.NOT_ON_SALE(item=str(wish.item_id))
    if (
        look.available + look.offered < wish.quantity
    ):  # most attempts on something scarce end here, without a lock on it
        raise stock.SOLD_OUT(item=str(wish.item_id))
    if look.wallet_id is None:
        raise ledger.INSUFFICIENT(needed=str(look.price_credits * wish.quantity), missing=str(look.price_credits * wish.quantity))  # fmt: skip  # noqa: E501
    if look.frozen:
        raise WALLET_FROZEN()
    bookings.check_wish(takes_slots=look.slots, slot_id=wish.slot_id)
    parcels.check_wish(ships=KINDS[look.kind].ships, address_id=wish.address_id)


def _plan(look: Any, credits: int) -> list[ledger.LotPart]:
    """Which of the locked lots pay, oldest end first. Raises INSUFFICIENT with what is short."""
    parts: list[ledger.LotPart] = []
    missing = credits
    for lot_id, budget_id, price_fen, remaining in look.lots or ():
        taken = min(missing, remaining)
        if taken > 0:
            parts.append(ledger.LotPart(lot_id, budget_id, price_fen, taken))
            missing -= taken
    if missing:
        raise ledger.INSUFFICIENT(needed=str(credits), missing=str(missing))
    return parts


def _facts(look: Any, person_id: int, client_ref: str, wish: Wish, at: datetime) -> dict[str, Any]:
    """What the database function ``order_write`` wants to know, however the order is paid."""
    period = clock.period(look.period_kind, clock.business_day(at)).key if look.period_kind else ""
    return {
        "item": wish.item_id,
        "person": person_id,
        "wallet": look.wallet_id,
        "ref": client_ref,
        "source": f"person:{person_id}:{client_ref}",
        "hash": base64.b64encode(wish.body_hash()).decode(),
        "quantity": wish.quantity,
        "credits": look.price_credits * wish.quantity,
        "cash_fen": look.price_fen * wish.quantity,
        "settlement_fen": look.settlement_fen,
        "offered": look.offered,
        "period": period,
        "limits": [["", look.per_person], *([[period, look.per_period]] if period else [])],
        "how": KINDS[look.kind].how,
    }


def _paid(look: Any, person_id: int, client_ref: str, wish: Wish, at: datetime) -> dict[str, Any]:
    """Paid by credits alone: spent at once, with a code for each piece."""
    parts = _plan(look, look.price_credits * wish.quantity)
    pieces = deal(look, parts, wish.quantity)
    return {
        "state": "paid",
        "account": look.credits_account_id,
        "parts": _plain(parts),
        "codes": redemptions.as_written(pieces, settlement_fen=look.settlement_fen),
        "valid_until": redemptions.valid_until(look.valid_days, at).isoformat(),
    }


def _held(look: Any, person_id: int, client_ref: str, wish: Wish, at: datetime) -> dict[str, Any]:
    """Waiting for its money: the credits are held, codes come later."""
    parts = _plan(look, look.price_credits * wish.quantity)
    deal(look, parts, wish.quantity)  # refuses an order that its credits don't cover
    return {
        "state": "placed",
        "account": look.credits_account_id,
        "hold_account": look.hold_account_id,
        "parts": _plain(parts),
        "pay_until": (at + PAY_WITHIN).isoformat(),
    }


def _donated(look: Any, person_id: int, client_ref: str, wish: Wish, at: datetime) -> dict[str, Any]:
    """A gift to a welfare project, taken from the shelf: done when it is given."""
    given = welfare.give(
        person_id=person_id,
        program_id=look.program_id,
        project_id=look.project_id,
        credits=look.price_credits * wish.quantity,
        client_ref=f"order:{client_ref}",
        at=at,
        whole=True,
    )
    if not given.fresh:  # a gift that was given by itself, under the name that ours would have
        raise IDEMPOTENCY_CONFLICT(client_ref=client_ref)
    return {"state": "completed", "transfer": given.gift.transfer_id}


def _plain(parts: Sequence[ledger.LotPart]) -> list[list[int]]:
    return [[part.lot_id, part.budget_id, part.price_fen, part.credits] for part in parts]


def _write(facts: dict[str, Any], wish: Wish, at: datetime) -> Any:
    try:
        return run(_WRITE, {"facts": json.dumps(facts), "at": at})[0]
    except pg.CheckViolation as error:
        if error.diag.constraint_name == "ck_item_purchases_within_limit":
            raise stock.PERSON_LIMIT(
                limits=[{"period": period or "all", "most": most} for period, most in facts["limits"] if most]
            ) from error
        raise ledger.refusal(error) from error
    except psycopg.Error as error:
        if error.sqlstate == SOLD_OUT_STATE:
            raise stock.SOLD_OUT(item=str(wish.item_id)) from error
        if error.sqlstate == POOL_EMPTY_STATE:
            raise POOL_EMPTY(item=str(wish.item_id)) from error
        raise ledger.refusal(error) from error


class Priced(Protocol):
    """What the dealing needs to know of an item or an order."""

    @property
    def settlement_fen(self) -> int: ...


def deal(priced: Priced, parts: Sequence[ledger.LotPart], quantity: int) -> list[list[ledger.LotPart]]:
    """Deal the lots that paid out to the pieces, each piece an equal share of the credits, oldest first.

    Raises ITEM_UNDERFUNDED when the credits of a piece are worth less than what the merchant is owed for it.
    """
    queue: list[list[Any]] = [[part, part.credits] for part in parts]
    each = sum(part.credits for part in parts) // quantity
    pieces = []
    for _ in range(quantity):
        missing, piece = each, []
        while missing:
            part, left = queue[0]
            used = min(missing, left)
            piece.append(ledger.LotPart(part.lot_id, part.budget_id, part.price_fen, used))
            missing -= used
            queue[0][1] -= used
            if queue[0][1] == 0:
                queue.pop(0)
        if sum(worth_fen(piece)) < priced.settlement_fen:
            raise mall.ITEM_UNDERFUNDED(settlement_fen=str(priced.settlement_fen))
        pieces.append(piece)
    return pieces
