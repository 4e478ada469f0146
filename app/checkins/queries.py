"""Reads of the check-in: the month's calendar with the streak, and what the operators see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from app import clock
from app.checkins import milestones, rules, streaks
from app.checkins.freezes import frozen_lately
from app.checkins.rules import Milestone
from app.clock import Period
from app.db import read

BEFORE, AHEAD, OPEN, MISSED, FROZEN = "before", "ahead", "open", "missed", "frozen"
"""States of a day without a check-in; one with a check-in is ``daily``, ``made_up`` or ``void``."""


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the calendar. ``can_make_up``: missed, and near enough."""

    day: date
    state: str
    checked_at: datetime | None
    can_make_up: bool


@dataclass(frozen=True, slots=True)
class Streak:
    """A streak as a person sees it now. ``alive`` is False where a day was missed; ``length`` is 0 then."""

    length: int
    first_day: date | None
    longest: int
    total: int
    cards: int
    cards_used: int
    checked_today: bool


@dataclass(frozen=True, slots=True)
class Calendar:
    """A month, the streak, and what lies ahead: (days still to come, day, step)."""

    month: Period
    days: list[Day]
    streak: Streak
    ahead: Sequence[tuple[int, date, Milestone]]
    rules: rules.Rules


_STREAK = """
    select s.length, s.first_day, s.last_day, s.longest, s.total, s.cards, m.joined_at,
           (select count(*) from check_in_cards u where u.program_id = m.program_id and u.person_id = m.person_id
              and u.kind = 'used' and u.at >= %(starts)s and u.at < %(ends)s) as used
    from memberships m left join check_in_streaks s on s.program_id = m.program_id and s.person_id = m.person_id
    where m.program_id = %(program)s and m.person_id = %(person)s and m.state = 'active'
"""
_DAYS = """
    select day, kind, checked_at, void from check_ins
    where program_id = %(program)s and person_id = %(person)s and day >= %(first)s and day < %(end)s
"""


def calendar(*, program_id: int, person_id: int, month: Period, at: datetime) -> Calendar | None:
    """A person's month in a program; None for who is no member."""
    today = clock.business_day(at)
    present = clock.period("month", today)
    values = {"program": program_id, "person": person_id, "starts": present.starts, "ends": present.ends}
    found = read(_STREAK, values)
    if not found:
        return None
    row, here = found[0], rules.in_force(program_id, at)
    values = {"program": program_id, "person": person_id, "first": month.first_day, "end": month.end_day}
    kept = {one.day: one for one in read(_DAYS, values)}
    streak = _streak(row, program_id, today)
    end = month.end_day or today
    frozen = frozen_lately(program_id, since=month.first_day - timedelta(days=1), until=end)
    joined = clock.business_day(row.joined_at)
    days = [month.first_day + timedelta(days=n) for n in range((end - month.first_day).days)]
    shown = [_day(day, kept.get(day), day in frozen, joined, today, here) for day in days]
    return Calendar(month, shown, streak, _ahead(program_id, person_id, streak, today), here)


def _streak(row: Any, program_id: int, today: date) -> Streak:
    if row.last_day is None:
        return Streak(0, None, row.longest or 0, row.total or 0, row.cards or 0, row.used, False)
    alive = row.last_day == today or streaks.bridged(
        row.last_day, today, frozen_lately(program_id, since=row.last_day, until=today)
    )
    length, first = (row.length, row.first_day) if alive else (0, None)
    return Streak(length, first, row.longest, row.total, row.cards, row.used, row.last_day == today)


def _day(day: date, kept: Any, frozen: bool, joined: date, today: date, here: rules.Rules) -> Day:
    if kept is not None:
        return Day(day, "void" if kept.void else kept.kind, kept.checked_at, False)
    if day >= today:
        return Day(day, OPEN if day == today else AHEAD, None, False)
    if frozen:
        return Day(day, FROZEN, None, False)
    if day < joined:
        return Day(day, BEFORE, None, False)
    return Day(day, MISSED, None, day >= today - timedelta(days=here.makeup_days))


def _ahead(program_id: int, person_id: int, streak: Streak, today: date) -> list[tuple[int, date, Milestone]]:
    """The next steps, if the person comes every day from now on."""
    paid = milestones.paid_days([(program_id, person_id)], looking=True)[program_id, person_id]
    since = today if streak.checked_today else today - timedelta(days=1)
    steps = rules.ladder(program_id, began=streak.first_day or today, day=today)
    return streaks.upcoming(streak.length, steps, since=since, paid=paid)[:3]


_REPORT = """
    select c.day, count(*) filter (where c.kind = 'daily') as daily,
           count(*) filter (where c.kind = 'made_up') as made_up, count(*) filter (where c.void) as void
    from check_ins c where c.program_id = %(program)s and c.day > %(since)s group by c.day order by c.day desc
"""


def report(*, program_id: int, at: datetime, days: int) -> list[Any]:
    """The check-ins of the last days, for operators: counts only."""
    since = clock.business_day(at) - timedelta(days=days)
    return read(_REPORT, {"program": program_id, "since": since})
