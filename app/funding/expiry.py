"""Expiry: what is left of a lot at its end returns to its budget, after two reminders (domain.md, credits 5)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from app import ledger, notices
from app.clock import SHANGHAI
from app.db import run
from app.funding.actions import return_account
from app.funding.awards import lock_wallets
from app.ledger import Draft, LotPart

BATCH = 200
REMINDERS = (timedelta(days=30), timedelta(days=7))

_DUE = """
    select l.id, l.budget_id, l.price_fen, l.account_id, w.person_id, w.program_id
    from lots l join wallets w on w.credits_account_id = l.account_id
    where l.remaining > 0 and l.expires_at <= %(at)s order by w.id, l.id limit %(limit)s
"""
_ALL = """
    select l.id, l.budget_id, l.price_fen, l.account_id, w.person_id, w.program_id
    from lots l join wallets w on w.credits_account_id = l.account_id
    where l.remaining > 0 and l.program_id = %(program)s order by w.id, l.id limit %(limit)s
"""
_LEFT = "select remaining from lots where id = %(id)s for update"
_SOON = """
    select l.id, l.remaining, l.expires_at, w.person_id, w.program_id
    from lots l join wallets w on w.credits_account_id = l.account_id
    where l.remaining > 0 and l.expires_at > %(at)s and l.expires_at <= %(until)s order by l.id
"""


def expire_lots(*, at: datetime) -> int:
    """Expire lots whose end has come, one batch; answers how many, call again while it answers. Each lot once."""
    due = run(_DUE, {"at": at, "limit": BATCH})
    if not due:
        return 0
    lock_wallets([(lot.person_id, lot.program_id) for lot in due], at=at)
    return sum(_expire(lot, at) for lot in due)


def expire_program(*, program_id: int, at: datetime) -> int:
    """Expire what is left in a program whose window to redeem is over, one batch; answers how many, call again."""
    due = run(_ALL, {"program": program_id, "limit": BATCH})
    if due:
        lock_wallets([(lot.person_id, lot.program_id) for lot in due], at=at)
    return sum(_expire(lot, at) for lot in due)


def remind(*, at: datetime) -> int:
    """Tell people twice what is about to expire, 30 and 7 days before; answers how many lots were looked at."""
    looked = 0
    for ahead in REMINDERS:
        for lot in run(_SOON, {"at": at, "until": at + ahead}):
            looked += 1
            day = lot.expires_at.astimezone(SHANGHAI).date().isoformat()
            notices.tell(
                key=f"lot:{lot.id}:{ahead.days}",
                person_id=lot.person_id,
                program_id=lot.program_id,
                kind="credits.expiring",
                zh=f"您有 {lot.remaining} 积分将于 {day} 到期，请及时兑换或捐赠。",
                en=f"{lot.remaining} of your credits expire on {day}. Spend them or give them to welfare before.",
                at=at,
            )
    return looked


def _expire(lot: Any, at: datetime) -> bool:
    left = run(_LEFT, {"id": lot.id})
    if not left or left[0].remaining == 0:
        return False
    credits = left[0].remaining
    draft = Draft(
        program_id=lot.program_id,
        reason="lot.expire",
        source_ref=f"lot:{lot.id}",
        legs=[(lot.account_id, -credits), (return_account(lot.budget_id, lot.id), credits)],
    )
    done = ledger.post([draft], at=at)[0]
    part = LotPart(lot.id, lot.budget_id, lot.price_fen, credits)
    ledger.use_lots([part], transfer_id=done.transfer_id, kind="expire", at=at)
    notices.tell(
        key=f"lot:{lot.id}:expired",
        person_id=lot.person_id,
        program_id=lot.program_id,
        kind="credits.expired",
        zh=f"{credits} 积分已到期，退回资助预算。",
        en=f"{credits} of your credits have expired and went back to the budget they came from.",
        at=at,
    )
    return True
