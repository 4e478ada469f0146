"""Contests under real threads: places, settlement, progress, trees.

Seen red: with the counter read before it is written, thirty took three places, and CHL-3 told it too.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from app import challenges, grove, levels, records
from app.db import run, transaction
from tests import world
from tests.contest import field
from tests.contest.field import CLOSED, START, toml
from tests.contest.test_grove import TOML as GROVE
from tests.contest.test_levels import TOML as LEVELS
from tests.races.crowd import at_once, codes, fine
from tests.world import AT, World

pytestmark = pytest.mark.race


@pytest.fixture
def city(crowd: Any) -> World:
    """A committed program that began before its challenges; its budget covers 1,000 credits."""
    with transaction():
        return world.build(people=30, deposit_fen=2_000, stock=1, at=START - timedelta(days=20))


def one(query: str) -> Any:
    with transaction():
        return run(query)[0][0]


def enrol(city: World, person: int) -> Any:
    return partial(challenges.enrol, program_id=city.program_id, code="metro-week", person_id=person, at=START)


def test_of_all_who_join_at_once_exactly_as_many_get_in_as_there_are_places(crowd: Any, city: World) -> None:
    race = field.live(city, toml(more="capacity = 3"))
    answers = at_once(crowd, *[enrol(city, person) for person in city.people])
    assert len(fine(answers)) == 3 and set(codes(answers)) == {"challenge_full"}
    assert one("select enrolled from challenges") == 3 == one("select count(*) from enrolments")
    assert race.id


def test_one_who_taps_six_times_is_in_once(crowd: Any, city: World) -> None:
    field.live(city, toml())
    answers = at_once(crowd, *[enrol(city, city.people[0]) for _ in range(6)])
    assert sorted(fine(answers)) == [False] * 5 + [True]
    assert one("select enrolled from challenges") == 1


def test_two_who_settle_at_once_pay_once(crowd: Any, city: World) -> None:
    race = field.live(city, toml())
    field.join(city, *city.people[:3])
    for person in city.people[:3]:
        field.ride(city, person, 17)
    with transaction():
        challenges.settle(challenge_id=race.id, at=CLOSED)
    step = partial(challenges.settle, challenge_id=race.id, at=CLOSED)
    at_once(crowd, *[step] * 6)
    assert one("select state from challenges") == "settled"
    assert one("select count(*) from awards where reason = 'challenge.metro-week'") == 2
    assert one("select sum(credits) from awards where reason = 'challenge.metro-week'") == 100


def test_two_launches_on_one_deposit_reserve_it_once(crowd: Any, city: World) -> None:
    room = field.capacity(city.budget_id)
    made = []
    with transaction():
        prizes = field.RANKS.format(first=1, last=1, credits=room // 2 + 1)
        for code in ("one", "two", "three"):
            definition = challenges.parse(toml(code=code, prizes=prizes))
            made.append(
                challenges.draft(program_id=city.program_id, definition=definition, actor="operator:l", at=START).id
            )
    launch = [partial(challenges.launch, challenge_id=number, version=1, approval_id=None, at=START) for number in made]
    answers = at_once(crowd, *launch)
    assert len(fine(answers)) == 1 and codes(answers) == ["reserve_short"] * 2
    assert field.capacity(city.budget_id) == room - (room // 2 + 1)


def test_progress_that_two_compute_at_once_misses_nothing(crowd: Any, city: World) -> None:
    race = field.live(city, toml())
    field.join(city, *city.people[:2])
    for person in city.people[:2]:
        for hour in (6, 8, 10):
            field.ride(city, person, 17, hour=hour)
    refresh = [partial(challenges.refresh, race.id, people=[person]) for person in city.people[:2] * 3]
    at_once(crowd, *refresh)
    assert one("select sum(value) from challenge_scores") == 60_000


def test_a_tree_is_planted_once_and_given_once(crowd: Any, city: World) -> None:
    person = city.people[0]
    with transaction():
        grove.put(program_id=city.program_id, content=grove.parse(GROVE), actor="operator:lin", at=START)
    plant = partial(grove.plant, program_id=city.program_id, person_id=person, shape="ginkgo", at=AT)
    at_once(crowd, *[plant] * 6)
    assert one("select count(*) from trees") == 1
    field.ride(city, person, 17, "30")
    with transaction():
        grove.ripen(city.program_id, [person], at=AT)
    answers = at_once(crowd, *[partial(grove.give, tree_id=one("select id from trees"), person_id=person, at=AT)] * 6)
    assert len(fine(answers)) == 6
    assert one("select count(*) from gifts") == 1 == one("select count(*) from awards where reason = 'tree'")


def test_a_levels_bonus_is_paid_once(crowd: Any, city: World) -> None:
    person = city.people[0]
    with transaction():
        levels.put(program_id=city.program_id, content=levels.parse(LEVELS), actor="operator:lin", at=START)
    with transaction():
        records.take(world.act(city, person), at=AT)
    run("insert into scores select %(p)s, 'person', 'month', '2026-11', %(w)s, 900000, now(), 1, 0, now(), 1",
        {"p": city.program_id, "w": person})  # fmt: skip
    with transaction():
        levels.refresh(city.program_id, [person], cause="earned", at=AT)
    reward = partial(levels.reward, program_id=city.program_id, person_ids=[person], taken=False, at=AT)
    at_once(crowd, *[reward] * 6)
    assert one("select count(*) from awards where reason = 'level.sprout'") == 1
