"""Where people stand: levels go up with the act, down with the month, and at once when acts are taken back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app import clock, funding, later, notices
from app.db import run
from app.funding import AwardRequest
from app.levels import rules
from app.levels.rules import Rules
from app.units import MICRO

BATCH = 1_000

_PEOPLE = """
    select distinct r.program_id, r.person_id from records r
    where r.id = any (%(ids)s::bigint[])
      and exists (select from level_sets l where l.program_id = r.program_id) order by 1, 2
"""
_NOW = """
    select x.person as person_id, coalesce(g.mg, 0) as mg, coalesce(l.level, 0) as level
    from unnest(%(people)s::bigint[]) x (person)
    left join grams_of_year(%(program)s, %(people)s::bigint[], %(today)s) g on g.person_id = x.person
    left join person_levels l on l.program_id = %(program)s and l.person_id = x.person order by 1
"""


def heard(record_ids: Sequence[int], *, reversed_too: bool, at: datetime) -> None:
    """Acts count, or no longer: bring the levels of whoever is concerned up to date, and their badges.

    Runs after the boards' listener: it reads the months' scores.
    """
    by_program: dict[int, list[int]] = defaultdict(list)
    for row in run(_PEOPLE, {"ids": list(record_ids)}) if record_ids else ():
        by_program[row.program_id].append(row.person_id)
    for program_id, people in by_program.items():
        refresh(program_id, people, cause="reversed" if reversed_too else "earned", at=at)
        later.defer(later.LEVEL_REWARDS, program_id=program_id, person_ids=people, taken=reversed_too)


def refresh(program_id: int, people: Sequence[int], *, cause: str, at: datetime) -> int:
    """Compute levels anew; answers how many changed. ``earned`` only lifts: who slips by age falls with the month."""
    found = rules.in_force(program_id)
    if found is None or not people:
        return 0
    values = {"program": program_id, "people": sorted(set(people)), "today": clock.business_day(at)}
    rows = [(row, found.level_at(max(row.mg, 0))) for row in run(_NOW, values)]
    if cause == "earned":
        rows = [(row, max(level, row.level)) for row, level in rows]
    moved = [(row, level) for row, level in rows if level != row.level]
    _write(program_id, rows, at)
    _log(program_id, moved, cause, at)
    return len(moved)


_WRITE = """
    insert into person_levels as l (program_id, person_id, level, mg, since)
    select %(program)s, x.person, x.level, x.mg, %(at)s
    from unnest(%(people)s::bigint[], %(levels)s::bigint[], %(mg)s::bigint[]) as x (person, level, mg) order by x.person
    on conflict (program_id, person_id) do update set level = excluded.level, mg = excluded.mg,
      since = case when l.level = excluded.level then l.since else excluded.since end
"""
_MEMBERS = """
    update memberships m set level = x.level
    from unnest(%(people)s::bigint[], %(levels)s::bigint[]) as x (person, level)
    where m.program_id = %(program)s and m.person_id = x.person and m.level <> x.level
"""
_LOG = """
    insert into level_changes (program_id, person_id, from_level, to_level, mg, cause, at)
    select %(program)s, x.person, x.was, x.level, x.mg, %(cause)s, %(at)s
    from unnest(%(people)s::bigint[], %(was)s::bigint[], %(levels)s::bigint[], %(mg)s::bigint[])
      as x (person, was, level, mg)
"""


def _write(program_id: int, rows: Sequence[tuple[Any, int]], at: datetime) -> None:
    values = {
        "program": program_id, "people": [row.person_id for row, _ in rows], "levels": [level for _, level in rows],
        "mg": [max(row.mg, 0) for row, _ in rows], "at": at,
    }  # fmt: skip
    run(_WRITE, values)
    run(_MEMBERS, values)


def _log(program_id: int, moved: Sequence[tuple[Any, int]], cause: str, at: datetime) -> None:
    if moved:
        values = {
            "program": program_id, "people": [row.person_id for row, _ in moved], "cause": cause, "at": at,
            "was": [row.level for row, _ in moved], "levels": [level for _, level in moved],
            "mg": [max(row.mg, 0) for row, _ in moved],
        }  # fmt: skip
        run(_LOG, values)


_TO_REVIEW = """
    select x.person_id from (
      select m.person_id from memberships m where m.program_id = %(program)s and m.state = 'active'
      union select l.person_id from person_levels l where l.program_id = %(program)s) x
    where x.person_id > %(after)s order by x.person_id limit %(limit)s
"""


def review(*, program_id: int, after: int, at: datetime) -> tuple[int, int]:
    """Some members' levels by the twelve months up to now, down too, with the bonuses and badges of a new file for who
    has done nothing since; answers the last of them (0 at the end) and how many changed. On the first of a month, in
    batches, each a transaction."""
    people = [row.person_id for row in run(_TO_REVIEW, {"program": program_id, "after": after, "limit": BATCH})]
    if not people:
        return 0, 0
    later.defer(later.LEVEL_REWARDS, program_id=program_id, person_ids=people, taken=False)
    return people[-1], refresh(program_id, people, cause="aged", at=at)


def programs_with_levels() -> list[int]:
    """The programs that have levels."""
    return [row.program_id for row in run("select distinct program_id from level_sets order by 1")]


_OWED = """
    select l.person_id, x.level, (select count(*) from level_bonuses b where b.program_id = l.program_id
             and b.person_id = l.person_id and b.level = x.level) as round
    from person_levels l join unnest(%(numbers)s::bigint[]) as x (level) on x.level <= l.level
    join persons p on p.id = l.person_id and p.state = 'active'
    where l.program_id = %(program)s and l.person_id = any (%(people)s::bigint[])
      and not exists (select from level_bonuses b where b.program_id = l.program_id and b.person_id = l.person_id
                        and b.level = x.level and not b.taken_back)
    order by l.person_id, x.level
"""
_LOST = """
    select b.person_id, b.level, b.round, b.award_id from level_bonuses b
    join person_levels l on l.program_id = b.program_id and l.person_id = b.person_id
    where b.program_id = %(program)s and b.person_id = any (%(people)s::bigint[]) and not b.taken_back
      and b.level > l.level
      and exists (select from level_changes c join awards a on a.id = b.award_id
                  where c.program_id = b.program_id and c.person_id = b.person_id and c.cause = 'reversed'
                    and c.from_level >= b.level and c.to_level < b.level and c.at >= a.created_at)
    order by b.person_id, b.level
"""


def reward(*, program_id: int, person_ids: Sequence[int], taken: bool, at: datetime) -> int:
    """Pay the bonuses of levels that persons have reached, each once; after a reversal take back those whose level its
    acts no longer carry. Answers how many awards moved. Twice is once."""
    found = rules.in_force(program_id)
    if found is None:
        return 0
    funding.lock_wallets([(person, program_id) for person in person_ids], at=at)
    values = {"program": program_id, "people": list(person_ids)}
    lost = run(_LOST, values) if taken else []
    if lost:
        _take_back(program_id, lost, at)
    numbers = [level["level"] for level in found.levels if level["bonus"] > 0]
    owed = run(_OWED, {**values, "numbers": numbers})
    if owed:
        _pay(program_id, found, owed, at)
    return len(lost) + len(owed)


_KEEP = """
    insert into level_bonuses (program_id, person_id, level, round, award_id)
    select %(program)s, x.person, x.level, x.round, x.award
    from unnest(%(people)s::bigint[], %(levels)s::bigint[], %(rounds)s::bigint[], %(awards)s::bigint[])
      as x (person, level, round, award)
"""


def _pay(program_id: int, found: Rules, owed: Sequence[Any], at: datetime) -> None:
    requests, named = [], []
    for row in owed:
        level = found.named(row.level)
        if level is None:
            raise AssertionError("a bonus belongs to a level")
        named.append(level)
        requests.append(
            AwardRequest(
                program_id=program_id, person_id=row.person_id, reason=f"level.{level['code']}",
                source_ref=f"level:{program_id}:{row.person_id}:{row.level}:{row.round}", occurred_at=at,
                base_micro=level["bonus"] * MICRO, budget_id=found.budget_id, uncapped=True,
            )
        )  # fmt: skip
    done = funding.award(requests, at=at)
    values = {
        "program": program_id, "people": [row.person_id for row in owed], "levels": [row.level for row in owed],
        "rounds": [row.round for row in owed], "awards": [one.award_id for one in done],
    }  # fmt: skip
    run(_KEEP, values)
    for row, level in zip(owed, named, strict=True):
        notices.tell(
            key=f"level:{program_id}:{row.person_id}:{row.level}:{row.round}", person_id=row.person_id,
            program_id=program_id, kind="level.reached",
            zh=f"您已升至「{level['name']}」，奖励 {level['bonus']} 积分。",
            en=f"You have reached “{level['name_en']}”: {level['bonus']} credits.", at=at,
        )  # fmt: skip


def _take_back(program_id: int, lost: Sequence[Any], at: datetime) -> None:
    for row in lost:
        funding.reverse_awards(award_ids=[row.award_id], at=at)
        run(
            "update level_bonuses set taken_back = true where program_id = %(program)s and person_id = %(person)s"
            " and level = %(level)s and round = %(round)s",
            {"program": program_id, "person": row.person_id, "level": row.level, "round": row.round},
        )
        notices.tell(
            key=f"level:{program_id}:{row.person_id}:{row.level}:{row.round}:back", person_id=row.person_id,
            program_id=program_id, kind="level.lost", zh="相关记录已被更正，等级奖励已收回，可申诉。",
            en="A record was corrected, so a level's bonus was taken back. You can appeal.", at=at,
        )  # fmt: skip
