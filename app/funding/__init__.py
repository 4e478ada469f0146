"""Funding: credits exist only against a sponsor's money. ``award()`` is the one door by which credits reach people."""

from app.funding.actions import BUDGET_UNKNOWN, open_budget, receive_deposit, sponsor
from app.funding.awards import (
    Awarded,
    AwardRequest,
    Wallets,
    award,
    finish,
    lock_wallets,
    prepare,
    wallets_from,
    wallets_of,
)
from app.funding.expiry import expire_lots, expire_program, remind
from app.funding.holds import give_back, hold, release, settle
from app.funding.models import Award, Boost, Budget, BudgetReserve, CapUse, Deposit, Sponsor, Wallet
from app.funding.pending import pay_pending
from app.funding.reserves import RESERVE_SHORT, release_reserve, reserve, reserves_to_sweep
from app.funding.reversals import reverse_awards
from app.funding.spending import WALLET_FROZEN, Spent, lock_wallet, spend
from app.funding.telling import tell_paid

__all__ = [
    "BUDGET_UNKNOWN",
    "RESERVE_SHORT",
    "WALLET_FROZEN",
    "Award",
    "AwardRequest",
    "Awarded",
    "Boost",
    "Budget",
    "BudgetReserve",
    "CapUse",
    "Deposit",
    "Spent",
    "Sponsor",
    "Wallet",
    "Wallets",
    "award",
    "expire_lots",
    "expire_program",
    "finish",
    "give_back",
    "hold",
    "lock_wallet",
    "lock_wallets",
    "open_budget",
    "pay_pending",
    "prepare",
    "receive_deposit",
    "release",
    "release_reserve",
    "remind",
    "reserve",
    "reserves_to_sweep",
    "reverse_awards",
    "settle",
    "spend",
    "sponsor",
    "tell_paid",
    "wallets_from",
    "wallets_of",
]
