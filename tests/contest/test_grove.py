"""The green game: one's own verified grams, one tree at a time, a certificate, a gift that a sponsor pays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app import clock, grove, operators, programs, records
from app.db import run, transaction
from app.errors import Refusal
from jobs.relay import relay_all
from tests import world
from tests.contest.field import START, balance, ride
from tests.edges.conftest import Phone, phone_of, wechat
from tests.world import World

__all__ = ["phone_of", "wechat"]
NOW = START + timedelta(days=2)
TOML = """
starts = 2026-11-10T00:00:00+08:00

[gift]
project = "trees"
budget = "main"
credits = 40

[[shapes]]
code = "ginkgo"
grams = 3000
name = { zh = "银杏", en = "Ginkgo" }

[[shapes]]
code = "plum"
grams = 100
seasons = ["2027-Q1"]
name = { zh = "梅花", en = "Plum" }
"""


@pytest.fixture
def city(db_session: Session) -> World:
    with transaction():
        made = world.build(people=2, at=START - timedelta(days=20))
        grove.put(program_id=made.program_id, content=grove.parse(TOML), actor="operator:lin", at=START)
    return made


def plant(city: World, person: int, shape: str = "ginkgo", at: Any = NOW) -> Any:
    with transaction():
        return grove.plant(program_id=city.program_id, person_id=person, shape=shape, at=at)[0]


def mine(city: World, person: int) -> grove.Growth:
    found = grove.in_force(city.program_id)
    assert found is not None
    return grove.growth(found, person)


def test_it_grows_by_my_own_verified_grams_and_what_is_over_goes_on(city: World) -> None:
    one, other = city.people
    plant(city, one)
    record = ride(city, one, 16, "5")
    ride(city, other, 16, "40")  # another's
    ride(city, one, 14, "1", kind="citizen")  # self-declared
    relay_all()
    mg = run("select counted_mg from reductions where record_id = %(r)s", {"r": record})[0].counted_mg
    grown = mine(city, one)
    assert (grown.verified_mg, grown.free_mg) == (mg, mg)
    assert grown.growing is not None and mg < 3_000_000
    ride(city, one, 17, "30")
    relay_all()
    grown = mine(city, one)
    assert grown.growing is None and grown.trees[0].certificate_no.startswith("T")
    assert grown.free_mg == grown.verified_mg - 3_000_000 > 0
    assert len(run("select 1 from notices where kind = 'tree.full'")) == 1
    assert plant(city, one).full_at is not None or mine(city, one).growing is not None


def test_one_grows_at_a_time_and_two_taps_plant_one(city: World) -> None:
    one = city.people[0]
    first = plant(city, one)
    assert plant(city, one).id == first.id
    with pytest.raises(Refusal, match="tree_growing"):
        plant(city, one, "plum", at=NOW + timedelta(days=60))


def test_a_shape_of_a_season_is_planted_in_it(city: World) -> None:
    one = city.people[0]
    with pytest.raises(Refusal, match="shape_unknown"):
        plant(city, one, "plum")
    assert plant(city, one, "plum", at=NOW + timedelta(days=60)).season == "2027-Q1"
    with pytest.raises(Refusal, match="shape_unknown"):
        plant(city, city.people[1], "bonsai")


def test_acts_taken_back_shrink_it_and_leave_a_full_grown_one(city: World) -> None:
    one = city.people[0]
    plant(city, one)
    record = ride(city, one, 16, "30")
    relay_all()
    with transaction():
        records.reverse(record_id=record, code="fraud", words="", by="operator:wu", at=NOW)
    grown = mine(city, one)
    assert grown.trees[0].full_at is not None and (grown.verified_mg, grown.free_mg) == (0, 0)
    plant(city, one)
    ride(city, one, 17, "5")
    assert mine(city, one).free_mg == 0  # what the first has used comes first


def test_a_full_grown_tree_becomes_a_gift_of_the_sponsor_once(city: World) -> None:
    one = city.people[0]
    tree = plant(city, one)
    with pytest.raises(Refusal, match="tree_not_full"):
        give(tree.id, one)
    ride(city, one, 16, "30")
    relay_all()
    before = balance(city, one)
    given = give(tree.id, one)
    assert give(tree.id, one).gift_id == given.gift_id
    assert balance(city, one) == before
    gifts = run("select credits, person_id from gifts")
    assert [tuple(row) for row in gifts] == [(40, one)]
    with pytest.raises(Refusal, match="not_found"):
        give(tree.id, city.people[1])


def give(tree_id: int, person: int) -> Any:
    with transaction():
        return grove.give(tree_id=tree_id, person_id=person, at=NOW + timedelta(days=1))[0]


def test_without_a_sponsors_money_the_certificate_stays_and_nothing_moves(db_session: Session) -> None:
    with transaction():
        poor = world.build(people=1, deposit_fen=0, at=START - timedelta(days=20))
        grove.put(program_id=poor.program_id, content=grove.parse(TOML), actor="operator:lin", at=START)
    tree = plant(poor, poor.people[0])
    ride(poor, poor.people[0], 16, "30")
    relay_all()
    with pytest.raises(Refusal, match="no_gifts_now"):
        give(tree.id, poor.people[0])
    assert run("select 1 from awards where reason = 'tree'") == [] and run("select 1 from gifts") == []


def test_the_game_by_phone(city: World, phone_of: Callable[[str], Phone]) -> None:
    with clock.frozen(NOW):
        phone = phone_of("alice")
        person = run("select max(id) as id from persons")[0].id
        path = f"/programs/{city.code}/grove"
        assert phone.post(f"{path}/trees", {"shape": "ginkgo"}).json["error"]["code"] == "not_a_member"
        with transaction():
            world.join(programs.by_code(city.code), at=NOW, person_id=person)
        assert [one["code"] for one in phone.get(path).json["shapes"]] == ["ginkgo"]
        assert phone.post(f"{path}/trees", {"shape": "ginkgo"}).status_code == 201
        assert phone.post(f"{path}/trees", {"shape": "ginkgo"}).status_code == 200
        ride(city, person, 16, "5")
        relay_all()
        growing = phone.get(path).json["growing"]
        assert 0 < growing["percent"] < 100
        ride(city, person, 17, "30")
        relay_all()
        tree = phone.get(path).json["collection"][0]
        shown = phone.get(f"/trees/certificates/{tree['certificate_no'].lower()}").json
        assert (shown["number"], shown["mg"], shown["gift_no"]) == (tree["certificate_no"], "3000000", None)
        assert phone.post(f"/trees/{tree['id']}/gift").status_code == 201
        assert phone.post(f"/trees/{tree['id']}/gift").status_code == 200
        assert phone.get(f"/trees/certificates/{tree['certificate_no'].lower()}").json["gift_no"]
        assert phone.get("/trees/certificates/t-none").status_code == 404


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('code = "plum"', 'code = "ginkgo"'), "each code once"),
        (("grams = 3000", "grams = 0"), "shapes 1"),
        (('"2027-Q1"', '"spring"'), "shapes 2"),
        (('project = "trees"', 'project = "moon"'), "gift: no moon"),
        (("credits = 40", "credits = 0"), "gift: project"),
        (("starts = 2026-11-10T00:00:00+08:00", 'starts = "soon"'), "starts"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(city: World, change: tuple[str, str], words: str) -> None:
    with pytest.raises(Refusal) as refused, transaction():
        content = grove.parse(TOML.replace(*change))
        grove.put(program_id=city.program_id, content=content, actor="operator:lin", at=START)
    assert refused.value.code == "grove_invalid" and words in " ".join(refused.value.details["problems"])


def test_an_operator_opens_a_grove(app: Any, city: World, tmp_path: Path) -> None:
    with transaction():
        operators.add(handle="lin", name="lin", at=NOW)
    file = tmp_path / "grove.toml"
    file.write_text(TOML.replace("grams = 3000", "grams = 5000"), "utf-8")
    words = ["grove", "put", "--program", city.code, str(file), "--as", "lin"]
    runner = app.test_cli_runner()
    assert "dry run" in runner.invoke(args=[*words, "--dry-run"]).output
    plant(city, city.people[0])
    assert "2 shapes" in runner.invoke(args=words).output
    assert mine(city, city.people[0]).trees[0].needs_mg == 3_000_000  # as planted
    assert "ginkgo" in runner.invoke(args=["grove", "show", "--program", city.code]).output
