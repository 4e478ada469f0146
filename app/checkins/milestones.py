"""Milestones of streaks: each paid as an award of its own, with the step's name, from the program's default budget."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import insert

from app import clock, funding
from app.checkins import streaks
from app.checkins.models import CheckInMilestone
from app.checkins.rules import Milestone
from app.db import connection, read, run
from app.funding import AwardRequest
from app.units import MICRO


@dataclass(frozen=True, slots=True)
class Step:
    """A step that a person's streak reached on a day; ``ladder`` are all steps of that streak."""

    program_id: int
    person_id: int
    milestone: Milestone
    day: date
    ladder: streaks.Ladder


@dataclass(frozen=True, slots=True)
class Reached:
    """What became of a step. ``state``: paid, pending (the budget is dry), earlier (paid within this cycle already)."""

    milestone: Milestone
    day: date
    state: str
    credits: int


def pay(steps: Sequence[Step], *, at: datetime) -> dict[tuple[int, int], Reached]:
    """Pay the steps that are payable, each once; answers by (program, person). The wallets are locked already."""
    if not steps:
        return {}
    paid = paid_days([(step.program_id, step.person_id) for step in steps])
    found: dict[tuple[int, int], Reached] = {}
    paying = []
    for step in steps:
        before = paid[step.program_id, step.person_id].get(step.milestone.days, [])
        if streaks.payable(step.milestone, step.day, step.ladder, before):
            paying.append(step)
        else:
            found[step.program_id, step.person_id] = Reached(step.milestone, step.day, "earlier", 0)
    if not paying:
        return found
    awarded = funding.award([_request(step) for step in paying], at=at)
    rows = []
    for step, award in zip(paying, awarded, strict=True):
        found[step.program_id, step.person_id] = Reached(step.milestone, step.day, award.state, award.credits)
        rows.append(
            {"program_id": step.program_id, "person_id": step.person_id, "name": step.milestone.name,
             "days": step.milestone.days, "day": step.day, "credits": step.milestone.credits,
             "award_id": award.award_id, "reached_at": at}
        )  # fmt: skip
    connection().execute(insert(CheckInMilestone), rows)
    return found


Paid = dict[int, list[date]]
_PAID = """
    select m.program_id, m.person_id, m.days, m.day from check_in_milestones m
    join unnest(%(programs)s::bigint[], %(people)s::bigint[]) as x (program, person)
      on m.program_id = x.program and m.person_id = x.person
    order by m.day
"""


def paid_days(pairs: Sequence[tuple[int, int]], *, looking: bool = False) -> dict[tuple[int, int], Paid]:
    """On which days each step was paid, by (program, person) and the step's days."""
    found: dict[tuple[int, int], Paid] = defaultdict(lambda: defaultdict(list))
    values = {"programs": [program for program, _ in pairs], "people": [person for _, person in pairs]}
    for row in (read if looking else run)(_PAID, values):
        found[row.program_id, row.person_id][row.days].append(row.day)
    return found


def _request(step: Step) -> AwardRequest:
    """By the day that it was reached on: the caps of that day hold, and the terms then in force."""
    return AwardRequest(
        program_id=step.program_id,
        person_id=step.person_id,
        reason=f"streak.{step.milestone.name}",
        source_ref=f"streak:{step.program_id}:{step.person_id}:{step.milestone.days}:{step.day.isoformat()}",
        occurred_at=clock.day_start(step.day),
        base_micro=step.milestone.credits * MICRO,
    )
