"""A streak counted anew from its days: after a make-up, a frozen day, a record taken back or restored. Idempotent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import partial

from sqlalchemy.dialects.postgresql import insert

from app import funding
from app.checkins import milestones, rules, streaks
from app.checkins.freezes import frozen_days
from app.checkins.models import CheckInStreak
from app.db import connection, run, session

_DAYS = """
    select day from check_ins where program_id = %(program)s and person_id = %(person)s and not void order by day
"""


def recount(*, person_id: int, program_id: int, at: datetime) -> list[milestones.Reached]:
    """Bring a person's streak to what the days say, and pay milestones that it reached meanwhile, as of their days.

    Answers those milestones. What was paid stays paid, also where a day of it is gone; cards stay as they are.
    """
    funding.lock_wallets([(person_id, program_id)], at=at)
    _judge_days(program_id, person_id)
    days = [row.day for row in run(_DAYS, {"program": program_id, "person": person_id})]
    frozen = frozen_days(program_id, since=days[0], until=days[-1]) if days else frozenset()
    found = streaks.runs(days, frozen)
    _keep(program_id, person_id, found)
    paid = milestones.paid_days([(program_id, person_id)])[program_id, person_id]
    ladder_of = partial(_ladder, program_id)
    reached: list[milestones.Reached] = []
    for day, step in list(streaks.due(found, ladder_of, paid)):
        run_of = next(one for one in found if one.first <= day <= one.last)
        due = milestones.Step(program_id, person_id, step, day, ladder_of(run_of.first, day))
        reached += milestones.pay([due], at=at).values()
    return reached


def streak_of(program_id: int, person_id: int) -> CheckInStreak:
    """The stored streak; an empty one for who never checked in."""
    found = session().get(CheckInStreak, (program_id, person_id), populate_existing=True)
    empty = CheckInStreak(program_id=program_id, person_id=person_id, length=0, longest=0, total=0, cards=0)
    return found or empty


def _ladder(program_id: int, began: date, day: date) -> streaks.Ladder:
    return rules.ladder(program_id, began=began, day=day)


def _keep(program_id: int, person_id: int, found: Sequence[streaks.Run]) -> None:
    last = found[-1] if found else None
    values = {
        "length": len(last.days) if last else 0,
        "first_day": last.first if last else None,
        "last_day": last.last if last else None,
        "longest": max((len(one.days) for one in found), default=0),
        "total": sum(len(one.days) for one in found),
    }
    kept = insert(CheckInStreak).values(program_id=program_id, person_id=person_id, cards=0, **values)
    connection().execute(kept.on_conflict_do_update(index_elements=["program_id", "person_id"], set_=values))


# A day counts while its record stands, under its own reference or as restored by an appeal ('#restored').
_STANDS = """
    exists (select from records r where r.program_id = c.program_id and r.person_id = c.person_id
              and r.local_date = c.day and r.state not in ('rejected', 'reversed', 'superseded')
              and r.reference like 'check-in:' || c.program_id || ':' || c.person_id || ':' || c.day || '%%')
"""
_JUDGE = f"""
    update check_ins c set void = not {_STANDS}
    where c.program_id = %(program)s and c.person_id = %(person)s and c.kind = 'daily' and c.void = {_STANDS}
"""  # noqa: S608 - both parts are constants of ours


def _judge_days(program_id: int, person_id: int) -> None:
    run(_JUDGE, {"program": program_id, "person": person_id})


_TOUCHED = """
    select distinct split_part(r.reference, ':', 2)::bigint as program_id, r.person_id from records r
    where r.id = any (%(ids)s::bigint[]) and r.reference like 'check-in:%%'
      and (r.state not in ('counted', 'mirrored') or r.reference like '%%#restored')
    order by 1, 2
"""


def heard(record_ids: Sequence[int], *, at: datetime) -> int:
    """Records count now, or count no longer: streaks that they belong to are counted anew. Answers how many."""
    touched = run(_TOUCHED, {"ids": list(record_ids)})
    for row in touched:
        recount(person_id=row.person_id, program_id=row.program_id, at=at)
    return len(touched)
