"""Lots: which credits of a wallet came from which budget at which price, and when they expire. Oldest is spent first.

Whoever calls here holds the wallet's row lock; lots are locked under it, oldest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update

from app.db import connection, run
from app.ledger.actions import INSUFFICIENT
from app.ledger.models import Lot, LotUse


@dataclass(frozen=True, slots=True)
class LotPart:
    """Some credits of one lot, with the budget and the price (fen per 1,000 credits) that stand behind them."""

    lot_id: int
    budget_id: int
    price_fen: int
    credits: int


@dataclass(frozen=True, slots=True)
class NewCredits:
    """Credits that arrive in a wallet."""

    program_id: int
    account_id: int
    budget_id: int
    price_fen: int
    expires_at: datetime
    credits: int


_ADD = """
    insert into lots (program_id, account_id, budget_id, price_fen, expires_at, amount, remaining)
    select p, a, b, f, e, sum(c), sum(c)
    from unnest(%(p)s::bigint[], %(a)s::bigint[], %(b)s::bigint[], %(f)s::bigint[], %(e)s::timestamptz[],
                %(c)s::bigint[]) as x (p, a, b, f, e, c)
    group by p, a, b, f, e order by a, e, b
    on conflict (account_id, budget_id, price_fen, expires_at)
    do update set amount = lots.amount + excluded.amount, remaining = lots.remaining + excluded.remaining
    returning id, account_id, budget_id, price_fen, expires_at
"""


def add_to_lots(arrivals: Sequence[NewCredits]) -> list[int]:
    """Put arriving credits into lots, with one statement; answers each arrival's lot."""
    if not arrivals:
        return []
    values = {
        "p": [new.program_id for new in arrivals],
        "a": [new.account_id for new in arrivals],
        "b": [new.budget_id for new in arrivals],
        "f": [new.price_fen for new in arrivals],
        "e": [new.expires_at for new in arrivals],
        "c": [new.credits for new in arrivals],
    }
    rows = run(_ADD, values)
    found = {(row.account_id, row.budget_id, row.price_fen, row.expires_at): row.id for row in rows}
    return [found[new.account_id, new.budget_id, new.price_fen, new.expires_at] for new in arrivals]


def plan_spend(*, account_id: int, credits: int, at: datetime) -> list[LotPart]:
    """Lock and choose lots for a spend, oldest end first, none expired. Raises INSUFFICIENT with what is short."""
    query = (
        select(Lot.id, Lot.budget_id, Lot.price_fen, Lot.remaining)
        .where(Lot.account_id == account_id, Lot.remaining > 0, Lot.expires_at > at)
        .order_by(Lot.expires_at, Lot.id)
        .with_for_update()
    )
    parts: list[LotPart] = []
    missing = credits
    for lot in connection().execute(query):
        taken = min(missing, lot.remaining)
        if taken > 0:
            parts.append(LotPart(lot.id, lot.budget_id, lot.price_fen, taken))
            missing -= taken
    if missing:
        raise INSUFFICIENT(needed=str(credits), missing=str(missing))
    return parts


def use_lots(parts: Iterable[LotPart], *, transfer_id: int, kind: str, at: datetime) -> None:
    """Take the parts out of their lots on account of a transfer (``spend``, ``expire`` or ``reverse``)."""
    _move(parts, transfer_id=transfer_id, kind=kind, at=at, sign=1)


def give_back(parts: Iterable[LotPart], *, transfer_id: int, at: datetime, grace_until: datetime | None = None) -> None:
    """Put parts back into the lots they came from.

    A lot that has ended meanwhile is over: with ``grace_until`` its part goes on into a lot that ends then.
    """
    parts = list(parts)
    _move(parts, transfer_id=transfer_id, kind="return", at=at, sign=-1)
    if grace_until is not None:
        _renew(parts, transfer_id=transfer_id, at=at, until=grace_until)


def _renew(parts: Sequence[LotPart], *, transfer_id: int, at: datetime, until: datetime) -> None:
    """Move what came back to ended lots into new ones: same budget, same price, a later end."""
    query = select(Lot.id, Lot.program_id, Lot.account_id).where(Lot.id.in_([part.lot_id for part in parts]))
    ended = {lot.id: lot for lot in connection().execute(query.where(Lot.expires_at <= at))}
    late = [part for part in parts if part.lot_id in ended]
    arrivals = [
        NewCredits(
            ended[part.lot_id].program_id,
            ended[part.lot_id].account_id,
            part.budget_id,
            part.price_fen,
            until,
            part.credits,
        )
        for part in late
    ]
    into = dict(zip([part.lot_id for part in late], add_to_lots(arrivals), strict=True))
    _move(late, transfer_id=transfer_id, kind="renew", at=at, sign=1, into=into)


def _move(
    parts: Iterable[LotPart],
    *,
    transfer_id: int,
    kind: str,
    at: datetime,
    sign: int,
    into: Mapping[int, int] | None = None,
) -> None:
    link = connection()
    rows = []
    for part in sorted(parts, key=lambda part: part.lot_id):
        link.execute(update(Lot).where(Lot.id == part.lot_id).values(remaining=Lot.remaining - sign * part.credits))
        rows.append(
            {
                "lot_id": part.lot_id,
                "transfer_id": transfer_id,
                "amount": sign * part.credits,
                "kind": kind,
                "used_at": at,
                "into_lot_id": None if into is None else into[part.lot_id],
            }
        )
    if rows:
        link.execute(insert(LotUse), rows)
