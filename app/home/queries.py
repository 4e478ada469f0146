"""Reads of the home page: few statements, each over one person's own rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from app.clock import day_start
from app.db import read

REVIEWED_WITHIN = timedelta(days=3)
SETTLED_AFTER = timedelta(hours=12)
"""A growing day (steps, odometer) settles in the course of the next morning."""


@dataclass(frozen=True, slots=True)
class Today:
    """One Shanghai day of a person over all programs, no act summed twice; and the notices not read yet."""

    mg: int
    credits: int
    pending_credits: int
    acts: int
    unread_notices: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that is not decided yet. ``until`` is when it will be, None when nobody can promise a day."""

    kind: str
    program: str
    count: int
    credits: int
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Next:
    """The next step: a stable code, and the words."""

    code: str
    zh: str
    en: str


_TODAY = """
    select coalesce(sum(d.counted_mg), 0)::bigint as mg, count(*) as acts,
           coalesce(sum(a.paid), 0)::bigint as credits, coalesce(sum(a.pending), 0)::bigint as pending,
           (select count(*) from notices where person_id = %(person)s and read_at is null) as unread
    from records r
    left join reductions d on d.record_id = r.id
    left join lateral (
      select sum(credits) filter (where state = 'paid') as paid,
             sum(credits) filter (where state = 'pending') as pending
      from awards where record_id = r.id
    ) a on true
    where r.person_id = %(person)s and r.local_date = %(day)s and r.state = 'counted'
"""


def today(person_id: int, *, day: date) -> Today:
    """What a person's acts of this day came to."""
    row = read(_TODAY, {"person": person_id, "day": day})[0]
    return Today(row.mg, row.credits, row.pending, row.acts, row.unread)


_WAITING = """
    select 'review' as kind, p.code as program, count(*) as count, 0::bigint as credits, min(r.received_at) as since,
           null::timestamptz as until
    from records r join programs p on p.id = r.program_id
    where r.person_id = %(person)s and r.state = 'held' group by p.code
    union all
    select 'budget', p.code, count(*), sum(a.credits)::bigint, min(a.created_at), null
    from awards a join wallets w on w.id = a.wallet_id join programs p on p.id = w.program_id
    where w.person_id = %(person)s and a.state = 'pending' group by p.code
    union all
    select 'day', p.code, count(*), 0, min(o.read_at), max(o.day)::timestamptz
    from observations o join programs p on p.id = o.program_id
    where o.person_id = %(person)s and o.settled_value is distinct from o.value group by p.code
    union all
    select 'appeal', p.code, count(*), 0, min(a.asked_at), min(a.answer_due_at)
    from appeals a join programs p on p.id = a.program_id
    where a.person_id = %(person)s and a.state = 'open' group by p.code
    union all
    select 'code', p.code, count(*), 0, min(c.valid_from), min(c.valid_until)
    from codes c join programs p on p.id = c.program_id
    where c.person_id = %(person)s and c.state = 'issued' and c.valid_until > %(at)s group by p.code
    order by 1, 2
"""


def waiting(person_id: int, *, at: datetime) -> list[Waiting]:
    """What is pending and until when: acts under review, credits that wait for money, growing days, appeals, codes."""
    return [
        Waiting(row.kind, row.program, row.count, row.credits, row.since, _until(row))
        for row in read(_WAITING, {"person": person_id, "at": at})
    ]


def _until(row: Any) -> datetime | None:
    if row.kind == "review":
        found: datetime = row.since + REVIEWED_WITHIN
        return found
    if row.kind == "day":
        return day_start(row.until.date() + timedelta(days=1)) + SETTLED_AFTER
    until: datetime | None = row.until
    return until
