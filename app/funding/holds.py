"""Holds: credits set aside from a wallet, to be released to the lots they came from, or spent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from app import clock, ledger
from app.db import run
from app.errors import NOT_FOUND
from app.funding.models import Wallet
from app.funding.spending import Spent, spend
from app.ledger import Draft, LotPart

# Release and settlement share one natural key: a hold ends once, one way; the other is refused as a conflict.
END = "hold.end"
# Credits that come back after their lot has ended live on for so many days: it was no fault of the person's.
GRACE_DAYS = 30
_PARTS = """
    select u.lot_id, l.budget_id, l.price_fen, u.amount from lot_uses u join lots l on l.id = u.lot_id
    where u.transfer_id = %(transfer)s order by u.id
"""


def hold(*, wallet: Wallet, credits: int, source_ref: str, at: datetime) -> Spent:
    """Set credits of a locked wallet aside, oldest lots first. Raises INSUFFICIENT."""
    return spend(
        wallet=wallet,
        credits=credits,
        to_account_id=wallet.hold_account_id,
        reason="hold",
        source_ref=source_ref,
        at=at,
    )


def release(*, wallet: Wallet, transfer_id: int, at: datetime) -> int:
    """Give a hold back to its lots, exactly; twice is once. Answers the transfer.

    What comes back after the end of its lot goes into a lot of its own, for GRACE_DAYS.
    Raises NOT_FOUND for no hold, LEDGER_CONFLICT for one that was spent.
    """
    parts = _parts(transfer_id)
    draft = ledger.reversal_of(transfer_id, reason=END, source_ref=f"hold:{transfer_id}")
    done = ledger.post([draft], at=at)[0]
    if done.fresh:
        ledger.give_back(parts, transfer_id=done.transfer_id, at=at, grace_until=grace(at))
    return done.transfer_id


def give_back(*, wallet: Wallet, parts: Sequence[LotPart], from_account_id: int, source_ref: str, at: datetime) -> int:
    """Return credits that an order had spent to the lots they came from, exactly; twice is once. Answers the transfer.

    ``parts`` are what stands behind the pieces that come back. What comes back after the end of its lot goes into a lot
    of its own, for GRACE_DAYS.
    """
    credits = sum(part.credits for part in parts)
    draft = Draft(
        program_id=wallet.program_id,
        reason="order.return",
        source_ref=source_ref,
        legs=[(from_account_id, -credits), (wallet.credits_account_id, credits)],
    )
    done = ledger.post([draft], at=at)[0]
    if done.fresh:
        ledger.give_back(parts, transfer_id=done.transfer_id, at=at, grace_until=grace(at))
    return done.transfer_id


def grace(at: datetime) -> datetime:
    """Until when credits live on that come back after the end of their lot."""
    return clock.day_start(clock.business_day(at) + timedelta(days=GRACE_DAYS + 1))


def settle(*, wallet: Wallet, transfer_id: int, to_account_id: int, at: datetime) -> Spent:
    """Spend a hold: its credits go on to another account; the lots stay as the hold left them.

    Raises NOT_FOUND for no hold, LEDGER_CONFLICT for one that was released.
    """
    parts = _parts(transfer_id)
    credits = sum(part.credits for part in parts)
    draft = Draft(
        program_id=wallet.program_id,
        reason=END,
        source_ref=f"hold:{transfer_id}",
        legs=[(wallet.hold_account_id, -credits), (to_account_id, credits)],
    )
    return Spent(ledger.post([draft], at=at)[0].transfer_id, parts)


def _parts(transfer_id: int) -> list[LotPart]:
    found = [
        LotPart(row.lot_id, row.budget_id, row.price_fen, row.amount) for row in run(_PARTS, {"transfer": transfer_id})
    ]
    if not found:
        raise NOT_FOUND(hold=str(transfer_id))
    return found
