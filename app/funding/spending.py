"""Spend credits: which lots pay, which budgets stand behind them, and what their money is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app import ledger
from app.errors import Kind, declare
from app.funding.awards import lock_wallets
from app.funding.models import Wallet
from app.ledger import Draft, LotPart

WALLET_FROZEN = declare(
    "wallet_frozen",
    Kind.CONFLICT,
    zh="您的账号正在找回处理中，积分暂停使用。如非本人申请，请在消息中提出异议。",
    en="A recovery of your account is under way, so credits can't be spent. If you didn't ask for it, object to it.",
)


@dataclass(frozen=True, slots=True)
class Spent:
    """A spend that is booked: its transfer and the lots that paid."""

    transfer_id: int
    parts: Sequence[LotPart]


def lock_wallet(*, person_id: int, program_id: int, at: datetime) -> Wallet:
    """A person's wallet with its row locked: everything about a wallet happens under this lock."""
    return lock_wallets([(person_id, program_id)], at=at)[person_id, program_id]


def spend(
    *,
    wallet: Wallet,
    credits: int,
    to_account_id: int,
    reason: str,
    source_ref: str,
    at: datetime,
    memo: dict[str, Any] | None = None,
) -> Spent:
    """Move credits out of a locked wallet to another credit account, oldest lots first.

    Raises INSUFFICIENT, WALLET_FROZEN.
    """
    if wallet.frozen:
        raise WALLET_FROZEN()
    parts = ledger.plan_spend(account_id=wallet.credits_account_id, credits=credits, at=at)
    draft = Draft(
        program_id=wallet.program_id,
        reason=reason,
        source_ref=source_ref,
        legs=[(wallet.credits_account_id, -credits), (to_account_id, credits)],
        memo=memo or {},
    )
    done = ledger.post([draft], at=at)[0]
    if done.fresh:
        ledger.use_lots(parts, transfer_id=done.transfer_id, kind="spend", at=at)
    return Spent(done.transfer_id, parts)


def worth_fen(parts: Sequence[LotPart]) -> list[int]:
    """What each part is worth in whole fen, floored: its credits at its lot's price."""
    return [part.credits * part.price_fen // 1000 for part in parts]


def draw(parts: Sequence[LotPart], total_fen: int) -> list[int]:
    """Split a settlement price over the budgets behind the parts, in proportion to what each part is worth.

    The parts sum to the whole to the fen and none draws more than it is worth. Raises ValueError when all together are
    worth less: such an item must not have been published.
    """
    worth = worth_fen(parts)
    whole = sum(worth)
    if total_fen > whole:
        raise ValueError(f"{total_fen} fen asked, the credits are worth {whole}")
    drawn = [total_fen * part // whole if whole else 0 for part in worth]
    rest = total_fen - sum(drawn)
    for number, part in enumerate(worth):
        extra = min(rest, part - drawn[number])
        drawn[number] += extra
        rest -= extra
    return drawn
