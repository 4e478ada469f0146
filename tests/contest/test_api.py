"""A challenge by phone: look, take part, see the live place, read the result; and an operator with a second person."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app import clock, operators, people, programs
from app.db import run, transaction
from jobs.relay import relay_all
from tests import given, world
from tests.contest import field
from tests.contest.field import CLOSED, START, live, ride, settle, toml
from tests.edges.conftest import Phone, phone_of, wechat
from tests.world import World

__all__ = ["phone_of", "wechat"]
NOW = START + timedelta(days=2)


@pytest.fixture
def city(db_session: Session) -> World:
    with transaction():
        return world.build(people=3, at=START - timedelta(days=20))


@pytest.fixture
def alice(city: World, phone_of: Callable[[str], Phone]) -> Any:
    """A phone, and the clock in the middle of the challenge."""
    with clock.frozen(NOW):
        phone = phone_of("alice")
        person = run("select max(id) as id from persons")[0].id
        with transaction():
            world.join(programs.by_code(city.code), at=NOW, person_id=person)
        yield phone, person


def test_look_take_part_see_my_place_and_the_result(city: World, alice: Any) -> None:
    phone, person = alice
    race = live(city, toml(prizes=field.RANKS.format(first=1, last=1, credits=50)
                           + field.REACH.format(reach="20", credits=5)))  # fmt: skip
    path = f"/programs/{city.code}/challenges"
    listed = phone.get(path).json["items"]
    assert [(one["code"], one["mine"], one["unit"]) for one in listed] == [("metro-week", False, "m")]
    before = phone.get(f"{path}/metro-week").json["me"]
    assert (before["enrolled"], before["rank"], before["value"]) == (False, None, "0")
    assert phone.post(f"{path}/metro-week/enrolment").json == {"enrolled": True, "new": True}
    assert phone.post(f"{path}/metro-week/enrolment").json == {"enrolled": True, "new": False}
    field.join(city, *city.people, at=NOW)
    for who, km in ((person, "12"), (city.people[0], "30"), (city.people[1], "8")):
        ride(city, who, 17, km)
    relay_all()
    page = phone.get(f"{path}/metro-week").json
    me = page["me"]
    assert (me["enrolled"], me["rank"], me["value"], page["total"]) == (True, 2, "12000", 3)
    assert [line["value"] for line in me["neighbours"]] == ["30000", "12000", "8000"]
    assert me["next_prize"]["reach"] == "20000"
    assert phone.get(f"{path}/metro-week/results").status_code == 404
    settle(race)
    result = phone.get(f"{path}/metro-week/results").json
    assert [line["value"] for line in result["lines"]] == ["30000", "12000", "8000"]
    assert result["report"]["paid_credits"] == 55 and len(result["hash"]) == 64
    assert all(not line["name"].isdigit() for line in result["lines"])
    assert phone.get(f"{path}/nowhere").status_code == 404


def test_withdraw_and_be_refused(city: World, alice: Any) -> None:
    phone, _ = alice
    live(city, toml(more="capacity = 1"))
    path = f"/programs/{city.code}/challenges/metro-week/enrolment"
    assert phone.call("DELETE", path).json["error"]["code"] == "not_enrolled"
    phone.post(path)
    assert phone.call("DELETE", path).json == {"enrolled": False, "new": True}
    field.join(city, city.people[0], at=NOW)
    assert phone.post(path).json["error"]["code"] == "challenge_full"


def test_whoever_opts_out_is_gone_from_the_page_at_once(city: World, alice: Any) -> None:
    phone, person = alice
    live(city, toml())
    field.join(city, person, city.people[0], at=NOW)
    ride(city, person, 17, "12")
    ride(city, city.people[0], 17, "30")
    relay_all()
    path = f"/programs/{city.code}/challenges/metro-week"
    assert len(phone.get(path).json["top"]) == 2
    with transaction():
        people.put(person_id=city.people[0], at=NOW, **{**given.PROFILE, "on_boards": False})
    relay_all()
    page = phone.get(path).json
    assert [line["rank"] for line in page["top"]] == [2] and page["me"]["rank"] == 2


def test_an_operator_drafts_launches_with_a_second_person_and_settles(app: Any, city: World, tmp_path: Path) -> None:
    with transaction():
        for handle in ("lin", "wu"):
            operators.add(handle=handle, name=handle, at=NOW)
    runner = app.test_cli_runner()

    def flask(*words: str, code: int = 0) -> str:
        done = runner.invoke(args=list(words))
        assert done.exit_code == code, done.output
        return str(done.output)

    file = tmp_path / "week.toml"
    file.write_text(toml(), "utf-8")
    own = ("--program", city.code)
    with clock.frozen(START):
        assert "reserves 100 credits" in flask("challenges", "draft", *own, str(file), "--dry-run", "--as", "lin")
        assert "no challenges" in flask("challenges", "list", *own)
        flask("challenges", "draft", *own, str(file), "--as", "lin")
        assert "dry run" in flask(
            "challenges", "launch", *own, "metro-week", "--reason", "r", "--dry-run", "--as", "lin"
        )
        number = flask("challenges", "launch", *own, "metro-week", "--reason", "周", "--as", "lin").split()[1]
        flask("approvals", "approve", number, "--as", "lin", code=1)
        assert "is live, 100 credits" in flask("approvals", "approve", number, "--as", "wu")
        field.join(city, *city.people)
        file.write_text(toml(more="capacity = 5"), "utf-8")
        told = flask("challenges", "amend", *own, str(file), "--reason", "r", "--dry-run", "--as", "lin", code=1)
        assert "change_against_promise" in told
    ride(city, city.people[0], 17)
    with clock.frozen(CLOSED):
        assert "1 winners" in flask("challenges", "settle", *own, "metro-week", "--dry-run")
        assert "live" in flask("challenges", "list", *own)
        assert "1 winners, 50 credits" in flask("challenges", "settle", *own, "metro-week")
        assert "every line agrees" in flask("challenges", "verify", *own, "metro-week")
        rows = json.loads(flask("challenges", "results", *own, "metro-week", "--json"))
    assert [row["subject_id"] for row in rows] == [city.people[0]]


def test_a_file_with_faults_names_each_of_them(app: Any, city: World, tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('code = "x"\nkind = "lottery"\n', "utf-8")
    with transaction():
        operators.add(handle="lin", name="lin", at=NOW)
    done = app.test_cli_runner().invoke(args=["challenges", "draft", "--program", city.code, str(file), "--as", "lin"])
    assert done.exit_code == 1 and "challenge_invalid" in done.output
    for word in ("kind: one of goal", "measure", "starts"):
        assert word in done.output
