"""Tell people that an act of theirs waits for a person of ours; off the road of the act itself."""

from __future__ import annotations

from datetime import datetime, timedelta

from app import notices
from app.db import read

LOOKED_BACK = timedelta(hours=24)
_HELD = """
    select r.id, r.person_id, r.program_id, r.reason_code, r.reason_zh, r.reason_en from records r
    where r.state = 'held' and r.received_at > %(since)s
      and not exists (select 1 from notices n where n.notice_key = 'record:' || r.id || ':held')
    order by r.id limit 500
"""


def tell_held(*, at: datetime) -> int:
    """Tell of records held since yesterday, each once; answers how many."""
    found = read(_HELD, {"since": at - LOOKED_BACK})
    for row in found:
        notices.tell(
            key=f"record:{row.id}:held",
            person_id=row.person_id,
            program_id=row.program_id,
            kind="record.held",
            zh=row.reason_zh or "您的记录正在人工核实。",
            en=row.reason_en or "A person is looking at your record.",
            details={"record_id": str(row.id), "reason": row.reason_code},
            at=at,
        )
    return len(found)
