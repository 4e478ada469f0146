"""Reads: a program's challenges, one with my place in it, the live ranks, the published result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from app import leaderboards, people
from app.challenges.definition import LESS_IS_BETTER
from app.challenges.scoring import ladder
from app.db import read
from app.errors import NOT_FOUND
from app.leaderboards import Line, Mine
from app.memo import remember

_COLUMNS = """
    c.id, c.program_id, c.code, c.kind, c.state, c.version, c.name, c.name_en, c.text_zh, c.text_en, c.measure,
    c.enrol_from, c.enrol_until, c.starts_at, c.ends_at, c.closes_at, c.capacity, c.enrolled, c.per_day, c.least_metres,
    c.norms, c.unit_kind, c.per_head, c.least_members, c.on_reversal, c.prizes, c.settled_at, c.result_hash,
    c.cancel_reason, c.audience_units, c.audience_tags, c.least_level, c.reserved
"""
_ONE = f"""
    select {_COLUMNS} from challenges c
    where c.program_id = %(program)s and c.code = %(code)s and c.state <> 'draft'
"""  # noqa: S608 - our own columns
_LIST = f"""
    select {_COLUMNS}, exists (
      select from enrolments e where e.challenge_id = c.id and e.withdrawn_at is null
        and (e.subject_kind = 'person' and e.subject_id = %(person)s or e.subject_kind = 'team' and e.subject_id in (
          select m.team_id from team_members m where m.person_id = %(person)s and m.left_at is null))
    ) as mine
    from challenges c
    where c.program_id = %(program)s and c.state <> 'draft' and c.id < %(before)s
    order by c.id desc limit %(limit)s
"""  # noqa: S608 - our own columns
# Where I stand, in one statement: enrolment, my part, my standing, my prizes. Most challenges are of persons.
_MINE_ALONE = """
    select e.enrolled_at, e.version, e.subject_id, coalesce(p.value, 0) as part, s.value, s.heads,
           case when %(over)s then (
             select json_agg(json_build_object('no', w.prize_no, 'credits', w.credits, 'state', w.state)
                             order by w.prize_no)
             from challenge_wins w where w.challenge_id = %(id)s and w.person_id = %(person)s) end as wins
    from enrolments e
    left join challenge_parts p on p.challenge_id = e.challenge_id and p.group_id = e.subject_id
      and p.person_id = e.subject_id
    left join challenge_scores s on s.challenge_id = e.challenge_id and s.subject_id = e.subject_id
    where e.challenge_id = %(id)s and e.subject_kind = 'person' and e.subject_id = %(person)s
      and e.withdrawn_at is null
"""
_MINE = """
    with me as (
      select e.subject_kind, e.subject_id, e.enrolled_at, e.version from enrolments e
      where e.challenge_id = %(id)s and e.withdrawn_at is null and e.subject_kind = 'person'
        and e.subject_id = %(person)s
      union all
      select e.subject_kind, e.subject_id, e.enrolled_at, e.version from team_members m
      join enrolments e on e.challenge_id = %(id)s and e.subject_kind = 'team' and e.subject_id = m.team_id
        and e.withdrawn_at is null
      where %(kind)s = 'team' and m.person_id = %(person)s and m.left_at is null and m.kind = 'team'
    )
    select m.enrolled_at, m.version, x.subject_id, coalesce(p.value, 0) as part, s.value, s.heads, w.wins
    from (select 1) one
    left join me m on true
    left join lateral (
      select case %(kind)s when 'unit' then (select q.group_id from challenge_parts q where q.challenge_id = %(id)s
               and q.person_id = %(person)s order by q.value desc, q.group_id limit 1)
             else m.subject_id end as subject_id
    ) x on true
    left join challenge_parts p on p.challenge_id = %(id)s and p.group_id = x.subject_id and p.person_id = %(person)s
    left join challenge_scores s on s.challenge_id = %(id)s and s.subject_id = x.subject_id
    left join lateral (
      select json_agg(json_build_object('no', w.prize_no, 'credits', w.credits, 'state', w.state) order by w.prize_no)
        as wins from challenge_wins w where w.challenge_id = %(id)s and w.person_id = %(person)s
    ) w on true
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """My place: the subject that is ranked for me, my own part, its value, my prizes; None where I take no part."""

    enrolled_at: datetime | None
    subject_id: int | None
    part: int
    value: int
    heads: int
    wins: list[dict[str, Any]]


NOBODY = Standing(None, None, 0, 0, 0, [])


def one(program_id: int, code: str) -> Any:
    """A challenge that is or was live, remembered for a moment. Raises NOT_FOUND."""
    rows = remember(("challenge", program_id, code), lambda: read(_ONE, {"program": program_id, "code": code}))
    if not rows:
        raise NOT_FOUND(challenge=code)
    return rows[0]


def listed(program_id: int, person_id: int, *, before: int | None, limit: int) -> list[Any]:
    """A program's challenges, newest first, below the cursor ``before``; ``mine``: I take part."""
    values = {"program": program_id, "person": person_id, "before": before or 2**63 - 1, "limit": limit}
    return read(_LIST, values)


def standing(challenge: Any, person_id: int) -> Standing:
    """Where a person stands, with one statement."""
    values = {"id": challenge.id, "person": person_id, "kind": challenge.kind, "over": challenge.state != "live"}
    rows = read(_MINE if challenge.kind in ("team", "unit") else _MINE_ALONE, values)
    if not rows:
        return NOBODY
    row = rows[0]
    value = row.part if row.value is None else row.value
    return Standing(row.enrolled_at, row.subject_id, row.part, value, row.heads or 0, row.wins or [])


def around(challenge: Any, subject_id: int) -> Mine:
    """The lines around a subject in the live ranks: from Redis in one trip, else from PostgreSQL."""
    found = leaderboards.around(ladder(challenge.id), subject_id)
    return found or _from_scores(challenge.id, subject_id)


_ORDERED = """
    select subject_id, value, row_number() over (order by rank_score desc, subject_id::text collate "C" desc) as rank,
           count(*) over () as total
    from challenge_scores where challenge_id = %(id)s and place > 0
"""
_AROUND = f"""
    with b as ({_ORDERED}) select b.* from b, (select rank from b where subject_id = %(me)s) m
    where b.rank between m.rank - %(around)s and m.rank + %(around)s order by b.rank
"""  # noqa: S608 - a constant above
_TOP = f"select * from ({_ORDERED}) x where rank > %(offset)s order by rank limit %(limit)s"  # noqa: S608 - a constant above


def _from_scores(challenge_id: int, subject_id: int) -> Mine:
    rows = read(_AROUND, {"id": challenge_id, "me": subject_id, "around": leaderboards.NEIGHBOURS})
    lines = [Line(row.rank, row.subject_id, row.value) for row in rows]
    own = next((line for line in lines if line.subject_id == subject_id), None)
    return Mine(own, lines, int(rows[0].total) if rows else 0)


def top(challenge: Any, *, offset: int, limit: int) -> tuple[int, list[Line]]:
    """How many are ranked live, and some of them, with the values that are shown."""
    found = leaderboards.top(ladder(challenge.id), offset=offset, limit=limit)
    if found is None:
        rows = read(_TOP, {"id": challenge.id, "offset": offset, "limit": limit})
        return (int(rows[0].total) if rows else 0), [Line(row.rank, row.subject_id, row.value) for row in rows]
    return found[0], shown(challenge, found[1])


def shown(challenge: Any, lines: list[Line]) -> list[Line]:
    """Lines from the ranks with what is shown of them: for energy the consumption, not the saving that ranks it."""
    if challenge.measure != LESS_IS_BETTER or not lines:
        return lines
    query = """
        select subject_id, value from challenge_scores
        where challenge_id = %(id)s and subject_id = any (%(who)s::bigint[])
    """
    values = {
        row.subject_id: row.value for row in read(query, {"id": challenge.id, "who": [x.subject_id for x in lines]})
    }
    return [Line(line.rank, line.subject_id, values.get(line.subject_id, 0)) for line in lines]


_RESULTS = """
    select r.rank, r.subject_id, r.value, r.heads from challenge_results r
    where r.challenge_id = %(id)s and r.rank > %(after)s order by r.rank limit %(limit)s
"""
_REPORT = """
    select (select count(*) from challenge_results r where r.challenge_id = %(id)s) as ranked,
           count(distinct w.person_id) as winners, coalesce(sum(w.credits) filter (where w.state = 'paid'), 0) as paid,
           coalesce(sum(w.credits) filter (where w.state = 'due'), 0) as due,
           coalesce(sum(w.credits) filter (where w.state = 'taken_back'), 0) as taken_back,
           coalesce(sum(w.credits) filter (where w.state = 'paid' and exists (
             select from challenge_results r where r.challenge_id = w.challenge_id and r.subject_id = w.subject_id
               and r.rank <= 10)), 0) as to_the_first_ten
    from challenge_wins w where w.challenge_id = %(id)s
"""
_CORRECTIONS = """
    select id, value_before, value_after, effect, prize_no, at from challenge_corrections
    where challenge_id = %(id)s order by id limit 200
"""


def results(challenge_id: int, *, after: int, limit: int) -> list[Any]:
    """The published list from rank ``after + 1`` on."""
    return read(_RESULTS, {"id": challenge_id, "after": after, "limit": limit})


def report(challenge_id: int) -> Any:
    """What a settlement came to: ranked, winners, credits paid, to the first ten and to everybody else."""
    return read(_REPORT, {"id": challenge_id})[0]


def corrections(challenge_id: int) -> list[Any]:
    """What changed since the result was published; names nobody."""
    return read(_CORRECTIONS, {"id": challenge_id})


_PERSONS = """
    select id, nickname, pseudonym, state, show_name, avatar_url, on_boards from persons
    where id = any (%(ids)s::bigint[])
"""


def persons(ids: Iterable[int]) -> Mapping[int, tuple[str, str | None] | None]:
    """How persons read on a list: name and avatar; None for who has opted out or left: they keep their place unseen."""
    wanted = list(ids)
    found: dict[int, tuple[str, str | None] | None] = dict.fromkeys(wanted)
    for row in read(_PERSONS, {"ids": wanted}) if wanted else ():
        if row.on_boards and row.state == "active":
            found[row.id] = (people.shown_name(row), row.avatar_url if row.show_name else None)
    return found


_UNITS = "select id, name, name_en from org_units where program_id = %(program)s"


def units(program_id: int) -> dict[int, tuple[str, str]]:
    """The names of a program's org-units."""

    def load() -> dict[int, tuple[str, str]]:
        return {row.id: (row.name, row.name_en) for row in read(_UNITS, {"program": program_id})}

    return remember(("unit names", program_id), partial(load))


_OF_PERSON = """
    select p.code as program, c.code, c.name, c.state, e.enrolled_at, e.withdrawn_at from enrolments e
    join challenges c on c.id = e.challenge_id join programs p on p.id = c.program_id
    where e.person_id = %(person)s order by e.enrolled_at desc limit 100
"""


def of_person(person_id: int) -> list[Any]:
    """The challenges that a person has entered."""
    return read(_OF_PERSON, {"person": person_id})


_FORGET = """
    select e.challenge_id from enrolments e join challenges c on c.id = e.challenge_id and c.state = 'live'
    where e.subject_kind = 'person' and e.subject_id = %(person)s
"""


def forget_person(person_id: int) -> None:
    """A name reads otherwise now, or not at all: its copies beside live ranks go."""
    found = [ladder(row.challenge_id) for row in read(_FORGET, {"person": person_id})]
    if found:
        leaderboards.forget_name(found, person_id)
