"""Redemptions: codes that a merchant scans. One winner under any race; the loser is told when and where it was used."""

from app.redemptions.expiring import NOT_EXTENDABLE, due, expire, extend
from app.redemptions.fulfilling import fulfil
from app.redemptions.issuing import CODE_EXPIRED, ORDER_REDEEMED, as_written, issue, valid_until, withdraw
from app.redemptions.models import Code, CodeFunding, Redemption, ShopDay, UseTerms
from app.redemptions.queries import (
    codes_of_order,
    codes_of_person,
    codes_shown,
    picture_of,
    scan,
    scans_of_shop,
    show,
    spendable,
    tally,
)
from app.redemptions.reminding import remind
from app.redemptions.scanning import (
    CODE_BLACKOUT,
    CODE_FOREIGN,
    CODE_HELD,
    CODE_INVALID,
    CODE_MISTYPED,
    CODE_NOT_YET,
    CODE_OUTSIDE_HOURS,
    CODE_REFUNDED,
    CODE_STALE,
    CODE_USED,
    CODE_USES_LEFT,
    CODE_WRONG_SHOP,
    MERCHANT_PAUSED,
    OWN_CODE,
    SHOP_PAUSED,
    SHOP_QUOTA,
    UNDO_TOO_LATE,
    UNDO_WITHIN,
    VERDICTS,
    Scan,
    Verdict,
    preview,
    redeem,
    redeem_many,
    undo,
)

__all__ = [
    "CODE_BLACKOUT", "CODE_EXPIRED", "CODE_FOREIGN", "CODE_HELD", "CODE_INVALID", "CODE_MISTYPED", "CODE_NOT_YET",
    "CODE_OUTSIDE_HOURS", "CODE_REFUNDED", "CODE_STALE", "CODE_USED", "CODE_USES_LEFT", "CODE_WRONG_SHOP",
    "MERCHANT_PAUSED", "NOT_EXTENDABLE", "ORDER_REDEEMED", "OWN_CODE", "SHOP_PAUSED", "SHOP_QUOTA", "UNDO_TOO_LATE",
    "UNDO_WITHIN", "VERDICTS", "Code", "CodeFunding", "Redemption", "Scan", "ShopDay", "UseTerms", "Verdict",
    "as_written", "codes_of_order", "codes_of_person", "codes_shown", "due", "expire", "extend", "fulfil", "issue",
    "picture_of", "preview", "redeem", "redeem_many", "remind", "scan", "scans_of_shop", "show", "spendable", "tally",
    "undo", "valid_until", "withdraw",
]  # fmt: skip
