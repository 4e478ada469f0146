"""Badges: earned by what a person has done in a program, and gone again with acts that are taken back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app import notices
from app.db import run
from app.levels import rules

# How much a person has of what a rule counts. Grams come from the boards' all-time scores.
_ACTS = """
    select r.person_id, {what} as amount from records r
    where r.program_id = %(program)s and r.person_id = any (%(people)s::bigint[]) and r.state in ('counted', 'mirrored')
      and (%(scenario)s = '' or r.scenario_id = (select s.id from scenarios s where s.program_id = %(program)s
                                                   and s.code = %(scenario)s))
    group by r.person_id
"""
_AMOUNTS = {
    "acts": _ACTS.format(what="count(*)"),
    "days": _ACTS.format(what="count(distinct r.local_date)"),
    "grams": """
        select s.subject_id as person_id, s.mg as amount from scores s where s.program_id = %(program)s
          and s.subject_kind = 'person' and s.period_kind = 'all' and s.subject_id = any (%(people)s::bigint[])
    """,
    "streak": """
        select c.person_id, c.longest as amount from check_in_streaks c
        where c.program_id = %(program)s and c.person_id = any (%(people)s::bigint[])
    """,
    "prizes": """
        select w.person_id, count(*) as amount from challenge_wins w join challenges c on c.id = w.challenge_id
        where c.program_id = %(program)s and w.person_id = any (%(people)s::bigint[]) and w.state = 'paid'
        group by w.person_id
    """,
    "level": """
        select l.person_id, l.level as amount from person_levels l
        where l.program_id = %(program)s and l.person_id = any (%(people)s::bigint[])
    """,
}
_HELD = """
    select person_id, badge from person_badges
    where program_id = %(program)s and person_id = any (%(people)s::bigint[])
"""
_EARN = """
    insert into person_badges (program_id, person_id, badge, earned_at)
    select %(program)s, x, %(badge)s, %(at)s from unnest(%(people)s::bigint[]) x order by x
    on conflict do nothing returning person_id
"""
_LOSE = """
    delete from person_badges
    where program_id = %(program)s and badge = %(badge)s and person_id = any (%(people)s::bigint[])
"""
# What slips by time and not by a reversal is never lost again.
KEPT = frozenset({"level", "streak"})


def refresh(program_id: int, people: Sequence[int], *, taken: bool, at: datetime) -> int:
    """Give persons the badges that they have earned; with ``taken`` also take those that their acts no longer carry.
    Answers how many were given."""
    found = rules.in_force(program_id)
    if found is None or not found.badges or not people:
        return 0
    values: dict[str, Any] = {"program": program_id, "people": sorted(set(people)), "at": at}
    held = {(row.person_id, row.badge) for row in run(_HELD, values)}
    given = 0
    for badge in found.badges:
        without = [person for person in values["people"] if (person, badge["code"]) not in held]
        asked = values["people"] if taken else without
        if not asked:
            continue
        amounts = _amounts(badge, {**values, "people": asked})
        reached = [person for person in without if amounts.get(person, 0) >= badge["least"]]
        given += _give(program_id, badge, reached, at) if reached else 0
        lost = [one for one in asked if (one, badge["code"]) in held and amounts.get(one, 0) < badge["least"]]
        if lost and badge["rule"] not in KEPT:
            run(_LOSE, {"program": program_id, "badge": badge["code"], "people": lost})
    return given


def _amounts(badge: dict[str, Any], values: dict[str, Any]) -> dict[int, int]:
    rows = run(_AMOUNTS[badge["rule"]], {**values, "scenario": badge["scenario"]})
    return {row.person_id: row.amount for row in rows}


def _give(program_id: int, badge: dict[str, Any], people: list[int], at: datetime) -> int:
    fresh = run(_EARN, {"program": program_id, "badge": badge["code"], "people": people, "at": at})
    for row in fresh:
        notices.tell(
            key=f"badge:{program_id}:{row.person_id}:{badge['code']}", person_id=row.person_id, program_id=program_id,
            kind="badge.earned", zh=f"获得徽章「{badge['name']}」。",
            en=f"You have earned the badge “{badge['name_en']}”.", at=at,
        )  # fmt: skip
    return len(fresh)
