"""The daily check-in: the first of a Shanghai day counts, whoever comes again is answered with it.

Locks in one order: wallets by id (which also makes two check-ins of one person follow each other), then what
``records.take_many`` locks. The unique key of ``check_ins`` refuses what slips through before a first wallet exists,
and the command is run again (``retrying``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from app import clock, funding, records, sources
from app.checkins import milestones, recounting, rules, streaks
from app.checkins.freezes import frozen_days
from app.db import run
from app.errors import NOT_FOUND, Refusal
from app.records import Act, Taken
from app.records.reasons import Reason

SCENARIO = "daily-check-in"


@dataclass(frozen=True, slots=True)
class Fare:
    """Who checks in where."""

    program_id: int
    person_id: int


@dataclass(slots=True)
class CheckedIn:
    """The check-in of a day. ``fresh`` is False where it stood already; ``streak`` is as it stands now."""

    day: date
    checked_at: datetime
    fresh: bool
    record_id: int | None
    state: str
    credits: int
    streak: int
    longest: int
    total: int
    cards: int
    reason: Reason | None = None
    paid_in: int | None = None
    card_earned: bool = False
    milestone: milestones.Reached | None = None


def check_in(*, program_id: int, person_id: int, at: datetime) -> CheckedIn:
    """Check in for the Shanghai day of ``at``: a batch of one. Raises what ``records.take`` refuses (NOT_A_MEMBER,
    UNKNOWN_SCENARIO where the program offers no check-in, PROGRAM_CLOSED …)."""
    found = check_in_many([Fare(program_id, person_id)], at=at)[0]
    if isinstance(found, Refusal):
        raise found
    return found


def check_in_many(fares: Sequence[Fare], *, at: datetime) -> list[CheckedIn | Refusal]:
    """Check in a batch; answers in order, each on its own. Twice the same in one batch is once."""
    day = clock.business_day(at)
    wanted = list(dict.fromkeys(fares))
    looked = _look(wanted, day)
    if new := [(one.person_id, one.program_id) for one in wanted if not looked[one].locked]:
        funding.lock_wallets(new, at=at)  # who had no wallet to be locked by is looked at again
        looked = _look(wanted, day)
    fresh = [fare for fare in wanted if looked[fare].checked_at is None]
    taken = dict(zip(fresh, records.take_many([_act(fare, day, at) for fare in fresh], at=at), strict=True))
    coming = [_grown(fare, looked[fare], day) for fare in fresh if taken[fare].refusal is None]
    _write(coming, taken, day, at)
    for one in coming:
        _behind(one, looked[one.fare], day, at)
    steps = milestones.pay([one.step for one in coming if one.step is not None], at=at)
    answers: dict[Fare, CheckedIn | Refusal] = {
        fare: _standing(looked[fare], day) for fare in wanted if fare not in taken
    }
    for fare in fresh:
        refusal = taken[fare].refusal
        if refusal is not None:
            answers[fare] = refusal
    for one in coming:
        answers[one.fare] = _fresh(one, taken[one.fare], steps.get((one.fare.program_id, one.fare.person_id)), day, at)
    return [answers[fare] for fare in fares]


def reference(program_id: int, person_id: int, day: date) -> str:
    """The record's own reference: one a program, person and day."""
    return f"check-in:{program_id}:{person_id}:{day.isoformat()}"


def source_of(program_id: int) -> int:
    """The program's own source, made when it lacks."""
    try:
        return sources.id_of(program_id, "system")
    except Refusal as refusal:
        if refusal.declared is not NOT_FOUND:
            raise
    return sources.register(program_id=program_id, code="system", kind="system", name="系统").id


def _act(fare: Fare, day: date, at: datetime) -> Act:
    return Act(
        program_id=fare.program_id,
        scenario=SCENARIO,
        person_id=fare.person_id,
        source_id=source_of(fare.program_id),
        reference=reference(fare.program_id, fare.person_id, day),
        facts={"check_ins": 1},
        occurred_at=at,
    )


_LOOK = "select * from check_in_look(%(programs)s::bigint[], %(people)s::bigint[], %(day)s)"


def _look(fares: Sequence[Fare], day: date) -> dict[Fare, Any]:
    """Under the wallets' locks: whether the day stands already, and the streak before it."""
    values = {"programs": [one.program_id for one in fares], "people": [one.person_id for one in fares], "day": day}
    return {Fare(row.program_id, row.person_id): row for row in run(_LOOK, values)}


@dataclass(slots=True)
class _Coming:
    """A check-in that is about to be written: the streak with it."""

    fare: Fare
    first_day: date
    length: int
    longest: int
    total: int
    cards: int
    card: bool
    step: milestones.Step | None


def _grown(fare: Fare, before: Any, day: date) -> _Coming:
    goes_on = before.last_day is not None and streaks.bridged(
        before.last_day, day, frozen_days(fare.program_id, since=before.last_day, until=day)
    )
    length, first = (before.length + 1, before.first_day) if goes_on else (1, day)
    here = rules.in_force(fare.program_id, clock.day_start(day))
    card = here.card_every > 0 and length % here.card_every == 0 and before.cards < here.cards_most
    steps = rules.ladder(fare.program_id, began=first, day=day)
    reached = streaks.reached(length, steps)
    behind = before.last_day is not None and before.last_day > day  # its milestones are paid by the recount
    step = milestones.Step(fare.program_id, fare.person_id, reached, day, steps) if reached and not behind else None
    longest = max(before.longest, length)
    return _Coming(fare, first, length, longest, before.total + 1, before.cards + int(card), card, step)


def _behind(one: _Coming, before: Any, day: date, at: datetime) -> None:
    """A tap of yesterday's last instant that is written after one of today: the streak is counted from its days."""
    if before.last_day is None or before.last_day <= day:
        return
    recounting.recount(person_id=one.fare.person_id, program_id=one.fare.program_id, at=at)
    kept = recounting.streak_of(one.fare.program_id, one.fare.person_id)
    one.length, one.longest, one.total = kept.length, kept.longest, kept.total


_WRITE = "select check_in_write(%(rows)s::jsonb, %(day)s, %(at)s)"


def _write(coming: Sequence[_Coming], taken: dict[Fare, Taken], day: date, at: datetime) -> None:
    if not coming:
        return
    rows = [
        {
            "program_id": one.fare.program_id,
            "person_id": one.fare.person_id,
            "record_id": taken[one.fare].record_id,
            "length": one.length,
            "first_day": one.first_day.isoformat(),
            "longest": one.longest,
            "total": one.total,
            "cards": one.cards,
            "card": one.card,
        }
        for one in coming
    ]
    run(_WRITE, {"rows": json.dumps(rows), "day": day, "at": at})


def _fresh(one: _Coming, taken: Taken, step: milestones.Reached | None, day: date, at: datetime) -> CheckedIn:
    return CheckedIn(
        day, at, True, taken.record_id, taken.state or "counted",
        taken.credits if taken.paid_in is None else 0,
        one.length, one.longest, one.total, one.cards, taken.reason, taken.paid_in, one.card, step,
    )  # fmt: skip


def _standing(row: Any, day: date) -> CheckedIn:
    return CheckedIn(
        day, row.checked_at, False, row.record_id, row.state or "counted", int(row.credits or 0),
        row.length, row.longest, row.total, row.cards,
    )  # fmt: skip
