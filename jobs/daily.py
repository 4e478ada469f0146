"""What the clock does for daily life: signs of life and frozen days, reminders, gatherings that are over."""

from __future__ import annotations

from functools import partial

from app import checkins, clock, gatherings
from app.db import retrying, transaction


def beat() -> int:
    """A sign of life each minute; the days that a silence of ours froze. Streaks that went on are counted anew."""
    with transaction():
        at = clock.now()
        frozen = checkins.beat(at=at)
        touched = [pair for day in frozen for pair in checkins.affected(day, None)]
    for program_id, person_id in touched:
        retrying(partial(_recount, program_id, person_id))
    return len(frozen)


def _recount(program_id: int, person_id: int) -> None:
    with transaction():
        checkins.recount(person_id=person_id, program_id=program_id, at=clock.now())


def remind() -> int:
    """Remind whoever wishes and has not checked in yet; answers how many."""
    total = 0
    while True:
        with transaction():
            told = checkins.remind_due(at=clock.now())
        total += told
        if told == 0:
            return total


def settle_gatherings() -> int:
    """Settle what is over, each in a transaction of its own; answers how many."""
    with transaction():
        found = gatherings.due(at=clock.now())
    for gathering_id in found:
        retrying(partial(_settle, gathering_id))
    return len(found)


def _settle(gathering_id: int) -> int:
    with transaction():
        return gatherings.settle(gathering_id=gathering_id, at=clock.now())
