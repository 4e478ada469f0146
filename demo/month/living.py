"""Day after day: what is set up before the month, what happens on each day, what is settled after it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

from app import funding, programs
from app.clock import day_start
from app.config import Settings
from app.db import session, transaction
from app.funding import Budget
from demo.month import contests, crowd, days, growing, meets, speaking
from jobs.relay import relay_all

FEN = 20_000_000  # what the sponsor of each program adds for the month
Told = Callable[[str, int, int], None]


def live(settings: Settings, *, seed: int, count: int, first: date, last: date, told: Told) -> list[crowd.Somebody]:
    """The whole month; ``told`` hears what is being done, how far it is, and of how much."""
    _fund(seed, first)
    told("people", 0, 1)
    everybody = crowd.gather(settings, seed=seed, count=count, first=first)
    told("people", 1, 1)
    told("contests", 0, 1)
    contests.open_all(everybody, seed=seed, first=first, last=last)
    growing.prepare(everybody, first=first)
    speaking.prepare(seed=seed, first=first)
    told("contests", 1, 1)
    length = (last - first).days + 1
    for number in range(length):
        told("days", number, length)
        on = first + timedelta(days=number)
        days.day(everybody, seed=seed, on=on)
        meets.day(everybody, seed=seed, on=on)
        growing.quiz_day(everybody, seed=seed, on=on)
        speaking.day(settings, everybody, seed=seed, on=on, first=first)
        meets.settle_all(at=day_start(on) + timedelta(days=1))
        relay_all()
    told("days", length, length)
    after = day_start(last) + timedelta(days=4)
    contests.settle_all(seed=seed, at=after)
    growing.grow_up(everybody, at=after + timedelta(hours=1))
    relay_all()
    return everybody


def _fund(seed: int, first: date) -> None:
    for place, _ in crowd.HOMES:
        with transaction():
            program = programs.by_code(place.code)
            budget = session().query(Budget).filter_by(program_id=program.id, is_default=True).one()
            funding.receive_deposit(
                budget=budget, fen=FEN, reference=f"month-{seed}", at=day_start(first) - timedelta(days=1)
            )
