"""Boards of teams and friends, the history of closed periods, and midnight."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app import clock, leaderboards, programs, records, teams
from app.clock import SHANGHAI
from app.db import run, transaction
from jobs.relay import relay_all
from tests import world
from tests.contest.field import START, ride
from tests.edges.conftest import Phone, phone_of, wechat
from tests.world import World

__all__ = ["phone_of", "wechat"]
NOW = START + timedelta(days=2)


@pytest.fixture
def city(db_session: Session) -> World:
    with transaction():
        return world.build(people=4, at=START - timedelta(days=20))


@pytest.fixture
def alice(city: World, phone_of: Callable[[str], Phone]) -> Any:
    with clock.frozen(NOW):
        phone = phone_of("alice")
        person = run("select max(id) as id from persons")[0].id
        with transaction():
            world.join(programs.by_code(city.code), at=START - timedelta(days=10), person_id=person)
        yield phone, person


def found(city: World, kind: str, *people: int, at: datetime = START - timedelta(days=3)) -> int:
    with transaction():
        made = teams.found(program_id=city.program_id, person_id=people[0], kind=kind, name="", at=at)
        for person in people[1:]:
            teams.join(code=made.code, person_id=person, at=at)
        return made.id


def test_teams_stand_against_each_other_with_what_their_members_did_while_in_them(city: World, alice: Any) -> None:
    phone, person = alice
    one, two, three, _ = city.people
    mine, other = found(city, "team", person, one), found(city, "team", two)
    ride(city, person, 17, "10")
    ride(city, one, 17, "10")
    ride(city, two, 17, "15")
    ride(city, three, 17, "90")  # in no team; and held, so fast
    with transaction():
        teams.leave(team_id=mine, person_id=one, at=START + timedelta(days=1, hours=12))
    gone = ride(city, one, 18, "10", hour=6)
    relay_all()
    page = phone.get(f"/programs/{city.code}/boards/team/grams/month").json
    assert [line["rank"] for line in page["lines"]] == [1, 2] and page["total"] == 2
    assert page["lines"][0]["name"] == f"小队{mine}"
    assert (page["me"]["rank"], len(page["me"]["neighbours"])) == (1, 2)
    assert phone.get(f"/programs/{city.code}/boards/team/grams/month/me").json["me"]["rank"] == 1
    both = run("select subject_id, mg from scores where subject_kind = 'team' and period_kind = 'all' order by mg desc")
    assert [row.subject_id for row in both] == [mine, other]
    first = run("select min(id) as id from records where person_id = %(p)s", {"p": one})[0].id
    with transaction():
        records.reverse(record_id=first, code="error", words="", by="operator:wu", at=NOW)
    relay_all()
    assert phone.get(f"/programs/{city.code}/boards/team/grams/month").json["me"]["rank"] == 2
    assert gone and phone.get(f"/programs/{city.code}/boards/team/litres/month").status_code == 404


def test_rebuilt_scores_of_teams_are_the_same(city: World) -> None:
    one, two, three, _ = city.people
    found(city, "team", one, two)
    found(city, "team", three)
    for person, km in ((one, "4"), (two, "9"), (three, "11")):
        ride(city, person, 17, km)
    relay_all()
    query = "select * from scores where subject_kind = 'team' order by period_kind, period_key, subject_id"
    before = [tuple(row) for row in run(query)]
    assert before
    with transaction():
        leaderboards.recompute_scores(city.program_id)
    assert [tuple(row) for row in run(query)] == before
    list(leaderboards.rebuild(city.program_id))
    assert leaderboards.check(city.program_id) == []


def test_friends_see_each_other_and_nobody_else_does(city: World, alice: Any) -> None:
    phone, person = alice
    one, two, three, _ = city.people
    group = found(city, "group", one, two, person)
    for who, km in ((person, "10"), (one, "20"), (two, "5"), (three, "30")):
        ride(city, who, 17, km)
    run("update persons set on_boards = false where id = %(p)s", {"p": two})
    relay_all()
    board = phone.get(f"/teams/{group}/boards/grams/week").json
    assert [(line["rank"], line["mine"]) for line in board["lines"]] == [(1, False), (2, True)]
    assert int(board["total_score"]) == sum(int(line["score"]) for line in board["lines"])
    with transaction():
        teams.leave(team_id=group, person_id=person, at=NOW)
    assert phone.get(f"/teams/{group}/boards/grams/week").status_code == 404
    assert phone.get("/teams/999999/boards/grams/week").status_code == 404


def test_the_history_names_each_closed_period_with_my_place(city: World, alice: Any) -> None:
    phone, person = alice
    one = city.people[0]
    for day in (16, 17):
        ride(city, person, day, "10")
        ride(city, one, day, "20" if day == 16 else "5")
    relay_all()
    with transaction():
        leaderboards.freeze_due(at=START + timedelta(days=4), program_id=city.program_id)
    path = f"/programs/{city.code}/boards/person/grams/day/history"
    items = phone.get(path).json["items"]
    assert [(one["period"], one["rank"], one["total"]) for one in items] == [("2026-11-17", 1, 2), ("2026-11-16", 2, 2)]
    first = phone.get(path, query_string={"limit": 1}).json
    rest = phone.get(path, query_string={"limit": 1, "before": first["next_before"]}).json
    assert [rest["items"][0]["period"], rest["next_before"]] == ["2026-11-16", None]
    board = phone.get(f"/programs/{city.code}/boards/person/grams/day", query_string={"key": "2026-11-16"}).json
    assert (board["final"], board["me"]["rank"]) == (True, 2)
    assert phone.get(path, query_string={"before": "yesterday"}).status_code == 422


def test_midnight_turns_every_board_without_a_gap(city: World, phone_of: Callable[[str], Phone]) -> None:
    """The last instant of a year, and the first of the next: day, week or month or season, each answers at any time."""
    edge = datetime(2027, 1, 1, tzinfo=SHANGHAI)
    with clock.frozen(edge - timedelta(hours=5)):
        phone = phone_of("alice")
        person = run("select max(id) as id from persons")[0].id
        with transaction():
            world.join(programs.by_code(city.code), at=edge - timedelta(hours=5), person_id=person)
            taken = records.take(
                world.act(city, person, occurred_at=edge - timedelta(hours=3), ended_at=edge - timedelta(hours=2)),
                at=edge - timedelta(hours=1),
            )
        assert taken.state == "counted"
        relay_all()
    keys = {"day": "2026-12-31", "month": "2026-12", "season": "2026-Q4", "week": "2026-W53"}
    for microseconds in (-1_000, 0, 1_000):
        with clock.frozen(edge + timedelta(microseconds=microseconds)):
            for period, key in keys.items():
                path = f"/programs/{city.code}/boards/person/grams/{period}"
                now = phone.get(path)
                assert now.status_code == 200
                same = microseconds < 0 or period == "week"
                assert (now.json["period"] == key, now.json["total"]) == (same, 1 if same else 0)
                before = phone.get(path, query_string={"key": key}).json
                assert (before["total"], before["me"]["rank"]) == (1, 1)
    with clock.frozen(edge + timedelta(days=6)):
        with transaction():
            leaderboards.freeze_due(at=clock.now(), program_id=city.program_id)
        for period, key in keys.items():
            path = f"/programs/{city.code}/boards/person/grams/{period}"
            board = phone.get(path, query_string={"key": key}).json
            assert (board["total"], board["me"]["rank"]) == (1, 1), period
