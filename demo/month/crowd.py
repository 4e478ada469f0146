"""The people of the month: who they are, where they belong, and when they joined."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from app import people, programs
from app.clock import day_start
from app.config import Settings
from app.db import run, transaction
from app.people import consents
from app.programs import Program
from demo.places import CITY, COMMUNITY, ENTERPRISE, Place
from wechat.sandbox.state import State, User

HOMES: tuple[tuple[Place, float], ...] = ((CITY, 0.6), (COMMUNITY, 0.25), (ENTERPRISE, 0.15))
PURPOSES = ("rides", "steps", "office", "household", "vehicle")
IN_ONE_GO = 50


@dataclass(frozen=True, slots=True)
class Somebody:
    """One of the month's people. ``zeal`` (0 to 1) is how much she does."""

    number: int
    person_id: int
    program: str
    program_id: int
    unit: str
    zeal: float


def gather(settings: Settings, *, seed: int, count: int, first: date) -> list[Somebody]:
    """Everybody, signed in the day before the month began and a member of one program."""
    at = day_start(first) - timedelta(hours=6)
    drawn = [_drawn(seed, number) for number in range(count)]
    known = {place.code: programs.by_code(place.code) for place, _ in HOMES}
    box = State(settings.wechat_appid, settings.wechat_secret)  # knows the openid that the local WeChat will answer
    found: list[Somebody] = []
    for start in range(0, count, IN_ONE_GO):
        with transaction():
            invitations = {code: _invitation(program, at) for code, program in known.items()}
            for number in range(start, min(start + IN_ONE_GO, count)):
                place, unit, zeal = drawn[number]
                program = known[place.code]
                person_id = _person(settings, box.add_user(name_of(seed, number)), at)
                _join(person_id, program, unit, invitations[place.code], at)
                found.append(Somebody(number, person_id, place.code, program.id, unit, zeal))
    with transaction():
        _name(found)
    return found


def of(program: str, everybody: Sequence[Somebody]) -> list[Somebody]:
    return [one for one in everybody if one.program == program]


def _drawn(seed: int, number: int) -> tuple[Place, str, float]:
    chance = random.Random(f"{seed}:who:{number}")
    place = chance.choices([home for home, _ in HOMES], [share for _, share in HOMES])[0]
    units = [unit[0] for unit in place.units if unit[4] is not None or place is not ENTERPRISE]
    return place, chance.choice(units), chance.betavariate(2, 2)


def name_of(seed: int, number: int) -> str:
    """The user of the local WeChat behind one of the month's people: anybody may sign in as her."""
    return f"month-{seed}-{number}"


def _person(settings: Settings, user: User, at: datetime) -> int:
    login = people.sign_in(appid=settings.wechat_appid, openid=user.openid, at=at, session_days=1, device="demo month")
    people.end_sessions(person_id=login.person_id, at=at)
    return login.person_id


def _join(person_id: int, program: Program, unit: str, invitation: dict[str, str], at: datetime) -> None:
    if programs.membership(program.id, person_id) is not None:
        return
    shown = programs.Pass(invitation=invitation[unit]) if invitation else programs.Pass(org_unit=unit)
    version = programs.terms_in_force(program.id, at).version
    people.join_program(person_id=person_id, program=program, terms_version=version, shown=shown, at=at)
    for purpose in PURPOSES:
        consents.agree(person_id=person_id, key=purpose, version=consents.purpose(purpose).version, at=at)


def _invitation(program: Program, at: datetime) -> dict[str, str]:
    """A code for each org-unit, where one is needed to come in."""
    if program.joining != "invitation":
        return {}
    return {
        unit[0]: programs.invite(
            program_id=program.id, at=at, uses=IN_ONE_GO, valid_for=timedelta(days=1), org_unit=unit[0]
        ).code
        for place, _ in HOMES
        if place.code == program.code
        for unit in place.units
    }


def _name(everybody: Sequence[Somebody]) -> None:
    """Nicknames, so that boards can be read."""
    names = [f"居民{one.number:04d}" for one in everybody]
    run(
        "update persons p set nickname = x.name from unnest(%(ids)s::bigint[], %(names)s::text[]) as x (id, name)"
        " where p.id = x.id and p.nickname is null",
        {"ids": [one.person_id for one in everybody], "names": names},
    )
