"""Remind people of codes that end soon."""

from __future__ import annotations

from datetime import datetime, timedelta

from app import notices
from app.clock import SHANGHAI
from app.db import read

AHEAD = timedelta(days=3)
_SOON = """
    select c.id, c.person_id, c.program_id, c.title, c.title_en, c.valid_until from codes c
    where c.state = 'issued' and c.how = 'scan' and c.valid_until > %(at)s and c.valid_until <= %(until)s
      and c.valid_from <= %(at)s - interval '1 day'
      and not exists (select 1 from notices n where n.notice_key = 'code:' || c.id || ':expiring:'
                      || (c.valid_until at time zone 'Asia/Shanghai')::date)
    order by c.id limit 500
"""


def remind(*, at: datetime) -> int:
    """Tell once of each unused code that ends within three days (and is no code of today), and once of a prolonged
    one's new end; answers how many."""
    found = read(_SOON, {"at": at, "until": at + AHEAD})
    for row in found:
        day = row.valid_until.astimezone(SHANGHAI).date().isoformat()
        notices.tell(
            key=f"code:{row.id}:expiring:{day}",
            person_id=row.person_id,
            program_id=row.program_id,
            kind="code.expiring",
            zh=f"兑换券“{row.title}”将于 {day} 到期，请尽快到店使用。",
            en=f"Your voucher “{row.title_en or row.title}” ends on {day}. Use it before.",
            details={"code_id": str(row.id)},
            at=at,
        )
    return len(found)
