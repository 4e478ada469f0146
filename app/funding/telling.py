"""Tell people that credits which waited for money have arrived."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app import notices
from app.db import run

_PAID = """
    select a.id, a.credits, w.person_id, a.program_id, p.name, p.name_en from awards a
    join wallets w on w.id = a.wallet_id join programs p on p.id = a.program_id
    where a.id = any (%(ids)s::bigint[]) and a.state = 'paid' order by a.id
"""


def tell_paid(award_ids: Sequence[int], *, at: datetime) -> None:
    """Each award once, however often it is heard of."""
    for row in run(_PAID, {"ids": list(award_ids)}):
        notices.tell(
            key=f"award:{row.id}:paid",
            person_id=row.person_id,
            program_id=row.program_id,
            kind="award.paid",
            zh=f"{row.credits} 积分已到账（{row.name}）。",
            en=f"{row.credits} credits have arrived ({row.name_en or row.name}).",
            at=at,
        )
