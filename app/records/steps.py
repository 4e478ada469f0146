"""A person's steps by day: observations of the one program that pays, in the person's order (data-sources.md 3)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from app import clock, sources
from app.db import read, run
from app.errors import Kind, declare
from app.records.observations import Seen, observe

METHODOLOGY, FACT, SOURCE = "walking", "steps", "werun"

NOWHERE_TO_WALK = declare(
    "nowhere_to_walk",
    Kind.CONFLICT,
    zh="您加入的项目都没有步行场景，步数未保存。",
    en="None of your programs offers walking, so the steps were not kept.",
)

_OFFERS = """
    select m.program_id, s.id as scenario_id from memberships m
    join programs p on p.id = m.program_id join scenarios s on s.program_id = m.program_id
    where m.person_id = %(person)s and m.state = 'active' and p.state = 'active' and s.state = 'active'
      and s.methodology = %(method)s and s.source_kinds ? 'device'
    order by m.rank, s.id
"""
_STANDING = """
    select o.day, o.program_id, o.scenario_id, o.value, o.settled_value, o.read_at, o.record_id, r.state as record_state
    from observations o join scenarios s on s.id = o.scenario_id left join records r on r.id = o.record_id
    where o.person_id = %(person)s and o.fact = %(fact)s and o.day = any (%(days)s::date[])
    order by o.day desc, o.id
"""


def take_steps(*, person_id: int, days: Iterable[tuple[date, int]], read_at: datetime, at: datetime) -> int:
    """Observe steps; answers how many days were taken. The larger number of a day stays; the same changes nothing.

    A day belongs to the program in which it was seen first, so that a changed order never pays it twice. Days that lie
    ahead and negative numbers are left out; too many steps are held for review when the day closes.
    Raises NOWHERE_TO_WALK.
    """
    offers = read(_OFFERS, {"person": person_id, "method": METHODOLOGY})
    if not offers:
        raise NOWHERE_TO_WALK()
    today = clock.business_day(at)
    good = {day: steps for day, steps in days if day <= today and steps > 0}
    seen_in = {row.day: (row.program_id, row.scenario_id) for row in of_person(person_id, good)}
    first = (offers[0].program_id, offers[0].scenario_id)
    homes = {day: seen_in.get(day, first) for day in good}
    known = {program: _source(program) for program in {home[0] for home in homes.values()}}
    observe(
        [
            Seen(
                program_id=homes[day][0],
                scenario_id=homes[day][1],
                source_id=known[homes[day][0]],
                person_id=person_id,
                day=day,
                fact=FACT,
                value=str(steps),
                read_at=read_at,
            )
            for day, steps in good.items()
        ]
    )
    return len(good)


def of_person(person_id: int, days: Iterable[date]) -> list[Any]:
    """What is known of a person's days: steps so far, and what became of those that have closed; newest first."""
    return read(_STANDING, {"person": person_id, "fact": FACT, "days": list(days)})


def forget_open(*, person_id: int) -> None:
    """The person takes the steps back: days that are not a record yet are forgotten, what is credited stays."""
    run(
        "delete from observations where person_id = %(person)s and fact = %(fact)s and record_id is null",
        {"person": person_id, "fact": FACT},
    )


def _source(program_id: int) -> int:
    return sources.register(program_id=program_id, code=SOURCE, kind="device", name="微信运动").id
