"""The sponsor's view: the same money at every step, from the deposit to the goods and gifts that it became.

Every figure is a sum of ledger entries on the budgets' money accounts, so that they agree to the fen:
deposits = held + redeemed + given + returned, and redeemed = not yet on a statement + drawn + approved + paid.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from app.db import run
from app.errors import NOT_FOUND

_MONEY = """
    select b.code as budget, b.name, b.price_fen, m.balance as held_fen,
           coalesce(x.deposits, 0)::bigint as deposits_fen, coalesce(x.redeemed, 0)::bigint as redeemed_fen,
           coalesce(x.given, 0)::bigint as given_fen, coalesce(x.returned, 0)::bigint as returned_fen,
           coalesce(x.unlisted, 0)::bigint as unlisted_fen, coalesce(x.drawn, 0)::bigint as drawn_fen,
           coalesce(x.approved, 0)::bigint as approved_fen, coalesce(x.paid, 0)::bigint as paid_fen,
           (select coalesce(sum(a.credits), 0) from awards a where a.budget_id = b.id and a.state = 'paid')::bigint
             as issued_credits,
           (select coalesce(sum(l.remaining), 0) from lots l where l.budget_id = b.id)::bigint as outstanding_credits,
           (select coalesce(sum(u.amount), 0) from lot_uses u join lots l on l.id = u.lot_id
            where l.budget_id = b.id and u.kind = 'expire')::bigint as expired_credits
    from budgets b join sponsors s on s.id = b.sponsor_id join accounts m on m.id = b.money_account_id
    left join lateral (
      select sum(e.amount) filter (where t.reason = 'deposit') as deposits,
             -sum(e.amount) filter (where t.reason in ('redeem', 'redeem.undo', 'redeem.fraud', 'settlement.correct'))
                as redeemed,
             -sum(e.amount) filter (where t.reason like 'gift%%' or t.reason like 'welfare%%') as given,
             -sum(e.amount) filter (where t.reason = 'sponsor.return') as returned,
             -sum(e.amount) filter (where t.reason in ('redeem', 'redeem.undo', 'redeem.fraud', 'settlement.correct')
                                      and z.state is null) as unlisted,
             -sum(e.amount) filter (where z.state in ('draft', 'issued')) as drawn,
             -sum(e.amount) filter (where z.state in ('approved', 'carried')) as approved,
             -sum(e.amount) filter (where z.state = 'paid') as paid
      from entries e join transfers t on t.id = e.transfer_id
      left join statement_lines l on l.transfer_id = t.id left join statements z on z.id = l.statement_id
      where e.account_id = m.id) x on true
    where s.program_id = %(program)s and s.code = %(sponsor)s order by b.code
"""


@dataclass(frozen=True, slots=True)
class SponsorView:
    """A sponsor's money, all budgets together (fen) and each; what its credits have become."""

    sponsor: str
    name: str
    name_en: str
    deposits_fen: int
    held_fen: int
    redeemed_fen: int
    given_fen: int
    returned_fen: int
    unlisted_fen: int
    drawn_fen: int
    approved_fen: int
    paid_fen: int
    issued_credits: int
    outstanding_credits: int
    expired_credits: int
    budgets: list[dict[str, Any]]

    @property
    def agrees(self) -> bool:
        """Whether the sums meet at every step."""
        spent = self.held_fen + self.redeemed_fen + self.given_fen + self.returned_fen
        listed = self.unlisted_fen + self.drawn_fen + self.approved_fen + self.paid_fen
        return self.deposits_fen == spent and self.redeemed_fen == listed

    def shown(self) -> dict[str, Any]:
        """As JSON carries it."""
        return {**asdict(self), "agrees": self.agrees}


SUMMED = (
    "deposits_fen", "held_fen", "redeemed_fen", "given_fen", "returned_fen", "unlisted_fen", "drawn_fen",
    "approved_fen", "paid_fen", "issued_credits", "outstanding_credits", "expired_credits",
)  # fmt: skip


def sponsor_view(program_id: int, sponsor: str) -> SponsorView:
    """Where a sponsor's money is now. Raises NOT_FOUND."""
    values = {"program": program_id, "sponsor": sponsor}
    named = run("select name, name_en from sponsors where program_id = %(program)s and code = %(sponsor)s", values)
    if not named:
        raise NOT_FOUND(sponsor=sponsor)
    budgets = [row._asdict() for row in run(_MONEY, values)]
    sums = {name: sum(budget[name] for budget in budgets) for name in SUMMED}
    return SponsorView(sponsor=sponsor, name=named[0].name, name_en=named[0].name_en, budgets=budgets, **sums)
