"""Redemptions: codes that a merchant scans. One winner under any race; the loser is told when and where it was used."""

from app.redemptions.actions import (
    CODE_EXPIRED,
    CODE_INVALID,
    CODE_MISTYPED,
    CODE_NOT_YET,
    CODE_REFUNDED,
    CODE_USED,
    CODE_WRONG_SHOP,
    OWN_CODE,
    UNDO_TOO_LATE,
    Verdict,
    issue,
    preview,
    redeem,
    undo,
)
from app.redemptions.models import Code, CodeFunding, Redemption
from app.redemptions.queries import codes_of_order, codes_of_person, show, tally

__all__ = [
    "CODE_EXPIRED",
    "CODE_INVALID",
    "CODE_MISTYPED",
    "CODE_NOT_YET",
    "CODE_REFUNDED",
    "CODE_USED",
    "CODE_WRONG_SHOP",
    "OWN_CODE",
    "UNDO_TOO_LATE",
    "Code",
    "CodeFunding",
    "Redemption",
    "Verdict",
    "codes_of_order",
    "codes_of_person",
    "issue",
    "preview",
    "redeem",
    "show",
    "tally",
    "undo",
]
