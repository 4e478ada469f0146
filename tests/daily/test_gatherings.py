"""Gatherings on site and online: the rotating code, places and the queue, minutes, who did not come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import gatherings, notices, programs
from app.db import connection, transaction
from app.errors import Refusal
from app.gatherings import Definition, Place, codes, spans
from app.gatherings.signing import fill, locked
from tests import given, world
from tests.world import World

MINUTE = timedelta(minutes=1)
BEGINS = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)  # 10:00 in Shanghai
NOW = BEGINS - timedelta(days=2)
EVENT = Definition(
    code="repair", kind="on-site", name="修旧利废集市", name_en="Repair market", scenario="attendance",
    starts_at=BEGINS, ends_at=BEGINS + timedelta(hours=2),
)  # fmt: skip


@pytest.fixture
def here(db_session: Session) -> World:
    with transaction():
        return world.build(people=6, at=NOW)


def launch(here: World, **changes: Any) -> gatherings.Gathering:
    with transaction():
        definition = replace(EVENT, **changes)
        made = gatherings.launch(program_id=here.program_id, definition=definition, by="operator:x", at=NOW)
        gatherings.add_host(gathering_id=made.id, person_id=here.people[0], at=NOW)
        return made


def shown(here: World, made: gatherings.Gathering, at: datetime, place: str | None = None) -> gatherings.Screen:
    return gatherings.screen(gathering_id=made.id, person_id=here.people[0], place=place, at=at)


def scan(here: World, code: str, at: datetime, person: int = 1, **more: Any) -> gatherings.Attended:
    with transaction():
        return gatherings.scan(code=code, person_id=here.people[person], at=at, **more)


def sign_up(here: World, made: gatherings.Gathering, person: int, at: datetime = NOW) -> tuple[str, int]:
    with transaction():
        kept, position = gatherings.sign_up(gathering_id=made.id, person_id=here.people[person], at=at)
        return kept.state, position


def give_back(here: World, made: gatherings.Gathering, person: int, at: datetime = NOW) -> None:
    with transaction():
        gatherings.cancel_sign_up(gathering_id=made.id, person_id=here.people[person], at=at)


def settle(made: gatherings.Gathering, at: datetime) -> int:
    with transaction():
        return gatherings.settle(gathering_id=made.id, at=at)


def refused(command: Callable[..., Any], *args: Any, **named: Any) -> str:
    with pytest.raises(Refusal) as caught:
        command(*args, **named)
    return caught.value.code


def rows(sql: str, **values: Any) -> list[Any]:
    return [tuple(row) for row in connection().execute(text(sql), values)]


def test_the_code_of_the_screen_counts_once_and_earns(here: World) -> None:
    made = launch(here)
    at = BEGINS + 5 * MINUTE
    screen = shown(here, made, at)
    first = scan(here, screen.text, at + timedelta(seconds=3))
    again = scan(here, screen.text, at + timedelta(seconds=9))
    assert (first.fresh, again.fresh) == (True, False)
    assert again.taken is not None and first.taken is not None
    assert (again.taken.record_id, again.taken.credits) == (first.taken.record_id, 5)
    assert first.taken is not None and (first.taken.state, first.taken.credits) == ("counted", 5)
    assert rows("select tier, state from records") == [("C", "counted")]
    assert shown(here, made, at).attended == 1


@pytest.mark.parametrize(
    ("seconds", "counts"),
    [(0, True), (29.999, True), (30, True), (30.999, True), (31, False), (45, False), (600, False)],
)
def test_a_code_counts_for_31_seconds_after_it_first_stood_there(here: World, seconds: float, counts: bool) -> None:
    made = launch(here)
    at = BEGINS + 5 * MINUTE  # a step begins with each half minute
    screen = shown(here, made, at)
    assert screen.seconds_left == 30
    then = at + timedelta(seconds=seconds)
    for code, more in ((screen.text, {}), (screen.typed, {"gathering_id": made.id})):
        if counts:
            assert scan(here, code, then, **more).attendance.person_id == here.people[1]
        else:
            assert refused(scan, here, code, then, **more) == "gathering_code_stale"


def test_each_half_minute_and_each_place_has_a_code_of_its_own(here: World) -> None:
    made = launch(here, places=(Place("door", "大门"), Place("hall", "大厅")))
    at = BEGINS
    seen = {
        shown(here, made, at + n * timedelta(seconds=30), place).text for n in range(3) for place in ("door", "hall")
    }
    assert len(seen) == 6
    assert shown(here, made, at + timedelta(seconds=29)).text == shown(here, made, at).text
    found = scan(here, shown(here, made, at, "hall").text, at)
    assert found.place is not None and found.place.code == "hall"


def test_what_is_no_code_of_this_gathering(here: World) -> None:
    made, other = launch(here), launch(here, code="other", name="另一场")
    at = BEGINS + MINUTE
    good = shown(here, made, at).text
    flipped = good[:-5] + ("A" if good[-5] != "A" else "B") + good[-4:]
    for bad in (flipped, good[:-1], good + "A", "DG" + "A" * 47, "https://example.com", "00000000", "DG"):
        assert refused(scan, here, bad, at) == "gathering_code_unknown", bad
    assert refused(scan, here, "00000000", at, gathering_id=made.id) == "gathering_code_unknown"
    assert refused(scan, here, good, at, gathering_id=other.id) == "gathering_code_elsewhere"
    forged = codes.text_of(made.id, 10**9, at)
    assert refused(scan, here, forged, at) == "gathering_code_unknown", "a place that is none"
    typed_elsewhere = shown(here, other, at).typed
    assert refused(scan, here, typed_elsewhere, at, gathering_id=made.id) == "gathering_code_unknown"


def test_before_the_doors_open_and_after_the_end(here: World) -> None:
    made = launch(here)
    for at, code in (
        (BEGINS - 30 * MINUTE - timedelta(seconds=1), "gathering_not_begun"),
        (BEGINS + timedelta(hours=2), "gathering_over"),
    ):
        assert refused(scan, here, codes.text_of(made.id, shown(here, made, at).place_id, at), at) == code
    for at in (BEGINS - 30 * MINUTE, BEGINS + timedelta(hours=2) - timedelta(microseconds=1)):
        scan(here, shown(here, made, at).text, at, person=2 if at < BEGINS else 3)


def test_a_place_asks_for_the_position_and_keeps_nothing_of_it(here: World) -> None:
    chengdu = {"lat_e6": 30_657_400, "lng_e6": 104_065_800, "radius_m": 200}
    made = launch(here, places=(Place("gate", "门", **chengdu),))
    at = BEGINS
    code = shown(here, made, at).text
    assert refused(scan, here, code, at) == "venue_place_needed"
    assert refused(scan, here, code, at, position=(30.70, 104.06)) == "venue_too_far"
    connection().execute(text("update consents set withdrawn_at = granted_at where purpose = 'location'"))
    assert refused(scan, here, code, at, position=(30.6575, 104.0659)) == "consent_required"
    connection().execute(text("update consents set withdrawn_at = null"))
    assert scan(here, code, at, position=(30.6575, 104.0659)).fresh
    assert "30.65" not in str(rows("select facts::text from records"))


def test_a_charging_station_counts_once_a_day(here: World) -> None:
    station = launch(here, code="station", repeats="daily", ends_at=BEGINS + timedelta(days=30))
    for hours, fresh in ((0, True), (3, False), (24, True), (24.5, False)):
        at = BEGINS + timedelta(hours=hours)
        assert scan(here, shown(here, station, at).text, at).fresh is fresh
    assert rows("select count(*) from records where state = 'counted'") == [(2,)]


def test_only_members_and_the_audience(here: World) -> None:
    made = launch(here, audience_tags=("volunteer",))
    code = shown(here, made, BEGINS).text
    assert refused(scan, here, code, BEGINS) == "gathering_not_for_you"
    connection().execute(
        text("update memberships set tags = '{volunteer}' where person_id = :p"), {"p": here.people[1]}
    )
    assert scan(here, code, BEGINS).fresh
    stranger = given.person()
    assert refused(gatherings.scan, code=code, person_id=stranger, at=BEGINS) == "not_a_member"


def test_places_are_exact_and_the_queue_is_fair(here: World) -> None:
    made = launch(here, capacity=2)
    got = [sign_up(here, made, person, NOW + person * MINUTE) for person in range(5)]
    assert got == [("signed", 0), ("signed", 0), ("waiting", 1), ("waiting", 2), ("waiting", 3)]
    assert sign_up(here, made, 3) == ("waiting", 2), "again is the same"
    give_back(here, made, 2)
    give_back(here, made, 2)
    assert sign_up(here, made, 3) == ("waiting", 1)
    give_back(here, made, 0)
    assert sign_up(here, made, 3) == ("signed", 0)
    assert [one.kind for one in notices.of_person(here.people[3], before=None, limit=5)] == ["gathering.place"]
    assert sign_up(here, made, 0, NOW + 30 * MINUTE) == ("waiting", 2), "whoever comes back stands at the end"
    assert rows("select signed from gatherings") == [(2,)]
    larger = launch(here, capacity=3)
    with transaction():
        assert fill(locked(larger.id), at=NOW) == 0, "who waits has the new place already"
    assert refused(launch, here, capacity=1) == "state_conflict", "nobody's place is taken away"


def test_signing_up_outside_its_time(here: World) -> None:
    made = launch(here, needs_sign_up=True, opens_at=NOW + MINUTE, closes_at=NOW + 2 * MINUTE)
    for at in (NOW, NOW + 2 * MINUTE):
        assert refused(sign_up, here, made, 1, at) == "sign_up_closed"
    assert sign_up(here, made, 1, NOW + MINUTE) == ("signed", 0)
    assert sign_up(here, made, 2, NOW + 2 * MINUTE - timedelta(microseconds=1)) == ("signed", 0)
    assert refused(scan, here, shown(here, made, BEGINS).text, BEGINS, person=3) == "sign_up_needed"
    assert refused(give_back, here, made, 1, BEGINS) == "gathering_over"


def test_who_keeps_a_place_empty_is_a_no_show_and_pauses_after_three(here: World) -> None:
    for number in range(3):
        made = launch(here, code=f"e{number}", capacity=5)
        sign_up(here, made, 1)
        sign_up(here, made, 2)
        scan(here, shown(here, made, BEGINS).text, BEGINS, person=2)
        assert settle(made, BEGINS + MINUTE) == 0, "not before it is over"
        settle(made, BEGINS + timedelta(hours=3))
        settle(made, BEGINS + timedelta(hours=4))
    assert rows("select state, count(*) from gathering_sign_ups group by 1 order by 1") == [
        ("attended", 3),
        ("no_show", 3),
    ]
    later = BEGINS + timedelta(hours=5)
    next_one = launch(
        here, code="next", capacity=5, starts_at=later + timedelta(days=40), ends_at=later + timedelta(days=41)
    )
    assert refused(sign_up, here, next_one, 1, later) == "no_show_pause"
    assert sign_up(here, next_one, 2, later) == ("signed", 0)
    assert sign_up(here, next_one, 1, later + timedelta(days=31)) == ("signed", 0)
    free = launch(here, code="free", starts_at=later + MINUTE, ends_at=later + timedelta(hours=1))
    assert sign_up(here, free, 1, later) == ("signed", 0), "where places are not limited nobody is kept out"


def test_an_event_that_is_called_off(here: World) -> None:
    made = launch(here, capacity=1)
    sign_up(here, made, 1)
    sign_up(here, made, 2)
    with transaction():
        gatherings.cancel(gathering_id=made.id, by="operator:x", reason="暴雨", at=NOW)
    for person in (1, 2):
        assert [one.kind for one in notices.of_person(here.people[person], before=None, limit=5)] == [
            "gathering.cancelled"
        ]
    assert settle(made, BEGINS + timedelta(hours=3)) == 0
    assert refused(scan, here, codes.text_of(made.id, 1, BEGINS), BEGINS) in (
        "gathering_over",
        "gathering_code_unknown",
    )
    assert {row[0] for row in rows("select state from gathering_sign_ups")} == {"signed", "waiting"}, "no no-shows"
    moved = launch(here, code="moved", capacity=1)
    sign_up(here, moved, 3)
    launch(here, code="moved", capacity=1, starts_at=BEGINS + MINUTE)
    assert [one.kind for one in notices.of_person(here.people[3], before=None, limit=5)] == ["gathering.changed"]


def test_an_online_event_by_minutes_counts_each_minute_once(here: World) -> None:
    made = launch(here, kind="online", attend_by="minutes", least_minutes=20)

    def beat(person: int, seconds: float) -> int:
        with transaction():
            at = BEGINS + timedelta(seconds=seconds)
            return gatherings.beat(gathering_id=made.id, person_id=here.people[person], at=at)

    for minute in range(21):
        beat(1, minute * 60)
        beat(1, minute * 60 + 20)  # a second device
    for minute in [*range(10), *range(60, 69)]:
        beat(2, minute * 60)
    assert beat(1, 20 * 60 + 30) == 20
    assert beat(2, 69 * 60) == 18, "what lies between two silences does not count"
    assert refused(beat, 3, -31 * 60) == "gathering_not_begun"
    assert settle(made, made.ends_at + MINUTE) == 1
    assert rows("select person_id, how, minutes from gathering_attendances") == [(here.people[1], "minutes", 20)]
    assert rows("select count(*) from records where state = 'counted'") == [(1,)]
    assert settle(made, made.ends_at + 2 * MINUTE) == 0


def test_spans_of_several_devices() -> None:
    def t(minute: int) -> datetime:
        return BEGINS + minute * MINUTE

    window = {"starts": t(0), "ends": t(60)}

    def of(*signals: tuple[str, int]) -> int:
        return spans.minutes(spans.of_signals([(kind, t(minute)) for kind, minute in signals], **window))

    assert of(("joined", 5), ("left", 25)) == 20
    assert of(("left", 25), ("joined", 5)) == 20, "in whatever order they arrive"
    assert of(("joined", 5), ("joined", 10), ("left", 20), ("left", 30)) == 25
    assert of(("joined", 5), ("left", 10), ("joined", 20), ("left", 30)) == 15
    assert of(("joined", 50)) == 10, "who never left stayed to the end"
    assert of(("left", 10)) == 10, "who left without joining was there from the beginning"
    assert of(("joined", -20), ("left", 5)) == 5
    assert of(("joined", 55), ("left", 90)) == 5
    assert of(("joined", 5), ("joined", 5), ("left", 9), ("left", 9), ("left", 9)) == 4


def test_a_definition_that_makes_no_sense_is_refused(here: World) -> None:
    for bad in (
        {"code": "Ü"}, {"kind": "party"}, {"scenario": "metro-ride"}, {"scenario": "nothing"},
        {"ends_at": BEGINS}, {"starts_at": BEGINS - timedelta(days=400)}, {"attend_by": "minutes"},
        {"closes_at": BEGINS + timedelta(days=3)}, {"capacity": 0}, {"repeats": "hourly"}, {"least_minutes": 0},
        {"places": (Place("a", "a", lat_e6=1),)}, {"places": (Place("a", "a"), Place("a", "b"))},
    ):  # fmt: skip
        assert refused(launch, here, **bad) == "gathering_invalid", bad


def test_three_hundred_in_a_minute_all_count(here: World) -> None:
    made = launch(here)
    with transaction():
        people = [world.join(programs.by_code(here.code), at=NOW) for _ in range(300)]
    for number, person in enumerate(people):
        at = BEGINS + timedelta(seconds=number / 5)
        with transaction():
            gatherings.scan(code=shown(here, made, at).text, person_id=person, at=at)
    assert shown(here, made, BEGINS + MINUTE).attended == 300
