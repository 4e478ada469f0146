"""Set money aside: a promise of prizes is covered from the day it is made, whatever else the budget is asked for.

A reserve is a budget beside its parent, of the same sponsor and price, with one slice. Credits and the fen behind them
move together and exactly, so both stay covered.
"""

from __future__ import annotations

from datetime import datetime
from math import gcd
from typing import Any

from sqlalchemy import select

from app import events, ledger, outbox
from app.db import run, session
from app.errors import Kind, declare
from app.funding.actions import open_budget, slice_accounts
from app.funding.models import Budget, BudgetReserve
from app.ledger import Draft

RESERVE_SHORT = declare(
    "reserve_short",
    Kind.CONFLICT,
    zh="预算余额不足以预留全部奖励，请先追加出资或减少奖励。",
    en="The budget can't cover all prizes. Add money to it, or promise less.",
)


def reserve(*, parent: Budget, purpose: str, name: str, credits: int, at: datetime) -> Budget:
    """Set at least ``credits`` aside for a purpose, or bring its reserve up to that; answers the reserve's budget.

    Rounded up to where the credits are worth whole fen. Raises RESERVE_SHORT when the budget has less, or when awards
    wait for it: they come first.
    """
    found = session().scalars(select(BudgetReserve).where(BudgetReserve.purpose == purpose)).first()
    own = session().get_one(Budget, found.budget_id) if found else _open(parent, purpose, name, at)
    kept = found or session().get_one(BudgetReserve, own.id)
    step = _step(parent.price_fen)
    more = -(-max(credits - kept.credits, 0) // step) * step
    if more:
        slices = _lock_slices(parent.id)
        waiting = run("select 1 from awards where budget_id = %(b)s and state = 'pending' limit 1", {"b": parent.id})
        there = 0 if waiting else sum(balance for _, balance in slices)
        if there < more:
            raise RESERVE_SHORT(needed=more, available=there, budget=parent.code)
        _move(kept, parent, own, _out_of(slices, more), more, at)
    return own


def release_reserve(*, budget_id: int, at: datetime) -> int:
    """Give back to the parent what a reserve has not used, or got back since; answers the credits. Any number of times.

    What is worth less than a whole fen stays for the next time.
    """
    kept = session().get_one(BudgetReserve, budget_id, with_for_update=True)
    own, parent = session().get_one(Budget, budget_id), session().get_one(Budget, kept.parent_id)
    kept.released_at = kept.released_at or at
    slices = _lock_slices(own.id)
    step = _step(own.price_fen)
    back = sum(balance for _, balance in slices) // step * step
    if back:
        _move(kept, own, parent, _out_of(slices, back), back, at)
        outbox.publish(events.BUDGET_FUNDED, {"budget_id": parent.id}, program_id=parent.program_id)
    return back


def reserves_to_sweep() -> list[int]:
    """Released reserves that hold credits again, after an expiry or a reversal."""
    query = """
        select r.budget_id from budget_reserves r join budgets b on b.id = r.budget_id
        join budget_slices s on s.budget_id = r.budget_id join accounts a on a.id = s.account_id
        where r.released_at is not null group by r.budget_id, b.price_fen
        having sum(a.balance) >= 1000 / gcd(b.price_fen, 1000) order by r.budget_id
    """
    return [row.budget_id for row in run(query)]


def _open(parent: Budget, purpose: str, name: str, at: datetime) -> Budget:
    own = open_budget(
        program_id=parent.program_id, sponsor_id=parent.sponsor_id, code=purpose, name=name, price_fen=parent.price_fen,
        is_default=False, at=at, slices=1,
    )  # fmt: skip
    row = BudgetReserve(
        budget_id=own.id, parent_id=parent.id, purpose=purpose, credits=0, fen=0, moves=0, created_at=at
    )
    session().add(row)
    session().flush()
    return own


def _step(price_fen: int) -> int:
    """The fewest credits that are worth whole fen."""
    return 1000 // gcd(price_fen, 1000)


def _lock_slices(budget_id: int) -> list[tuple[int, int]]:
    query = """
        select a.id, a.balance from budget_slices s join accounts a on a.id = s.account_id
        where s.budget_id = %(budget)s order by a.id for update of a
    """
    return [(row.id, row.balance) for row in run(query, {"budget": budget_id})]


def _out_of(slices: list[tuple[int, int]], credits: int) -> list[tuple[int, int]]:
    """Legs that take an amount out of slices, from each in proportion to what it has, so that none is drained first."""
    whole = sum(balance for _, balance in slices)
    parts = [credits * balance // whole for _, balance in slices]
    rest = credits - sum(parts)
    legs = []
    for (account_id, balance), part in zip(slices, parts, strict=True):
        extra = min(rest, balance - part)
        rest -= extra
        if part + extra:
            legs.append((account_id, -(part + extra)))
    return legs


def _move(kept: BudgetReserve, giver: Budget, taker: Budget, out: list[Any], credits: int, at: datetime) -> None:
    """Both assets in one posting; what comes back to a parent is spread over its slices."""
    fen = credits * giver.price_fen // 1000
    slices = slice_accounts(taker.id)
    share, rest = divmod(credits, len(slices))
    into = [(slice_id, share + (1 if number < rest else 0)) for number, slice_id in enumerate(slices)]
    key = f"{kept.purpose}:{kept.moves}"
    reason = "reserve.take" if taker.id == kept.budget_id else "reserve.return"
    money = [(giver.money_account_id, -fen), (taker.money_account_id, fen)]
    legs = [*out, *((slice_id, part) for slice_id, part in into if part)]
    ledger.post(
        [Draft(giver.program_id, f"{reason}.fen", key, money), Draft(giver.program_id, reason, key, legs)], at=at
    )
    sign = 1 if reason == "reserve.take" else -1
    kept.credits, kept.fen, kept.moves = kept.credits + sign * credits, kept.fen + sign * fen, kept.moves + 1
    session().flush()
