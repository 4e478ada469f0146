"""Tell people that a code of theirs was used: where and when, so that a stranger's scan is seen at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app import notices
from app.clock import SHANGHAI
from app.db import run

_USED = """
    select x.id, x.redeemed_at, x.quantity, x.undone_at, c.id as code_id, c.person_id, c.program_id, c.title,
           c.title_en, s.name as shop
    from redemptions x join codes c on c.id = x.code_id join shops s on s.id = x.shop_id
    where x.id = any (%(ids)s::bigint[]) and x.staff_person_id is not null order by x.id
"""


def tell_used(redemption_ids: Sequence[int], *, at: datetime) -> None:
    """Each scan once, however often it is heard of; what was undone meanwhile is left out."""
    for row in run(_USED, {"ids": list(redemption_ids)}):
        if row.undone_at is not None:
            continue
        when = f"{row.redeemed_at.astimezone(SHANGHAI):%m-%d %H:%M}"
        notices.tell(
            key=f"redemption:{row.id}:used",
            person_id=row.person_id,
            program_id=row.program_id,
            kind="code.redeemed",
            zh=f"“{row.title}”已于 {when} 在{row.shop}核销。如非本人使用，请立即联系客服。",
            en=f"“{row.title_en or row.title}” was used at {row.shop} ({when}). If it wasn't you, contact support now.",
            details={"code_id": str(row.code_id), "redemption_id": str(row.id)},
            at=at,
        )
