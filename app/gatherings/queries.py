"""Reads of gatherings: what a program holds, mine, the organiser's screen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.db import read
from app.errors import NOT_FOUND
from app.gatherings import codes

_SHOWN = """
    select g.id, g.program_id, p.code as program, g.code, g.kind, g.name, g.name_en, g.text_zh, g.text_en, g.attend_by,
           g.least_minutes, g.repeats, g.needs_sign_up, g.opens_at, g.closes_at, g.starts_at, g.ends_at, g.capacity,
           g.signed, g.state, s.state as mine, s.round_trip_km, m.online, m.sheets, m.no_bottled_water,
           exists (select from gathering_hosts h where h.gathering_id = g.id and h.person_id = %(person)s) as hosting,
           case when s.state = 'waiting' then (
             select count(*) from gathering_sign_ups w where w.gathering_id = g.id and w.state = 'waiting'
               and (w.signed_at, w.id) <= (s.signed_at, s.id)) else 0 end as place_in_queue,
           (select max(a.at) from gathering_attendances a
            where a.gathering_id = g.id and a.person_id = %(person)s) as attended_at
    from gatherings g join programs p on p.id = g.program_id
    left join gathering_sign_ups s on s.gathering_id = g.id and s.person_id = %(person)s
    left join gathering_meetings m on m.gathering_id = g.id
"""
_OPEN = (
    _SHOWN
    + """
    where g.program_id = %(program)s and g.state = 'open' and g.ends_at > %(at)s and g.kind <> 'meeting'
      and (g.ends_at, g.id) > (to_timestamp(%(after)s / 1e6), %(after_id)s)
    order by g.ends_at, g.id limit %(limit)s
"""
)
_MINE = "".join(
    (
        _SHOWN,
        """
    where (s.id is not null or exists (select from gathering_hosts h
                                       where h.gathering_id = g.id and h.person_id = %(person)s)
           or exists (select from gathering_attendances a where a.gathering_id = g.id and a.person_id = %(person)s))
      and g.id < %(before)s order by g.id desc limit %(limit)s
""",
    )
)
_ONE = _SHOWN + " where g.id = %(id)s"


def listed(*, program_id: int, person_id: int, after: tuple[int, int] | None, limit: int, at: datetime) -> list[Any]:
    """What is open in a program, what ends first first; ``after``: (microseconds of the end, id) of the page before."""
    end, last = after or (0, 0)
    values = {"program": program_id, "person": person_id, "at": at, "after": end, "after_id": last, "limit": limit}
    return read(_OPEN, values)


def mine(*, person_id: int, before: int | None, limit: int) -> list[Any]:
    """What a person signed up for, hosts or attended, newest first."""
    return read(_MINE, {"person": person_id, "before": before or 2**63 - 1, "limit": limit})


def shown(*, gathering_id: int, person_id: int) -> Any:
    """One gathering as a person sees it. Raises NOT_FOUND."""
    rows = read(_ONE, {"id": gathering_id, "person": person_id})
    if not rows:
        raise NOT_FOUND(gathering=str(gathering_id))
    return rows[0]


@dataclass(frozen=True, slots=True)
class Screen:
    """What the organiser's screen shows now: the code for a place, and how many came."""

    place_id: int
    place: str
    place_en: str
    text: str
    typed: str
    seconds_left: float
    attended: int
    attended_today: int
    signed: int
    waiting: int
    places: list[Any]


_PLACES = """
    select p.id, p.code, p.name, p.name_en, g.state, g.ends_at from gathering_places p
    join gatherings g on g.id = p.gathering_id
    join gathering_hosts h on h.gathering_id = g.id and h.person_id = %(person)s
    where g.id = %(id)s order by p.id
"""
_COUNTS = """
    select (select count(distinct person_id) from gathering_attendances where gathering_id = %(id)s) as attended,
           (select count(*) from gathering_attendances where gathering_id = %(id)s
              and day = (%(at)s at time zone 'Asia/Shanghai')::date) as today,
           count(*) filter (where state in ('signed', 'attended')) as signed,
           count(*) filter (where state = 'waiting') as waiting
    from gathering_sign_ups where gathering_id = %(id)s
"""


def screen(*, gathering_id: int, person_id: int, place: str | None, at: datetime) -> Screen:
    """The screen of one place (the first where none is named), for a host. Raises NOT_FOUND."""
    places = read(_PLACES, {"id": gathering_id, "person": person_id})
    chosen = next((one for one in places if place is None or one.code == place), None)
    if chosen is None:
        raise NOT_FOUND(gathering=str(gathering_id))
    counts = read(_COUNTS, {"id": gathering_id, "at": at})[0]
    step = codes.step_of(at)
    return Screen(
        chosen.id,
        chosen.name,
        chosen.name_en,
        codes.text_of(gathering_id, chosen.id, at),
        codes.typed_of(gathering_id, chosen.id, step),
        codes.seconds_left(at),
        counts.attended,
        counts.today,
        counts.signed,
        counts.waiting,
        places,
    )


_REPORT = """
    select g.id, g.code, g.kind, g.name, g.starts_at, g.ends_at, g.capacity, g.state,
           count(s.id) filter (where s.state in ('signed', 'attended', 'no_show')) as signed,
           count(s.id) filter (where s.state = 'waiting') as waiting,
           count(s.id) filter (where s.state = 'no_show') as no_shows,
           (select count(*) from gathering_attendances a where a.gathering_id = g.id) as attended
    from gatherings g left join gathering_sign_ups s on s.gathering_id = g.id
    where g.program_id = %(program)s group by g.id order by g.starts_at desc, g.id limit 200
"""


def report(program_id: int) -> list[Any]:
    """A program's gatherings in numbers, for operators."""
    return read(_REPORT, {"program": program_id})
