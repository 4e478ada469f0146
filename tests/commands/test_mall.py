"""Operators' commands of the mall: a dry run changes nothing, two people where it counts, plain words for refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app import operators, orders
from app.db import run, session, transaction
from app.mall.models import Item
from app.programs.models import Membership, OrgUnit
from tests import shelf, world
from tests.world import AT, World


@pytest.fixture
def town(db_session: Session) -> World:
    with transaction():
        for handle in ("lin", "wang"):
            operators.add(handle=handle, name=handle, at=AT)
        return world.build(people=2)


@pytest.fixture
def flask(app: Any) -> Any:
    runner = app.test_cli_runner()

    def call(*words: str, status: int = 0) -> str:
        result = runner.invoke(args=list(words))
        assert result.exit_code == status, result.output
        return str(result.output)

    return call


def test_an_item_from_the_command_line_and_a_dry_run_that_leaves_nothing(town: World, flask: Any) -> None:
    offer = [
        "mall", "offer", "wash", "--program", town.code, "--merchant", "shop", "--name", "洗车", "--credits", "100",
        "--settlement-fen", "150", "--stock", "5", "--uses", "3", "--low-at", "2", "--as", "lin",
    ]  # fmt: skip
    assert "nothing was changed" in flask(*offer, "--dry-run")
    assert session().query(Item).filter_by(code="wash").count() == 0
    assert "is on sale" in flask(*offer)
    assert "item_code_taken" in flask(*offer, status=1)
    assert "uses_not_allowed" in flask(*[*offer[:2], "box", *offer[3:]], "--kind", "parcel", status=1)
    assert "9 available" in flask("mall", "restock", "wash", "4", "--program", town.code, "--as", "lin")
    assert "stock_taken" in flask(
        "mall", "restock", "wash", "--program", town.code, "--as", "lin", "--", "-10", status=1
    )
    assert "restock:operator:lin" in flask("mall", "stock", "wash", "--program", town.code)
    flask("mall", "change", "wash", "--program", town.code, "--credits", "120", "--as", "lin")
    flask("mall", "withdraw", "wash", "--program", town.code, "--as", "lin")
    found = session().query(Item).filter_by(code="wash").one()
    assert (found.price_credits, found.state, found.uses) == (120, "off_sale", 3)


def test_a_pool_from_a_file(town: World, flask: Any, tmp_path: Path) -> None:
    with transaction():
        shelf.item(town, "code_pool", code="pool")
    file = tmp_path / "codes.csv"
    file.write_bytes("\ufeff券码,备注\r\nAAA,1\r\nBBB,2\r\nAAA,3\r\n=X,4\r\n".encode())
    words = ["mall", "import-pool", "pool", str(file), "--program", town.code, "--as", "lin"]
    assert "2 taken, 1 known already, 1 refused" in flask(*words, "--dry-run")
    assert run("select count(*) as n from pool_codes")[0].n == 0
    assert "line 5: a formula" in flask(*words)
    assert "0 taken, 3 known already" in flask(*words)


def test_a_return_by_hand_takes_two_people(town: World, flask: Any) -> None:
    person = town.people[0]
    with transaction():
        world.rich(town, person, 100)
        order = shelf.place(person, town.item_id)
    flask("orders", "return", str(order.id), "--reason", "商户停业", "--as", "lin")
    approval = run("select max(id) as id from approvals")[0].id
    assert "maker_is_checker" in flask("approvals", "approve", str(approval), "--as", "lin", status=1)
    flask("approvals", "approve", str(approval), "--as", "wang")
    assert (shelf.state(order), shelf.credits(town, person)) == ("refunded", 100)


def test_a_benefit_for_an_org_unit(town: World, flask: Any) -> None:
    inside, outside = town.people
    with transaction():
        unit = OrgUnit(program_id=town.program_id, kind="department", code="rd", name="研发", path="/")
        session().add(unit)
        session().flush()
        unit.path = f"/{unit.id}/"
        session().query(Membership).filter_by(person_id=inside).update({"org_unit_id": unit.id})
    words = [
        "funding",
        "grant-unit",
        "rd",
        "300",
        "--program",
        town.code,
        "--budget",
        "main",
        "--reason",
        "中秋",
        "--as",
        "lin",
    ]
    assert "1 people, 300 credits, 600 fen" in flask(*words, "--dry-run")
    assert run("select count(*) as n from approvals")[0].n == 0
    flask(*words)
    approval = run("select max(id) as id from approvals")[0].id
    assert "1 people, 300 credits" in flask("approvals", "approve", str(approval), "--as", "wang")
    assert shelf.credits(town, inside) == 300
    assert run("select count(*) as n from wallets where person_id = %(p)s", {"p": outside})[0].n == 0
    assert [row.zh for row in run("select zh from notices where person_id = %(p)s", {"p": inside})][-1].endswith("中秋")


def test_levels_and_tags_are_given_by_hand_and_written_down(town: World, flask: Any) -> None:
    person = town.people[0]
    flask("mall", "members", str(person), "--program", town.code, "--level", "2", "--tag", "union", "--as", "lin")
    member = session().query(Membership).filter_by(person_id=person).one()
    assert (member.level, member.tags) == (2, ["union"])
    flask("mall", "members", str(person), "--program", town.code, "--tag", "", "--as", "lin")
    session().expire_all()
    assert (member.level, member.tags) == (2, [])
    assert run("select count(*) as n from audit where action = 'membership.mark'")[0].n == 2


def test_a_parcel_from_packing_to_the_door(town: World, flask: Any) -> None:
    person = town.people[0]
    with transaction():
        world.rich(town, person, 100)
        order = shelf.place(person, shelf.item(town, "parcel"), address_id=shelf.address(person))
    listed = flask("orders", "parcels", "--program", town.code, "--as", "lin")
    assert "四川省" in listed
    assert "某街" not in listed
    assert "某街 1 号" in flask("orders", "parcels", "--program", town.code, "--addresses", "--as", "lin")
    assert run("select count(*) as n from audit where action = 'parcels.addresses'")[0].n == 1
    ship = ["orders", "ship", str(order.id), "--carrier", "SF", "--number", "SF1", "--as", "lin"]
    assert "nothing was changed" in flask(*ship, "--dry-run")
    assert "state_conflict" in flask("orders", "received", str(order.id), "--as", "lin", status=1)
    flask(*ship)
    flask("orders", "received", str(order.id), "--as", "lin")
    assert shelf.state(order) == "completed"
    assert orders.line(order.id, person).parcel_state == "received"


def test_who_changed_a_price_or_the_stock_is_written_down_and_bad_input_gets_words(town: World, flask: Any) -> None:
    here = ["--program", town.code, "--as", "lin"]
    flask("mall", "change", "tea", *here, "--credits", "130")
    flask("mall", "restock", "tea", *here, "2")
    flask("mall", "restock", "tea", *here, "2", "--dry-run")
    flask("mall", "withdraw", "tea", *here)
    rows = run("select actor, action from audit where object_type = 'item' order by id")
    assert [(row.actor, row.action) for row in rows] == [
        ("operator:lin", "item.change"), ("operator:lin", "item.restock"), ("operator:lin", "item.withdraw"),
    ]  # fmt: skip
    flask("mall", "restock", "tea", *here, "--at", "2026-12-01", "--", "-2", status=2)
    flask("mall", "change", "tea", *here, "--from", "2026-12-02", "--until", "2026-12-01", status=2)
    assert "no_times" in flask("mall", "slot", "tea", "2026-12-01T10:00", "2026-12-01T11:00", *here, status=1)
    flask("mall", "slot", "tea", "2026-12-01T10:00", "2026-12-01T10:00", *here, status=2)
    base = ["mall", "offer", "x", *here, "--name", "x", "--credits", "100"]
    flask(*base, status=2)
    flask(*base, "--merchant", "shop", "--per-period", "2", status=2)
    flask(*base, "--merchant", "shop", "--kind", "donation", status=2)
    assert "nothing was changed" in flask("mall", "category", "food", *here, "--name", "吃的", "--dry-run")
    assert not run("select 1 from item_categories where code = 'food'")
