"""Frozen days: an outage of ours never ends a streak.

The worker leaves a beat each minute. When it comes back after a gap, the gap is an outage: every Shanghai day of which
we were away for at least ten minutes is frozen for everybody, without asking. An operator freezes days of outages that
the worker did not see (the web alone was away).
"""

from __future__ import annotations

from collections.abc import Set
from datetime import date, datetime, timedelta
from functools import partial

from sqlalchemy.dialects.postgresql import insert

from app import audit, clock
from app.checkins.models import CheckInFreeze
from app.db import connection, read, run
from app.errors import Kind, declare
from app.memo import remember

AWAY_MINUTES = 10
FREEZE_WITHIN = timedelta(days=60)
DETECTED = "system:beat"

FREEZE_IMPOSSIBLE = declare(
    "freeze_impossible",
    Kind.INVALID,
    zh="只能冻结最近 60 天内且不晚于今天的日期。",
    en="Only days of the last 60, today at the latest, can be frozen.",
)

_BEAT = """
    insert into service_beats as b (name, beat_at) values (%(name)s, %(at)s)
    on conflict (name) do update set beat_at = greatest(b.beat_at, excluded.beat_at)
    returning (select beat_at from service_beats where name = %(name)s) as before
"""


def beat(*, at: datetime, name: str = "worker") -> list[date]:
    """Leave a sign of life; answers the days that the silence before it froze."""
    before = run(_BEAT, {"name": name, "at": at})[0].before
    if before is None or at - before < timedelta(minutes=AWAY_MINUTES):
        return []
    return freeze_outage(began=before, ended=at, reason="outage", by=DETECTED, at=at)


def freeze_outage(
    *, began: datetime, ended: datetime, reason: str, by: str, at: datetime, program_id: int | None = None
) -> list[date]:
    """Freeze the Shanghai days on which an outage took at least ten minutes; answers those that are new."""
    day, last = clock.business_day(began), clock.business_day(ended)
    frozen = []
    while day <= last:
        period = clock.period("day", day)
        span = min(ended, period.ends or ended) - max(began, period.starts)
        minutes = int(span.total_seconds() // 60)
        if minutes >= AWAY_MINUTES and _freeze(program_id, day, minutes, reason, by, at):
            frozen.append(day)
        day += timedelta(days=1)
    return frozen


def freeze_day(*, program_id: int | None, day: date, reason: str, by: str, at: datetime) -> bool:
    """Freeze a whole day by hand; answers whether it is new. Raises FREEZE_IMPOSSIBLE."""
    today = clock.business_day(at)
    if not today - FREEZE_WITHIN <= day <= today:
        raise FREEZE_IMPOSSIBLE(day=day.isoformat())
    return _freeze(program_id, day, 24 * 60, reason, by, at)


def _freeze(program_id: int | None, day: date, minutes: int, reason: str, by: str, at: datetime) -> bool:
    row = {"program_id": program_id, "day": day, "minutes": minutes, "reason": reason, "made_by": by, "made_at": at}
    made = insert(CheckInFreeze).values(row).on_conflict_do_nothing().returning(CheckInFreeze.id)
    freeze_id = connection().execute(made).scalar_one_or_none()
    if freeze_id is None:
        return False
    audit.write(
        actor=by, action="check-in.freeze", object_type="check_in_freeze", object_id=freeze_id, at=at,
        program_id=program_id, after={"day": day.isoformat(), "minutes": minutes}, reason=reason,
    )  # fmt: skip
    return True


_FROZEN = """
    select day from check_in_freezes where (program_id is null or program_id = %(program)s)
      and day > %(since)s and day < %(until)s
"""


def frozen_days(program_id: int, *, since: date, until: date) -> Set[date]:
    """The frozen days strictly between two days; asked only where there are days between them."""
    if until - since <= timedelta(days=1):
        return frozenset()
    found = run(_FROZEN, {"program": program_id, "since": since, "until": until})
    return frozenset(row.day for row in found)


def frozen_lately(program_id: int, *, since: date, until: date) -> Set[date]:
    """The same for looking, remembered for a moment."""
    key = ("frozen", program_id, since, until)
    return remember(key, partial(_frozen_seen, program_id, since, until))


def _frozen_seen(program_id: int, since: date, until: date) -> Set[date]:
    found = read(_FROZEN, {"program": program_id, "since": since, "until": until})
    return frozenset(row.day for row in found)


_BROKEN = """
    select distinct s.program_id, s.person_id from check_in_streaks s
    where (%(program)s::bigint is null or s.program_id = %(program)s) and s.last_day > %(day)s
      and exists (select from check_ins c where c.program_id = s.program_id and c.person_id = s.person_id
                  and c.day < %(day)s and c.day >= %(day)s - 7)
      and not exists (select from check_ins c where c.program_id = s.program_id and c.person_id = s.person_id
                      and c.day = %(day)s)
    order by 1, 2
"""


def affected(day: date, program_id: int | None) -> list[tuple[int, int]]:
    """(program, person) of streaks that went on after a day which they had missed: to be counted anew."""
    return [(row.program_id, row.person_id) for row in run(_BROKEN, {"program": program_id, "day": day})]
