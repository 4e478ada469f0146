"""Boards over HTTP: order, my row, movement, masks, opting out, small groups, past periods, and who may look."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from redis import Redis

from app import leaderboards, programs, records
from app.clock import period
from app.db import transaction
from tests import given, world
from tests.flows.conftest import NOW, Citizen, agree_to_all, deliver, ride
from tests.world import World

BOARD = "/programs/{}/boards/person/grams/{}"


def board(citizen: Citizen, town: World, kind: str = "week", query: str = "") -> Any:
    return citizen.get(BOARD.format(town.code, kind) + query)


def crowd(town: World, count: int, *, unit: str | None = None) -> list[int]:
    """People who rode 5, 10, 15 … kilometres on the 24th."""
    made = []
    program = programs.by_code(town.code)
    with transaction():
        for number in range(count):
            person = given.member(program, at=NOW, org_unit=unit)
            agree_to_all(person)
            take(town, person, f"ride-{person}", km=5 * (number + 1))
            made.append(person)
    deliver()
    return made


def take(town: World, person: int, reference: str, *, km: int, day: int = 24) -> None:
    start = period("day", date(2026, 11, day)).starts
    act = world.act(
        town, person, "bus-ride", reference=reference, facts={"distance_km": str(km)}, occurred_at=start, ended_at=start
    )
    records.take(act, at=NOW)


def test_the_page_has_my_row_and_those_around_me(ann: Citizen, town: World) -> None:
    crowd(town, 6)
    ann.post("/records", ride(town, km=17))
    deliver()
    page = board(ann, town, query="?limit=3")
    assert (page["total"], page["period"], page["final"], page["next_from"]) == (7, "2026-W48", False, 4)
    assert [line["rank"] for line in page["lines"]] == [1, 2, 3]
    assert page["me"]["rank"] == 4 and page["me"]["movement"] is None
    assert [line["rank"] for line in page["me"]["neighbours"]] == [2, 3, 4, 5, 6]
    rest = board(ann, town, query="?limit=100&from=4")
    assert [line["rank"] for line in rest["lines"]] == [4, 5, 6, 7] and rest["next_from"] is None
    scores = [int(line["score"]) for line in page["lines"] + rest["lines"]]
    assert scores == sorted(scores, reverse=True)
    assert ann.get(BOARD.format(town.code, "week") + "/me") == {
        "period": "2026-W48",
        "unit": "mg",
        "total": 7,
        "me": {"rank": 4, "score": page["me"]["score"], "movement": None},
    }


def test_movement_is_against_the_period_before(ann: Citizen, ben: Citizen, town: World) -> None:
    ann.post("/records", ride(town, "old", day=17, km=9))
    ben.post("/records", ride(town, "old", day=17, km=20))
    ann.post("/records", ride(town, "new", day=24, km=30))
    ben.post("/records", ride(town, "new", day=24, km=5))
    deliver()
    assert board(ann, town)["me"]["movement"] == 1
    assert board(ben, town)["me"]["movement"] == -1
    assert ann.get(BOARD.format(town.code, "week") + "/me")["me"]["movement"] == 1
    assert board(ann, town, query="?key=2026-W47")["me"]["rank"] == 2


def test_names_are_masked_shown_by_choice_and_gone_after_opting_out(ann: Citizen, ben: Citizen, town: World) -> None:
    profile = {"nickname": "安娜", "avatar_url": None, "language": "zh", "show_name": False, "on_boards": True}
    ann.phone.put("/me", profile)
    with transaction():
        given.pass_texts()
    ann.post("/records", ride(town, km=30))
    ben.post("/records", ride(town, km=5))
    deliver()
    assert board(ben, town)["lines"][0]["name"] == "安**"
    assert "安娜" not in ben.phone.get(BOARD.format(town.code, "week")).text
    assert board(ben, town)["me"]["neighbours"][0]["name"] == "安**"
    ann.phone.put("/me", {**profile, "show_name": True})
    deliver()
    shown = board(ben, town, query="?limit=9")
    assert [shown["lines"][0]["name"], shown["me"]["neighbours"][0]["name"]] == ["安娜", "安娜"]
    ann.phone.put("/me", {**profile, "show_name": True, "nickname": "安妮"})
    deliver()
    assert board(ben, town)["me"]["neighbours"][0]["name"] == "安娜", "the old name stays until the new one has passed"
    with transaction():
        given.pass_texts()
    deliver()
    assert board(ben, town)["me"]["neighbours"][0]["name"] == "安妮"
    ann.phone.put("/me", {**profile, "on_boards": False})
    deliver()
    after = board(ben, town, query="?limit=8")
    assert (after["total"], [line["name"][0] for line in after["lines"]], after["me"]["rank"]) == (1, ["用"], 1)
    assert board(ann, town, query="?limit=7")["me"] is None


def test_a_frozen_period_is_read_from_its_rows_and_forgets_who_left(
    ann: Citizen, ben: Citizen, town: World, redis: Redis
) -> None:
    ann.post("/records", ride(town, "a", day=3, km=30))
    ben.post("/records", ride(town, "b", day=3, km=5))
    deliver()
    with transaction():
        frozen = leaderboards.freeze_due(at=NOW)
    assert any(one.period.key == "2026-11-03" for one in frozen)
    redis.flushdb()
    page = board(ben, town, "day", "?key=2026-11-03")
    assert (page["final"], page["total"], page["ends_on"]) == (True, 2, "2026-11-03")
    assert (page["me"]["rank"], len(page["me"]["neighbours"])) == (2, 2)
    assert ben.get(BOARD.format(town.code, "day") + "/me?key=2026-11-03")["me"]["rank"] == 2
    with transaction():
        given.profile(ann.person_id, on_boards=False)
    again = board(ben, town, "day", "?key=2026-11-03&limit=9")
    assert [line["rank"] for line in again["lines"]] == [2], "the frozen rank stays, the person is not shown"


def test_without_redis_the_board_comes_from_postgresql(ann: Citizen, ben: Citizen, town: World, redis: Redis) -> None:
    ann.post("/records", ride(town, km=30))
    ben.post("/records", ride(town, km=5))
    deliver()
    before = board(ben, town)
    redis.flushdb()
    assert board(ben, town) == before
    rank = ben.get(BOARD.format(town.code, "week") + "/me")
    assert (rank["total"], rank["me"]["rank"]) == (2, 2)


def test_groups_under_five_are_in_no_line_and_no_count(
    ann: Citizen, town: World, settle: Callable[..., Citizen]
) -> None:
    with transaction():
        for code in ("north", "south", "west"):
            programs.add_org_unit(program_id=town.program_id, code=code, name=code, kind="district")
    crowd(town, 7, unit="north")
    crowd(town, 9, unit="south")
    crowd(town, 3, unit="west")
    units = f"/programs/{town.code}/boards/unit/grams/week"
    page = ann.get(units)
    assert [line["name"] for line in page["lines"]] == ["south"], "north too: the sum of all minus the others tells"
    assert (page["total"], page["me"]) == (1, None)
    dana = settle("dana", org_unit="south")
    page = dana.get(units)
    assert (page["me"]["rank"], page["me"]["neighbours"]) == (1, page["lines"])
    assert dana.get(units + "/me")["me"]["rank"] == 1
    districts = dana.get(units.replace("/unit/", "/district/"))
    assert (districts["subject"], districts["lines"]) == ("district", page["lines"])
    assert dana.get(units.replace("/unit/", "/department/"))["lines"] == []
    erin = settle("erin", org_unit="west")
    assert erin.get(units + "/me") == {"period": "2026-W48", "unit": "mg", "total": 1, "me": None}


def test_a_board_that_is_the_same_is_not_sent_again(ann: Citizen, town: World) -> None:
    ann.post("/records", ride(town))
    deliver()
    first = ann.phone.get(BOARD.format(town.code, "week"))
    again = ann.phone.get(BOARD.format(town.code, "week"), headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    english = ann.phone.get(BOARD.format(town.code, "week"), headers={"Accept-Language": "en"})
    assert english.status_code == 200


def test_persons_of_an_enterprise_are_for_its_members(ann: Citizen, settle: Callable[..., Citizen]) -> None:
    with transaction():
        works = world.build(template="enterprise", people=0, at=NOW)
    path = BOARD.format(works.code, "week")
    assert ann.refused(path, method="GET") == (403, "not_a_member")
    with transaction():
        invited = programs.invite(program_id=works.program_id, at=NOW, uses=1, valid_for=timedelta(days=1))
    dana = settle("dana", of=works, invitation=invited.code)
    assert dana.get(path)["total"] == 0


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("person/grams/year", 404, "board_unknown"),
        ("herd/grams/week", 404, "board_unknown"),
        ("person/fen/week", 404, "board_unknown"),
        ("person/grams/week?key=2026-11", 404, "board_unknown"),
        ("person/grams/week?key=2026-W54", 404, "board_unknown"),
        ("person/grams/day?key=2026-02-30", 404, "board_unknown"),
        ("person/grams/season?key=2026-Q5", 404, "board_unknown"),
        ("person/grams/all?key=2026", 422, "invalid_field"),
        ("person/grams/week?key=9999-W01", 422, "invalid_field"),
        ("person/grams/week?from=0", 422, "invalid_field"),
        ("person/grams/week?limit=101", 422, "invalid_field"),
        ("person/grams/week?offset=1", 422, "unknown_field"),
    ],
)
def test_boards_that_do_not_exist(ann: Citizen, town: World, path: str, status: int, code: str) -> None:
    assert ann.refused(f"/programs/{town.code}/boards/{path}", method="GET") == (status, code)
