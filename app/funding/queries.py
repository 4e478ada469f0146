"""Reads about funding: what is promised, what covers it, how long the money lasts. Live figures, public per program."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.db import run

RUNWAY_DAYS = 30

# What each budget holds and owes: its money; credits it can still issue; credits in wallets, behind open codes and held
# for orders that are to be paid, all at its own price; credits that wait for money.
BUDGETS = """
    select b.id, b.code, b.price_fen, m.balance as money_fen,
           (select coalesce(sum(a.balance), 0) from budget_slices s join accounts a on a.id = s.account_id
            where s.budget_id = b.id)::bigint as capacity,
           (select coalesce(sum(l.remaining), 0) from lots l where l.budget_id = b.id)::bigint as in_wallets,
           (select coalesce(sum(f.credits), 0) from code_fundings f join codes c on c.id = f.code_id
            where f.budget_id = b.id and c.state = 'issued')::bigint as behind_codes,
           (select coalesce(sum(u.amount), 0) from orders o join lot_uses u on u.transfer_id = o.transfer_id
            join lots l on l.id = u.lot_id
            where o.state in ('placed', 'paying') and l.budget_id = b.id)::bigint as held,
           (select coalesce(sum(w.credits), 0) from awards w
            where w.budget_id = b.id and w.state = 'pending')::bigint as waiting
    from budgets b join accounts m on m.id = b.money_account_id
    where b.program_id = %(program)s order by b.id
"""
_PACE = """
    select coalesce(sum(credits), 0)::bigint as credits from awards
    where program_id = %(program)s and state = 'paid' and paid_at > %(since)s
"""


@dataclass(frozen=True, slots=True)
class Cover:
    """Whether the promises are covered. ``cost_fen`` is what redeeming every outstanding credit would cost.

    ``ratio_bps`` is money ÷ cost in basis points, floored; None when nothing is outstanding. ``runway_days`` is how
    long the capacity lasts at the pace of the last 30 days; None without a pace.
    """

    money_fen: int
    cost_fen: int
    capacity: int
    outstanding: int
    waiting: int
    ratio_bps: int | None
    runway_days: int | None

    @property
    def covered(self) -> bool:
        """Inclusive: exactly enough is enough."""
        return self.money_fen >= self.cost_fen


def cover(program_id: int, *, at: datetime) -> Cover:
    """The live cover of a program's promises (domain.md, credits 4)."""
    budgets = run(BUDGETS, {"program": program_id})
    pace = run(_PACE, {"program": program_id, "since": at - timedelta(days=RUNWAY_DAYS)})[0].credits
    promised = [row.in_wallets + row.behind_codes + row.held for row in budgets]
    owed = sum(credits * row.price_fen for credits, row in zip(promised, budgets, strict=True))
    money = sum(row.money_fen for row in budgets)
    cost = -(-owed // 1000)
    capacity = sum(row.capacity for row in budgets)
    return Cover(
        money_fen=money,
        cost_fen=cost,
        capacity=capacity,
        outstanding=sum(promised),
        waiting=sum(row.waiting for row in budgets),
        ratio_bps=money * 10_000 // cost if cost else None,
        runway_days=capacity * RUNWAY_DAYS // pace if pace else None,
    )
