"""Where people of the month meet: a day out on Saturdays, a talk online on Wednesdays, green meetings on Mondays."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from functools import partial

from app import gatherings
from app.clock import day_start
from app.db import session, transaction
from app.errors import Refusal
from app.gatherings import Definition, Place, Wish
from app.gatherings.models import Gathering
from demo.month import crowd
from demo.month.crowd import Somebody
from demo.places import CITY, COMMUNITY, ENTERPRISE

BY = "system:demo"
MONDAY, WEDNESDAY, SATURDAY = 0, 2, 5
SEATS, MINUTES, IN_A_MEETING = 60, 40, 6


def day(everybody: Sequence[Somebody], *, seed: int, on: date) -> None:
    """What takes place on this day of the week."""
    if on.weekday() == SATURDAY:
        _day_out(crowd.of(CITY.code, everybody), seed, on)
    elif on.weekday() == WEDNESDAY:
        _talk(crowd.of(COMMUNITY.code, everybody), seed, on)
    elif on.weekday() == MONDAY:
        _meetings(crowd.of(ENTERPRISE.code, everybody), seed, on)


def settle_all(*, at: datetime) -> None:
    """Every gathering that is over by then."""
    while True:
        with transaction():
            due = gatherings.due(at=at)
            for number in due:
                gatherings.settle(gathering_id=number, at=at)
        if not due:
            return


def _day_out(mine: Sequence[Somebody], seed: int, on: date) -> None:
    """On site, by the code on the organiser's screen; a third come, and some with the code of a minute ago."""
    starts = day_start(on) + timedelta(hours=9)
    made = _launch(mine, Definition(
        code=f"day-out-{seed}-{on:%m%d}", kind="on-site", name="周末骑行日", name_en="Cycling day",
        scenario="attendance", starts_at=starts, ends_at=starts + timedelta(hours=4), places=(Place("gate", "东门"),),
    ))  # fmt: skip
    for number, one in enumerate(_drawn(mine, seed, on, 0.3)):
        at = starts + timedelta(minutes=5, seconds=10 * number)
        shown = at - timedelta(seconds=90 if number % 10 == 9 else 3)
        with transaction():
            text = gatherings.screen(gathering_id=made, person_id=mine[0].person_id, place=None, at=shown).text
        _try(partial(gatherings.scan, code=text, person_id=one.person_id, at=at))


def _talk(mine: Sequence[Somebody], seed: int, on: date) -> None:
    """Online, with fewer seats than people: who has one is there for some minutes, or not at all."""
    starts = day_start(on) + timedelta(hours=20)
    made = _launch(mine, Definition(
        code=f"talk-{seed}-{on:%m%d}", kind="online", name="垃圾分类公开课", name_en="A talk about sorting",
        scenario="attendance", starts_at=starts, ends_at=starts + timedelta(hours=1), attend_by="minutes",
        least_minutes=30, needs_sign_up=True, capacity=SEATS,
        opens_at=starts - timedelta(days=2), closes_at=starts,
    ))  # fmt: skip
    for number, one in enumerate(_drawn(mine, seed, on, 0.3)):
        signed = starts - timedelta(days=1) + timedelta(seconds=number)
        _try(partial(gatherings.sign_up, gathering_id=made, person_id=one.person_id, at=signed))
        if random.Random(f"{seed}:talk:{one.number}:{on}").random() < 0.85:
            for minute in range(MINUTES):
                at = starts + timedelta(minutes=minute + 1)
                if not _try(partial(gatherings.beat, gathering_id=made, person_id=one.person_id, at=at)):
                    break  # without a seat


def _meetings(mine: Sequence[Somebody], seed: int, on: date) -> None:
    """Colleagues in sixes meet online instead of travelling, without paper."""
    starts = day_start(on) + timedelta(hours=10)
    for start in range(0, len(mine) - IN_A_MEETING + 1, IN_A_MEETING):
        host, *others = mine[start : start + IN_A_MEETING]
        wish = Wish(name="部门周例会", starts_at=starts, ends_at=starts + timedelta(hours=1), online=True, sheets=4)
        ref = f"month-{seed}-{on:%m%d}"
        with transaction():
            made, _ = gatherings.register(
                program_id=host.program_id, person_id=host.person_id, client_ref=ref, wish=wish,
                at=starts - timedelta(minutes=30),
            )  # fmt: skip
            number, open_still = made.id, made.state == "open"
        for place, one in enumerate([host, *others] if open_still else []):
            at = starts + timedelta(minutes=3, seconds=place)
            with transaction():
                text = gatherings.screen(gathering_id=number, person_id=host.person_id, place=None, at=at).text
            _try(partial(gatherings.scan, code=text, person_id=one.person_id, at=at))


def _launch(mine: Sequence[Somebody], definition: Definition) -> int:
    """The gathering, with the first of them as host; what stands already stays as it is."""
    program_id = mine[0].program_id
    at = (definition.opens_at or definition.starts_at - timedelta(days=1)) - timedelta(hours=1)
    with transaction():
        known = session().query(Gathering).filter_by(program_id=program_id, code=definition.code).first()
        made = known or gatherings.launch(program_id=program_id, definition=definition, by=BY, at=at)
        gatherings.add_host(gathering_id=made.id, person_id=mine[0].person_id, at=at)
        return int(made.id)


def _drawn(mine: Sequence[Somebody], seed: int, on: date, share: float) -> list[Somebody]:
    return [one for one in mine[1:] if random.Random(f"{seed}:meet:{one.number}:{on}").random() < share]


def _try(command: Callable[[], object]) -> bool:
    """Whether it was done; a refusal (a stale code, no seat, over already) is a part of life."""
    try:
        with transaction():
            command()
    except Refusal:
        return False
    return True
