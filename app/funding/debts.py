"""Debts: credits that were reversed after they had been spent. Later credits pay the debt first."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import update

from app import ledger
from app.db import connection, run
from app.funding.actions import return_account
from app.funding.models import Wallet
from app.ledger import Draft

_SPENDABLE = """
    select a.version, least(a.balance, coalesce(sum(l.remaining), 0))::bigint as credits
    from accounts a left join lots l on l.account_id = a.id and l.remaining > 0 and l.expires_at > %(at)s
    where a.id = %(account)s group by a.id
"""


def repay_all(wallets: Iterable[Wallet], *, at: datetime) -> None:
    """Pay each wallet's debt from what it holds, oldest lots first; each lot's part returns to its own budget."""
    for wallet in {wallet.id: wallet for wallet in wallets if wallet.debt_credits > 0}.values():
        repay(wallet, at=at)


def repay(wallet: Wallet, *, at: datetime) -> int:
    """Pay what can be paid of one wallet's debt; answers how much. The wallet's row is locked by the caller."""
    # The account's version tells each repayment from the next: debts of one size may fall in one instant.
    row = run(_SPENDABLE, {"account": wallet.credits_account_id, "at": at})[0]
    amount = min(wallet.debt_credits, int(row.credits))
    if amount == 0:
        return 0
    parts = ledger.plan_spend(account_id=wallet.credits_account_id, credits=amount, at=at)
    legs = [(wallet.credits_account_id, -amount)]
    legs += [(return_account(part.budget_id, wallet.id), part.credits) for part in parts]
    draft = Draft(
        program_id=wallet.program_id,
        reason="debt.repay",
        source_ref=f"wallet:{wallet.id}:{row.version}",
        legs=legs,
    )
    done = ledger.post([draft], at=at)[0]
    ledger.use_lots(parts, transfer_id=done.transfer_id, kind="spend", at=at)
    add_debt(wallet, -amount)
    return amount


def add_debt(wallet: Wallet, credits: int) -> None:
    """Change what a wallet owes, in the row and in the given object."""
    changed = update(Wallet).where(Wallet.id == wallet.id).values(debt_credits=Wallet.debt_credits + credits)
    connection().execute(changed)
    wallet.debt_credits += credits
