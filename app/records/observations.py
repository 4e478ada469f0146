"""Growing days: a day's steps or odometer arrive as observations, provisional and replaceable; the record is made when
the day has closed, and a later correction is a revision (domain.md, records 1; data-sources.md 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text, update

from app import clock
from app.db import connection
from app.records import reviews
from app.records.acts import Act, Taken
from app.records.intake import take_many
from app.records.models import Observation
from app.scenarios.models import Scenario

BATCH = 500


@dataclass(slots=True)
class Seen:
    """What a source saw of a day so far: one growing quantity, as a whole number or decimal string."""

    program_id: int
    scenario_id: int
    source_id: int
    person_id: int
    day: date
    fact: str
    value: str
    read_at: datetime
    subject: str = ""


_UPSERT = text(
    """
    insert into observations (program_id, scenario_id, source_id, person_id, subject, day, fact, value, read_at)
    select * from unnest(cast(:p as bigint[]), cast(:c as bigint[]), cast(:s as bigint[]), cast(:n as bigint[]),
                         cast(:j as text[]), cast(:d as date[]), cast(:f as text[]), cast(:v as text[]),
                         cast(:r as timestamptz[]))
    on conflict (scenario_id, source_id, person_id, subject, day) do update
      set value = case when cast(excluded.value as numeric) > cast(observations.value as numeric)
                       then excluded.value else observations.value end,
          read_at = greatest(observations.read_at, excluded.read_at)
      where cast(excluded.value as numeric) > cast(observations.value as numeric)
         or excluded.read_at > observations.read_at
    """
)


def observe(seen: Sequence[Seen]) -> None:
    """Keep observations. Per source, person and day the largest value stays: the same or less changes nothing."""
    latest: dict[tuple[Any, ...], Seen] = {}
    for one in seen:
        key = (one.scenario_id, one.source_id, one.person_id, one.subject, one.day)
        before = latest.get(key)
        if before is None or Decimal(one.value) > Decimal(before.value):
            latest[key] = one
    ordered = [latest[key] for key in sorted(latest)]
    if not ordered:
        return
    connection().execute(
        _UPSERT,
        {
            "p": [one.program_id for one in ordered],
            "c": [one.scenario_id for one in ordered],
            "s": [one.source_id for one in ordered],
            "n": [one.person_id for one in ordered],
            "j": [one.subject for one in ordered],
            "d": [one.day for one in ordered],
            "f": [one.fact for one in ordered],
            "v": [one.value for one in ordered],
            "r": [one.read_at for one in ordered],
        },
    )


def close_days(*, at: datetime, program_id: int | None = None) -> list[Taken]:
    """Make records of the days that have ended and were read after their end; one batch, call again while it answers.

    A settled day whose value has grown since is a revision: the old record is superseded by a new one.
    """
    today = clock.business_day(at)
    query = select(Observation).where(
        Observation.day < today,
        Observation.settled_value.is_distinct_from(Observation.value),
        Observation.read_at >= text("((day + 1)::timestamp at time zone 'Asia/Shanghai')"),
    )
    if program_id is not None:
        query = query.where(Observation.program_id == program_id)
    due = connection().execute(query.order_by(Observation.id).limit(BATCH).with_for_update(skip_locked=True)).all()
    if not due:
        return []
    codes = _scenario_codes({row.scenario_id for row in due})
    acts = [_act(row, codes[row.scenario_id]) for row in due]
    for row, act in zip(due, acts, strict=True):
        if row.record_id is not None:
            reviews.supersede(record_id=row.record_id, by_reference=act.reference, at=at)
    taken = take_many(acts, at=at)
    for row, answer in zip(due, taken, strict=True):
        changes = {"settled_value": row.value, "revision": row.revision + 1, "record_id": answer.record_id}
        connection().execute(update(Observation).where(Observation.id == row.id).values(**changes))
    return taken


def _act(row: Any, scenario: str) -> Act:
    starts = clock.day_start(row.day)
    revision = f":r{row.revision}" if row.revision else ""
    return Act(
        program_id=row.program_id,
        scenario=scenario,
        person_id=row.person_id,
        source_id=row.source_id,
        reference=f"day:{row.scenario_id}:{row.person_id}:{row.subject}:{row.day.isoformat()}{revision}",
        facts={row.fact: row.value},
        occurred_at=starts,
        ended_at=starts + timedelta(days=1) - timedelta(microseconds=1),
        subject=row.subject or None,
        supersedes_id=row.record_id,
    )


def _scenario_codes(ids: set[int]) -> dict[int, str]:
    rows = connection().execute(select(Scenario.id, Scenario.code).where(Scenario.id.in_(ids)))
    return {row.id: row.code for row in rows}
