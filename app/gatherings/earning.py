"""What an attendance earns: records of the program's own source, each with its own reference, so credits come once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert

from app import records, sources
from app.db import connection, run
from app.gatherings.models import Attendance, Gathering, GatheringAct
from app.records import Act, Taken

SYSTEM, CITIZEN, TENCENT = "system", "citizen", "tencent-meeting"
_KINDS = {SYSTEM: ("system", "系统"), CITIZEN: ("citizen", "本人申报"), TENCENT: ("partner", "腾讯会议")}


@dataclass(frozen=True, slots=True)
class Earning:
    """One act of an attendance: by which scenario, from whom we know it, with which facts."""

    attendance: Attendance
    scenario: str
    source: str
    facts: Mapping[str, Any]
    occurred_at: datetime
    ended_at: datetime


def source_of(program_id: int, code: str) -> int:
    """A source of the program by its code, made when it lacks."""
    kind, name = _KINDS[code]
    return sources.register(program_id=program_id, code=code, kind=kind, name=name).id


def earn(found: Gathering, earnings: Sequence[Earning], *, at: datetime) -> list[Taken]:
    """Take the acts; each refusal is kept beside the attendance that it belongs to."""
    if not earnings:
        return []
    ids = {code: source_of(found.program_id, code) for code in sorted({one.source for one in earnings})}
    taken = records.take_many([_act(found, one, ids[one.source]) for one in earnings], at=at)
    rows = [
        {
            "attendance_id": one.attendance.id,
            "scenario": one.scenario,
            "record_id": answer.record_id if answer.refusal is None else None,
            "refused": None if answer.refusal is None else answer.refusal.code,
        }
        for one, answer in zip(earnings, taken, strict=True)
    ]
    connection().execute(insert(GatheringAct), rows)
    return taken


_EARNED = """
    select r.id, r.state, coalesce(d.counted_mg, 0) as mg,
           (select coalesce(sum(w.credits), 0)::bigint from awards w where w.record_id = r.id) as credits
    from gathering_acts g join records r on r.id = g.record_id
    left join reductions d on d.record_id = coalesce(r.primary_id, r.id)
    where g.attendance_id = %(attendance)s order by g.id limit 1
"""


def earned(attendance_id: int) -> Taken | None:
    """What an attendance earned before; None while it has not."""
    rows = run(_EARNED, {"attendance": attendance_id})
    if not rows:
        return None
    return Taken("duplicate", rows[0].id, rows[0].state, mg=rows[0].mg, credits=rows[0].credits)


def _act(found: Gathering, one: Earning, source_id: int) -> Act:
    who = one.attendance
    return Act(
        program_id=found.program_id,
        scenario=one.scenario,
        person_id=who.person_id,
        source_id=source_id,
        reference=f"gathering:{found.id}:{who.person_id}:{who.day.isoformat()}:{one.scenario}",
        facts=dict(one.facts),
        occurred_at=one.occurred_at,
        ended_at=one.ended_at,
    )
