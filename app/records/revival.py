"""When the record that counted for an act is taken back, another source's record of it counts in its place."""

from __future__ import annotations

from datetime import datetime

from app import notices
from app.db import run, session
from app.errors import Refusal
from app.records import reviews

_COLLAPSED = """
    select distinct r.id, r.tier, r.received_at, r.person_id, r.program_id
    from records gone
    join claims c on c.record_id = gone.id and not c.live
    join records r on r.person_id = gone.person_id and r.id <> gone.id and r.state = 'duplicate'
      and r.reason_code in ('same_act', 'better_source')
      and tstzrange(r.occurred_at, r.ended_at, '[]') && c.during
    where gone.id = any (%(ids)s::bigint[]) and gone.state in ('reversed', 'rejected', 'superseded')
    order by r.tier, r.received_at, r.id
"""


def revive(record_ids: list[int], *, at: datetime) -> list[int]:
    """Count what had collapsed onto records that are gone, the best evidence first; answers the records that count now.

    Each is judged anew: what still overlaps a standing claim stays collapsed, what can't be counted stays as it is. The
    person is told.
    """
    counted = []
    for found in run(_COLLAPSED, {"ids": record_ids}):
        try:
            with session().begin_nested():
                taken = reviews.restore(record_id=found.id, by="system:revival", at=at)
        except Refusal:
            continue
        if taken.outcome != "accepted" or taken.state != "counted" or taken.record_id is None:
            continue
        counted.append(taken.record_id)
        notices.tell(
            key=f"record:{found.id}:revived",
            person_id=found.person_id,
            program_id=found.program_id,
            kind="record.counted",
            zh="同一行为的另一条记录已撤销，这条来自其他来源的记录现在计入。",
            en="Another record of the same act was taken back, so this one from another source counts now.",
            details={"record_id": str(taken.record_id)},
            at=at,
        )
    return counted
