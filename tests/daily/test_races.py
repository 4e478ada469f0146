"""Check-ins under real threads, at the last and the first instant of a Shanghai day, whatever zone the server is in.

Seen red with each of these planted: the look without the wallets' locks (a second record kept as a conflict); the day
taken in UTC; the unique key dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from app import checkins
from app.db import connection, db, session, transaction
from tests import world
from tests.races.crowd import at_once, codes, fine
from tests.world import World

pytestmark = pytest.mark.race
LAST = datetime(2026, 3, 2, 15, 59, 59, 999_000, tzinfo=UTC)  # 23:59:59.999 in Shanghai
FIRST = datetime(2026, 3, 2, 16, 0, tzinfo=UTC)  # 00:00:00 of the 3rd
ZONES = ("UTC", "America/New_York", "Asia/Kathmandu")


@pytest.fixture
def city(crowd: Any) -> Iterator[World]:
    with transaction():
        made = world.build(people=20, deposit_fen=200_000, at=LAST - timedelta(days=40))
    yield made


def come(here: World, person: int, at: datetime, zone: str = "UTC") -> checkins.CheckedIn:
    session().execute(text("select set_config('TimeZone', :zone, true)"), {"zone": zone})
    return checkins.check_in(program_id=here.program_id, person_id=person, at=at)


def rows(sql: str) -> list[Any]:
    with transaction():
        return list(connection().execute(text(sql)).all())


def test_twenty_taps_of_one_who_never_came_before_are_one(crowd: Any, city: World) -> None:
    answers = at_once(crowd, *[partial(come, city, city.people[0], LAST)] * 20)
    assert codes(answers) == []
    assert Counter(answer.fresh for answer in fine(answers)) == {True: 1, False: 19}
    assert len({answer.record_id for answer in fine(answers)}) == 1
    assert {answer.credits for answer in fine(answers)} == {1}
    assert rows("select count(*) from records") == [(1,)]
    assert rows("select count(*) from conflicting_records") == [(0,)]
    assert rows("select count(*) from awards where state = 'paid'") == [(1,)]


def test_around_midnight_each_day_has_one_in_every_zone(crowd: Any, city: World) -> None:
    """Each person taps six times: three before and three after midnight, over connections of three zones."""
    for person in city.people[:10]:
        with transaction():
            come(city, person, LAST - timedelta(days=1))
    for start in range(0, 20, 10):
        taps = [
            partial(come, city, person, at, zone)
            for person in city.people[start : start + 10]
            for n, zone in enumerate(ZONES)
            for at in (LAST - timedelta(milliseconds=n), FIRST + timedelta(microseconds=n))
        ]
        assert codes(at_once(crowd, *taps)) == []
    assert rows("select count(*) from conflicting_records") == [(0,)]
    found = rows(
        "select person_id, array_agg(day order by day) as days from check_ins"
        " where day > '2026-03-01' group by person_id"
    )
    assert len(found) == 20
    assert {tuple(row.days) for row in found} == {(date(2026, 3, 2), date(2026, 3, 3))}
    assert rows("select max(local_date) from records") == [(date(2026, 3, 3),)]
    assert rows("select count(*), sum(credits)::int from awards where state = 'paid'") == [(50, 50)]


def test_a_make_up_card_is_used_once(crowd: Any, city: World) -> None:
    person = city.people[0]
    for back in (3, 1, 0):
        with transaction():
            come(city, person, LAST - timedelta(days=back))
    with transaction():
        connection().execute(text("update check_in_streaks set cards = 1"))
    made = {"program_id": city.program_id, "person_id": person, "day": date(2026, 2, 28), "at": LAST}
    answers = at_once(crowd, *[partial(checkins.make_up, **made)] * 12)
    assert codes(answers) == []
    assert Counter(answer.fresh for answer in fine(answers)) == {True: 1, False: 11}
    assert rows("select cards, length, total from check_in_streaks") == [(0, 4, 4)]
    with transaction():
        connection().execute(text("update check_in_streaks set cards = 1"))
    days = [date(2026, 2, 26), date(2026, 2, 25), date(2026, 2, 24)]
    answers = at_once(crowd, *[partial(checkins.make_up, **{**made, "day": day}) for day in days])
    assert sorted(codes(answers)) == ["make_up_limit"] * 2, "two a month"


def test_the_milestone_of_a_day_is_paid_once(crowd: Any, city: World) -> None:
    person = city.people[0]
    for back in range(6, 0, -1):
        with transaction():
            come(city, person, LAST - timedelta(days=back))
    recount = partial(checkins.recount, person_id=person, program_id=city.program_id, at=LAST)
    taps: list[Any] = [partial(come, city, person, LAST), recount] * 8
    answers = at_once(crowd, *taps)
    assert codes(answers) == []
    assert rows("select days, day, credits from check_in_milestones") == [(7, date(2026, 3, 2), 5)]
    assert rows("select count(*) from awards where reason = 'streak.week'") == [(1,)]
    db.session.remove()
