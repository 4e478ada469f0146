"""Pending awards: they wait for their budget in order of arrival, and are paid in full or not yet."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, text, update

from app import events, ledger, outbox
from app.db import connection
from app.funding import debts
from app.funding.awards import lot_end
from app.funding.models import Award, Budget, Wallet
from app.ledger import Draft, NewCredits
from app.programs.models import Terms

BATCH = 200

_LOCK_SLICES = text(
    "select a.id, a.balance from budget_slices s join accounts a on a.id = s.account_id"
    " where s.budget_id = :budget order by a.id for update of a"
)


def pay_pending(*, budget_id: int, at: datetime) -> list[int]:
    """Pay waiting awards of a budget, strictly in their order; a large head blocks. Answers the awards paid.

    Pays at most one batch; the caller runs it again while it pays something. The lot's expiry counts from now.
    """
    head = select(Award).where(Award.budget_id == budget_id, Award.state == "pending").order_by(Award.id).limit(BATCH)
    waiting = connection().execute(head).all()
    locked = select(Wallet).where(Wallet.id.in_({row.wallet_id for row in waiting})).order_by(Wallet.id)
    wallets = {row.id: Wallet(**row._mapping) for row in connection().execute(locked.with_for_update())}
    budget = connection().execute(select(Budget).where(Budget.id == budget_id)).one()
    slices = [list(row) for row in connection().execute(_LOCK_SLICES, {"budget": budget_id})]
    still = connection().execute(head).all()
    paid: list[int] = []
    if budget.state != "open":
        return paid
    for award in still:
        if award.wallet_id not in wallets or sum(balance for _, balance in slices) < award.credits:
            break
        legs = _take(slices, award.credits)
        _pay(award, wallets[award.wallet_id], budget, legs, at)  # type: ignore[arg-type]
        paid.append(award.id)
    debts.repay_all([wallets[award.wallet_id] for award in still if award.id in set(paid)], at=at)
    if paid:
        outbox.publish(events.AWARD_PAID, {"award_ids": paid}, program_id=budget.program_id)
    return paid


def _take(slices: list[list[int]], credits: int) -> list[tuple[int, int]]:
    """Take an amount out of the slices in order, changing their remembered balances."""
    legs = []
    for found in slices:
        part = min(credits, found[1])
        if part:
            legs.append((found[0], -part))
            found[1] -= part
            credits -= part
    return legs


def _pay(award: Award, wallet: Wallet, budget: Budget, legs: list[tuple[int, int]], at: datetime) -> None:
    draft = Draft(
        program_id=award.program_id,
        reason=f"award.{award.reason}",
        source_ref=award.source_ref,
        legs=[*legs, (wallet.credits_account_id, award.credits)],
    )
    done = ledger.post([draft], at=at)[0]
    terms = connection().execute(select(Terms).where(Terms.id == award.terms_id)).one()
    expires_at = lot_end(terms, at)
    arrival = NewCredits(
        award.program_id, wallet.credits_account_id, budget.id, budget.price_fen, expires_at, award.credits
    )
    lot_id = ledger.add_to_lots([arrival])[0]
    changes = {"state": "paid", "transfer_id": done.transfer_id, "lot_id": lot_id, "paid_at": at}
    connection().execute(update(Award).where(Award.id == award.id).values(**changes, expires_at=expires_at))
