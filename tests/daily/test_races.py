"""Daily life under real threads: check-ins at the last and the first instant of a Shanghai day, whatever zone the
server is in; places, one code for all, one quiz from many phones.

Seen red with each of these planted: the first look without the wallets' locks (repeats kept as conflicts); the day in
UTC; a sign-up that does not lock the gathering (twenty in ten places); a quiz without locks; an attendance that does
not mind an earlier one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from app import checkins, gatherings, learning
from app.db import connection, db, session, transaction
from tests import world
from tests.daily.lived import give_card
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
    streaks = rows("select length, last_day, count(*) from check_in_streaks group by 1, 2 order by 1")
    assert streaks == [(2, date(2026, 3, 3), 10), (3, date(2026, 3, 3), 10)], "whichever day was written last"
    assert rows("select count(*), sum(credits)::int from awards where state = 'paid'") == [(50, 50)]


def test_a_make_up_card_is_used_once(crowd: Any, city: World) -> None:
    person = city.people[0]
    for back in (3, 1, 0):
        with transaction():
            come(city, person, LAST - timedelta(days=back))
    with transaction():
        give_card(city.program_id, person, date(2026, 2, 1))
    made = {"program_id": city.program_id, "person_id": person, "day": date(2026, 2, 28), "at": LAST}
    answers = at_once(crowd, *[partial(checkins.make_up, **made)] * 12)
    assert codes(answers) == []
    assert Counter(answer.fresh for answer in fine(answers)) == {True: 1, False: 11}
    assert rows("select cards, length, total from check_in_streaks") == [(0, 4, 4)]
    with transaction():
        give_card(city.program_id, person, date(2026, 2, 2))
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


def test_forty_sign_up_at_once_for_ten_places(crowd: Any, city: World) -> None:
    with transaction():
        definition = gatherings.Definition(
            code="ten", kind="online", name="十席", scenario="attendance", starts_at=FIRST, capacity=10,
            ends_at=FIRST + timedelta(hours=1),
        )  # fmt: skip
        made = gatherings.launch(program_id=city.program_id, definition=definition, by="operator:x", at=LAST)
    people = city.people * 2  # each from two phones
    signs = [partial(gatherings.sign_up, gathering_id=made.id, person_id=person, at=LAST) for person in people]
    answers = at_once(crowd, *signs)
    assert codes(answers) == []
    states = "select state, count(*) from gathering_sign_ups group by state order by state"
    assert rows(states) == [("signed", 10), ("waiting", 10)]
    assert rows("select signed from gatherings") == [(10,)]
    leaving = [row.person_id for row in rows("select person_id from gathering_sign_ups where state = 'signed'")][:5]
    gone = [partial(gatherings.cancel_sign_up, gathering_id=made.id, person_id=one, at=LAST) for one in leaving * 2]
    assert codes(at_once(crowd, *gone)) == []
    assert rows(states) == [("cancelled", 5), ("signed", 10), ("waiting", 5)]


def test_one_code_scanned_by_all_at_once_counts_each_once(crowd: Any, city: World) -> None:
    with transaction():
        definition = gatherings.Definition(
            code="door",
            kind="on-site",
            name="门",
            scenario="attendance",
            starts_at=FIRST,
            ends_at=FIRST + timedelta(hours=1),
        )
        made = gatherings.launch(program_id=city.program_id, definition=definition, by="operator:x", at=LAST)
        gatherings.add_host(gathering_id=made.id, person_id=city.people[0], at=LAST)
        code = gatherings.screen(gathering_id=made.id, person_id=city.people[0], place=None, at=FIRST).text
    scans = [partial(gatherings.scan, code=code, person_id=person, at=FIRST) for person in city.people * 3]
    answers = at_once(crowd, *scans)
    assert codes(answers) == []
    assert Counter(answer.fresh for answer in fine(answers)) == {True: 20, False: 40}
    assert rows("select count(*) from records where state = 'counted'") == [(20,)]
    assert rows("select sum(credits)::int from awards where state = 'paid'") == [(100,)]


def test_a_quiz_answered_twelve_times_at_once_has_one_answer(crowd: Any, city: World) -> None:
    with transaction():
        cells = {"question": "问", "A": "一", "B": "二", "C": "三", "right": "A", "explanation": "因为"}
        by: dict[str, Any] = {"program_id": city.program_id, "by": "operator:x", "at": FIRST}
        learning.import_questions(bank="b", rows=[(n, {"ref": str(n), **cells}) for n in range(5)], **by)
        learning.publish(
            quizzes=[{"code": "q", "kind": "daily", "title": "题", "bank": "b", "draws": 5, "passes": 1}], **by
        )
        _, _, (quiz,) = learning.overview(program_id=city.program_id, person_id=city.people[0], at=FIRST)
    who = {"person_id": city.people[0], "at": FIRST}

    def begin() -> tuple[int, list[int], bool]:
        attempt, _, asked, fresh = learning.start(quiz_id=quiz.id, **who)
        return attempt.id, [one.id for one in asked], fresh

    def answer(right: int) -> tuple[bool, int | None]:
        given = {one: [0] if n < right else [1] for n, one in enumerate(asked)}
        found = learning.submit(attempt_id=attempt_id, answers=given, **who)
        return found.fresh, found.attempt.right_count

    begun = fine(at_once(crowd, *[begin] * 12))
    assert len({attempt_id for attempt_id, *_ in begun}) == 1 and [fresh for *_, fresh in begun].count(True) == 1
    attempt_id, asked, _ = begun[0]
    answers = at_once(crowd, *[partial(answer, 1 + number % 5) for number in range(12)])
    assert codes(answers) == []
    assert Counter(fresh for fresh, _ in fine(answers)) == {True: 1, False: 11}
    ((right,),) = rows("select (facts->>'answers')::int from records")
    assert {counted for _, counted in fine(answers)} == {right}
