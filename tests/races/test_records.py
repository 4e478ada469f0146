"""Records, claims and boards under real threads.

Seen red with each of these planted: the look for standing claims answering nothing (the exclusion refused to the end);
records stored without their conflict clause (an error per loser); the relay without inbox rows and row locks (BRD-5: a
score too high). Found by it: an act that overtook another wrote back a carry from before the reversal.
"""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from app import leaderboards, records, vehicles
from app.db import connection, transaction
from jobs.relay import relay_all
from tests import world
from tests.races.crowd import at_once, codes, fine
from tests.world import AT, World

pytestmark = pytest.mark.race


def take(act: records.Act) -> records.Taken:
    return records.take(act, at=AT)


def count(sql: str, **values: Any) -> int:
    with transaction():
        return int(connection().execute(text(sql), values).scalar_one())


def test_fifty_claims_on_one_vehicle_in_one_hour_count_once(crowd: Any, city: World) -> None:
    with transaction():
        car = world.car(city.people[0])
    starts = AT - timedelta(days=1)
    acts = [
        world.act(
            city,
            city.people[0],
            "nev-mileage",
            subject=car,
            reference=f"claim-{number}",
            facts={"distance_km": "20"},
            occurred_at=starts + timedelta(seconds=number),
            ended_at=starts + timedelta(hours=1, seconds=number),
        )
        for number in range(50)
    ]
    answers = at_once(crowd, *[partial(take, act) for act in acts])
    states = [answer.state for answer in fine(answers)]
    assert codes(answers) == []
    assert sorted(states) == ["counted"] + ["duplicate"] * 49
    assert count("select count(*) from claims where live") == 1
    assert count("select count(*) from transfers where reason = 'reduction'") == 1


def test_twenty_bind_one_vehicle_and_one_holds_it(crowd: Any, city: World) -> None:
    with transaction():
        vehicle = vehicles.register(vin="RACE0001", fuel="bev")
    bind = [partial(vehicles.bind, vehicle_id=vehicle, person_id=person, at=AT) for person in city.people[:20]]
    answers = at_once(crowd, *bind)
    assert len(fine(answers)) == 1
    assert codes(answers) == ["vehicle_taken"] * 19


def test_the_same_record_twenty_times_is_one(crowd: Any, city: World) -> None:
    act = world.act(city, city.people[0], reference="same")
    answers = at_once(crowd, *[partial(take, act)] * 20)
    assert len({answer.record_id for answer in fine(answers)}) == 1
    assert sorted({answer.outcome for answer in fine(answers)}) == ["accepted", "duplicate"]
    assert [answer.outcome for answer in fine(answers)].count("accepted") == 1
    assert len({answer.credits for answer in fine(answers)}) == 1


def test_one_act_from_two_sources_at_once_counts_by_the_better(crowd: Any, city: World) -> None:
    for number, person in enumerate(city.people[:8]):
        declared = world.act(city, person, "bus-ride", kind="citizen", reference=f"mine-{number}")
        pushed = world.act(city, person, "bus-ride", kind="partner", reference=f"operator-{number}")
        answers = at_once(crowd, partial(take, declared), partial(take, pushed))
        assert codes(answers) == []
        query = text("select source_id from records where person_id = :p and state = 'counted'")
        with transaction():
            counted = connection().execute(query, {"p": person}).scalars().all()
        assert counted == [city.sources["partner"]]


def test_redis_flushed_under_load_and_one_command_puts_the_boards_right(crowd: Any, city: World, redis: Any) -> None:
    for number in range(4):
        for person in city.people[:6]:
            starts = AT - timedelta(days=number + 1, hours=person % 5)
            with transaction():
                world.take(city, person, occurred_at=starts, ended_at=starts + timedelta(minutes=30))
    relays = [partial(_deliver, number) for number in range(3)]
    at_once(crowd, *relays)
    relay_all()
    credits = count("select coalesce(sum(balance), 0) from accounts where kind = 'wallet'")
    with transaction():
        assert leaderboards.check() == []
    redis.flushdb()
    with transaction():
        assert leaderboards.check() != []
    told = crowd.test_cli_runner().invoke(args=["boards", "rebuild"])
    assert told.exit_code == 0, told.output
    with transaction():
        assert leaderboards.check() == []
    assert count("select coalesce(sum(balance), 0) from accounts where kind = 'wallet'") == credits
    assert json.loads(crowd.test_cli_runner().invoke(args=["prove", "BRD", "--json"]).output)


def _deliver(_: int) -> int:
    """Three relays share the outbox; each claims what the others left."""
    from jobs import relay
    from jobs.listeners import LISTENERS

    batch = relay._claim(5)
    relay._deliver(batch, LISTENERS)
    return len(batch)
