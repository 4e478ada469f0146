"""Operators on the command line: two persons where money or credits move by hand, words for every refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app import appeals, leaderboards, operators
from app.db import connection, transaction
from tests import world
from tests.world import AT, World


@pytest.fixture
def city(db_session: Any) -> World:
    with transaction():
        for handle in ("lin", "wu"):
            operators.add(handle=handle, name=handle, at=AT)
        return world.build()


@pytest.fixture
def flask(app: Any, city: World) -> Any:
    runner = app.test_cli_runner()

    def call(*words: str, exit_code: int = 0) -> str:
        done = runner.invoke(args=list(words))
        assert done.exit_code == exit_code, done.output
        return str(done.output)

    return call


def one(query: str, **values: Any) -> Any:
    return connection().execute(text(query), values).scalar_one()


def test_a_deposit_needs_a_second_person(flask: Any, city: World) -> None:
    said = flask(
        "funding",
        "deposit",
        "--program",
        city.code,
        "main",
        "2000",
        "--reference",
        "B1",
        "--reason",
        "Q4",
        "--as",
        "lin",
    )
    number = said.split()[1]
    assert one("select count(*) from deposits") == 1
    own = flask("approvals", "approve", number, "--as", "lin", exit_code=1)
    assert "maker_is_checker" in own
    assert "1000 credits" in flask("approvals", "approve", number, "--as", "wu")
    assert one("select count(*) from deposits") == 2
    again = flask("approvals", "approve", number, "--as", "wu", exit_code=1)
    assert "state_conflict" in again
    budgets = json.loads(flask("funding", "list", "--program", city.code, "--json"))
    assert (budgets[0]["money fen"], budgets[0]["can issue"]) == (1_002_000, "501000")


def test_a_grant_by_hand_is_told_to_the_person(flask: Any, city: World) -> None:
    person = city.people[0]
    words = ("--reason", "系统故障补发", "--as", "lin")
    said = flask("funding", "grant", "--program", city.code, str(person), "50", *words)
    flask("approvals", "approve", said.split()[1], "--as", "wu")
    assert one("select balance from accounts where kind = 'wallet' and owner_key = :p", p=str(person)) == 50
    assert "系统故障补发" in one("select zh from notices where person_id = :p", p=person)


def test_a_reversal_by_hand_needs_two_and_a_rejected_request_does_nothing(flask: Any, city: World) -> None:
    with transaction():
        record = str(world.take(city, city.people[0]).record_id)
    words = ("--code", "fraud", "--words", "不实", "--reason", "客服核实", "--as", "lin")
    first = flask("records", "reverse", record, *words).split()[1]
    flask("approvals", "reject", first, "--words", "证据不足", "--as", "wu")
    assert one("select state from records") == "counted"
    second = flask("records", "reverse", record, *words).split()[1]
    assert second in flask("approvals", "list")
    flask("approvals", "approve", second, "--as", "wu")
    assert one("select state from records") == "reversed"


def test_held_records_are_listed_released_and_rejected(flask: Any, city: World) -> None:
    with transaction():
        for person in city.people:
            world.take(city, person, facts={"distance_km": "100"})
    held = json.loads(flask("records", "held", "--program", city.code, "--json"))
    assert [one_["reason"] for one_ in held] == ["impossible_speed"] * 2
    assert "10325600 mg" in flask("records", "release", str(held[0]["id"]), "--as", "lin")
    flask("records", "reject", str(held[1]["id"]), "--code", "evidence_missing", "--words", "无", "--as", "lin")
    assert "nothing is held" in flask("records", "held", "--program", city.code)
    with transaction():
        number, _ = appeals.ask(object_id=held[1]["id"], person_id=city.people[1], words="有", at=AT)
    assert str(number) in flask("appeals", "list", "--program", city.code)
    flask("appeals", "answer", str(number), "--grant", "--words", "好", "--as", "wu")
    assert one("select count(*) from records where state = 'counted'") == 2


def test_boards_are_rebuilt_and_checked_after_a_flush(flask: Any, city: World, redis: Any) -> None:
    with transaction():
        world.take(city, city.people[0])
    redis.flushdb()
    assert "board" in flask("boards", "rebuild", "--program", city.code, "--scores")
    assert "boards agree" in flask("boards", "check")
    redis.zincrby(f"board:{{{city.program_id}:person:mg:all}}:all", 5, str(city.people[0]))
    assert "differ" in flask("boards", "check", exit_code=1)
    shown = json.loads(flask("boards", "show", "--program", city.code, "--period", "all", "--json"))
    assert shown[0]["id"] == city.people[0]


def test_boards_that_a_flush_lost_heal_by_themselves(flask: Any, city: World, redis: Any) -> None:
    with transaction():
        world.take(city, city.people[0])
    flask("boards", "rebuild", "--scores")
    assert leaderboards.heal() == 0
    redis.flushdb()
    assert leaderboards.heal() > 0
    assert "boards agree" in flask("boards", "check")


def test_an_item_that_costs_more_than_its_credits_is_refused(flask: Any, city: World) -> None:
    offer = (
        "mall",
        "offer",
        "--program",
        city.code,
        "cake",
        "--merchant",
        "shop",
        "--name",
        "蛋糕",
        "--credits",
        "100",
    )
    refused = flask(*offer, "--settlement-fen", "201", "--stock", "5", "--as", "lin", exit_code=1)
    assert "item_underfunded" in refused
    assert "on sale" in flask(*offer, "--settlement-fen", "200", "--stock", "5", "--as", "lin")
    assert "off sale" in flask("mall", "withdraw", "--program", city.code, "cake", "--as", "lin")


def test_a_partner_key_is_shown_once_and_can_be_revoked(flask: Any, city: World) -> None:
    said = flask("sources", "key", "--program", city.code, "partner", "--as", "lin")
    key_id = said.split("X-Key-Id ")[1].split()[0]
    secret = said.split("secret")[1].strip()
    assert one("select count(*) from partner_keys where secret_sealed::text like :s", s=f"%{secret}%") == 0
    flask("sources", "revoke-key", "--program", city.code, "partner", key_id, "--as", "lin")
    assert "partner" in flask("sources", "list", "--program", city.code)


def test_unknown_names_are_refused_in_words(flask: Any, city: World) -> None:
    assert "unknown_operator" in flask("sources", "key", "--program", city.code, "partner", "--as", "no", exit_code=1)
    assert "not_found" in flask("merchants", "owed", "--program", "no-such", exit_code=1)
    flask("boards", "show", "--program", city.code, "--key", "2015-99", exit_code=2)


def test_a_program_is_made_changed_and_ended_without_code(flask: Any, city: World, tmp_path: Path) -> None:
    flask(
        "programs", "create", "green-town", "--template", "city", "--name", "绿城", "--region", "CN-YN", "--as", "lin"
    )
    flask(
        "programs", "create", "twin", "--copy-from", "green-town", "--name", "双城", "--region", "CN-GD", "--as", "lin"
    )
    listed = json.loads(flask("scenarios", "list", "--program", "twin", "--json"))
    assert len(listed) == len(json.loads(flask("scenarios", "list", "--program", "green-town", "--json"))) > 5
    file = tmp_path / "own.toml"
    file.write_text(
        '[[scenarios]]\ncode = "own-cup"\nmethodology = "own-cup"\nclaim = "none"\n'
        'name = { zh = "自带杯", en = "Own cup" }\n'
        'text = { zh = "", en = "" }\nsource_kinds = { citizen = "E" }\ncaps = { day = 5 }\n'
    )
    assert "1 scenarios" in flask("scenarios", "offer", "--program", "twin", str(file), "--as", "lin")
    file.write_text(file.read_text().replace('"own-cup"\nclaim', '"no-such-method"\nclaim'))
    assert "scenario_invalid" in flask("scenarios", "offer", "--program", "twin", str(file), "--as", "lin", exit_code=1)
    flask("scenarios", "retire", "--program", "twin", "own-cup", "--as", "lin")
    assert "own-cup" not in flask("scenarios", "list", "--program", "twin")
    sources = json.loads(flask("sources", "list", "--program", "twin", "--json"))
    assert {one_["kind"] for one_ in sources} == {"citizen", "file", "office", "device", "system"}
    flask("programs", "retire", "twin", "--reason", "结束", "--as", "lin")
    assert one("select state from programs where code = 'twin'") == "retired"


def test_the_business_figures_are_scraped(app: Any, client: Any, flask: Any, city: World) -> None:
    flask("sources", "add", "--program", city.code, "late", "--kind", "partner", "--name", "x", "--as", "lin")
    scraped = client.get("/metrics").text
    assert f'diandi_budget_capacity_credits{{budget="{city.code}/main"}} 500000.0' in scraped
    assert f'diandi_records_held{{program="{city.code}"}}' in scraped
