"""Reads of snapshots."""

from __future__ import annotations

from typing import Any

from app.db import read
from app.errors import NOT_FOUND

_MINE = """
    select s.id, s.record_id, s.scenario, s.note, s.taken_at, s.sent_at, p.code as program, r.state,
           r.reason_zh, r.reason_en, m.state as photo_state, m.name as photo_name,
           coalesce((select sum(w.credits) from awards w where w.record_id = r.id and w.state = 'paid'), 0) as credits
    from snapshots s join programs p on p.id = s.program_id join records r on r.id = s.record_id
    left join media m on m.id = s.medium_id and m.removed_at is null
    where s.person_id = %(person)s
"""


def of_person(person_id: int, *, before: int | None, limit: int) -> list[Any]:
    """A person's snapshots, newest first, below the cursor."""
    query = _MINE + " and s.id < %(before)s order by s.id desc limit %(limit)s"
    return read(query, {"person": person_id, "before": before or 2**63 - 1, "limit": limit})


def one(snapshot_id: int, person_id: int) -> Any:
    """One of a person's snapshots. Raises NOT_FOUND."""
    rows = read(_MINE + " and s.id = %(id)s", {"person": person_id, "id": snapshot_id})
    if not rows:
        raise NOT_FOUND(snapshot=str(snapshot_id))
    return rows[0]


_WAITING = """
    select s.id, s.record_id as record, s.scenario, s.taken_at as taken, s.sent_at as sent, s.note, m.name,
           m.state as photo, s.similar_to, s.distance,
           (select count(*) from snapshots o where o.person_id = s.person_id
              and o.sent_at > s.sent_at - interval '1 day'
              and o.sent_at <= s.sent_at) as of_the_day
    from snapshots s join records r on r.id = s.record_id and r.state = 'held'
    join media m on m.id = s.medium_id and m.removed_at is null
    where s.program_id = %(program)s and s.id > %(after)s and m.state = 'pass' order by s.id limit %(limit)s
"""


def waiting(program_id: int, *, after: int = 0, limit: int = 50) -> list[Any]:
    """What has passed its content check and waits for a person, the longest first; names nobody."""
    return read(_WAITING, {"program": program_id, "after": after, "limit": limit})
