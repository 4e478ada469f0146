"""Grams that are given away are retired: never given twice, in no export, and corrected with their record."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from app import records, welfare
from app.db import connection, transaction
from app.errors import Refusal
from app.records import reviews
from tests import world
from tests.settlement.conftest import broken
from tests.world import AT, World


@pytest.fixture
def city(db_session: Any) -> World:
    with transaction():
        return world.build(people=2)


def event(here: World, mg: int = 10**12) -> int:
    with transaction():
        return welfare.open_event(program_id=here.program_id, code="run", name="跑步", name_en="Run", held_on=AT.date(),
                                  footprint_mg=mg).id  # fmt: skip


def exportable() -> int:
    return int(connection().execute(text("select coalesce(sum(mg), 0) from exportable_grams")).scalar_one())


def test_once_and_out_of_every_export(city: World) -> None:
    person = city.people[0]
    with transaction():
        rides = [world.take(city, person, reference=f"r{n}", occurred_at=AT - (n + 2) * (AT - AT.replace(hour=3)),
                            ended_at=AT - (n + 2) * (AT - AT.replace(hour=3))) for n in range(2)]  # fmt: skip
        rides = [ride for ride in rides if ride.mg]
    have = records.available_grams(person, city.program_id)
    assert have == exportable() > 0
    running = event(city)
    with transaction():
        gift, fresh = welfare.give_grams(person_id=person, event_id=running, mg=have - 5, client_ref="a", at=AT)
        assert fresh and gift.certificate_no.startswith("N")
        again, fresh = welfare.give_grams(person_id=person, event_id=running, mg=have - 5, client_ref="a", at=AT)
        assert (again.id, fresh) == (gift.id, False)
    assert exportable() == 5 == records.available_grams(person, city.program_id)
    with pytest.raises(Refusal) as short, transaction():
        welfare.give_grams(person_id=person, event_id=running, mg=6, client_ref="b", at=AT)
    assert (short.value.code, short.value.details["available"]) == ("grams_short", "5")
    assert broken("LED", "WEL", "RED") == []


def test_never_more_than_the_footprint(city: World) -> None:
    with transaction():
        world.take(city, city.people[0])
    small = event(city, 100)
    with pytest.raises(Refusal) as full, transaction():
        welfare.give_grams(person_id=city.people[0], event_id=small, mg=101, client_ref="a", at=AT)
    assert (full.value.code, full.value.details["room_mg"]) == ("event_full", "100")


def test_what_only_says_so_can_not_be_given(city: World) -> None:
    person = city.people[0]
    with transaction():
        world.take(city, person)
        connection().execute(text("update records set tier = 'E'"))
    assert records.available_grams(person, city.program_id) == 0 == exportable()


def test_a_record_that_is_taken_back_takes_its_gift_along(city: World) -> None:
    person = city.people[0]
    with transaction():
        ride = world.take(city, person)
    running = event(city)
    with transaction():
        gift, _ = welfare.give_grams(person_id=person, event_id=running, mg=ride.mg, client_ref="a", at=AT)
        reviews.reverse(record_id=ride.record_id or 0, code="error", words="", by="operator:lin", at=AT)
    assert welfare.gram_gift(gift.id).standing_mg == 0
    assert welfare.events_shown(city.program_id)[0].given_mg == 0
    assert broken("LED", "WEL", "RED", "MET-1") == []
