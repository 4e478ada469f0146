"""The ledger: the only place where grams (mg), credits and money (fen) move. Double-entry, append-only, idempotent."""

from app.ledger.actions import (
    INSUFFICIENT,
    LEDGER_CONFLICT,
    Draft,
    Posted,
    account,
    accounts,
    as_json,
    post,
    posted,
    refusal,
    reversal_of,
)
from app.ledger.lots import LotPart, NewCredits, add_to_lots, give_back, plan_spend, use_lots
from app.ledger.models import Account, Entry, Lot, LotUse, Transfer

__all__ = [
    "INSUFFICIENT",
    "LEDGER_CONFLICT",
    "Account",
    "Draft",
    "Entry",
    "Lot",
    "LotPart",
    "LotUse",
    "NewCredits",
    "Posted",
    "Transfer",
    "account",
    "accounts",
    "add_to_lots",
    "as_json",
    "give_back",
    "plan_spend",
    "post",
    "posted",
    "refusal",
    "reversal_of",
    "use_lots",
]
