"""Levels, their boosts and bonuses under one cap, badges, and the year's report."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app import clock, levels, operators, programs, records
from app.clock import SHANGHAI
from app.db import run, session, transaction
from app.errors import Refusal
from app.funding.models import Boost
from jobs import contest
from jobs.relay import relay_all
from tests import world
from tests.contest.field import START, balance, ride
from tests.edges.conftest import Phone, phone_of, wechat
from tests.world import World

__all__ = ["phone_of", "wechat"]
NOW = datetime(2026, 11, 18, 12, tzinfo=SHANGHAI)
TOML = """
budget = "main"

[[levels]]
code = "sprout"
grams = 500
bonus = 20
boost_percent = 10
name = { zh = "新芽", en = "Sprout" }
privileges = [{ zh = "优先报名", en = "Enrols first" }]

[[levels]]
code = "tree"
grams = 5000
bonus = 100
boost_percent = 150
name = { zh = "大树", en = "Tree" }

[[badges]]
code = "first-ride"
rule = "acts"
least = 1
scenario = "metro-ride"
name = { zh = "首次地铁", en = "First metro" }

[[badges]]
code = "three-days"
rule = "days"
least = 3
name = { zh = "三天", en = "Three days" }
"""


@pytest.fixture
def city(db_session: Session) -> World:
    with transaction():
        made = world.build(people=3, at=START - timedelta(days=20))
        levels.put(program_id=made.program_id, content=levels.parse(TOML), actor="operator:lin", at=START)
    return made


def work(at: datetime = NOW) -> None:
    """The relay and the jobs that it defers."""
    with clock.frozen(at):
        relay_all()
        jobs = run("delete from procrastinate_jobs where task_name = 'levels.reward' returning args")
        for job in jobs:
            with transaction():
                levels.reward(program_id=job.args["program_id"], person_ids=job.args["person_ids"],
                              taken=job.args["taken"], at=at)  # fmt: skip
                levels.refresh_badges(job.args["program_id"], job.args["person_ids"], taken=job.args["taken"], at=at)


def level(person: int) -> int:
    rows = run("select level from person_levels where person_id = %(p)s", {"p": person})
    return rows[0].level if rows else 0


def test_a_level_rises_with_the_act_is_paid_once_and_opens_the_mall(city: World) -> None:
    one = city.people[0]
    ride(city, one, 16, "10")
    before = balance(city, one)
    work()
    assert level(one) == 1
    assert run("select level from memberships where person_id = %(p)s", {"p": one})[0].level == 1
    assert balance(city, one) == before + 20
    ride(city, one, 17, "1")
    work()
    bonus = run("select reason, credits from awards where reason like 'level.%%'")
    assert [tuple(row) for row in bonus] == [("level.sprout", 20)]
    told = run("select zh from notices where kind = 'level.reached'")
    assert len(told) == 1 and "新芽" in told[0].zh


def test_a_boost_of_the_level_is_a_transfer_of_its_own_with_the_rules_name(city: World) -> None:
    one = city.people[0]
    ride(city, one, 16, "10")
    work()
    record = ride(city, one, 17, "20")
    rows = run("select reason, earned_micro from awards where record_id = %(r)s order by id", {"r": record})
    assert [row.reason for row in rows] == ["record", "boost.level-sprout"]
    assert rows[1].earned_micro == rows[0].earned_micro // 10
    other = ride(city, city.people[1], 17, "20")  # of no level
    assert len(run("select 1 from awards where record_id = %(r)s", {"r": other})) == 1


def test_the_whole_multiplier_is_capped(city: World) -> None:
    one = city.people[0]
    run("update memberships set level = 2 where person_id = %(p)s", {"p": one})
    with transaction():
        for name in ("double", "again"):
            session().add(Boost(program_id=city.program_id, name=name, multiplier_bps=20_000, starts_at=START,
                                ends_at=START + timedelta(days=9)))  # fmt: skip
    record = ride(city, one, 17, "20")
    rows = run("select reason, boost_bps from awards where record_id = %(r)s order by id", {"r": record})
    extra = [row.boost_bps for row in rows if row.reason != "record"]
    assert sum(extra) == 20_000  # the city's terms cap at 3×: level +150 %, then what is left of +100 %
    assert [row.reason for row in rows] == ["record", "boost.level-tree", "boost.double"]


def test_a_reversal_takes_the_level_its_bonus_and_the_badge(city: World) -> None:
    one = city.people[0]
    record = ride(city, one, 16, "10")
    work()
    assert badges(one) == {"first-ride"}
    with transaction():
        records.reverse(record_id=record, code="fraud", words="", by="operator:wu", at=NOW)
    work()
    assert (level(one), badges(one)) == (0, set())
    assert balance(city, one) == 0
    changes = run("select from_level, to_level, cause from level_changes order by id")
    assert [tuple(row) for row in changes] == [(0, 1, "earned"), (1, 0, "reversed")]
    with transaction():
        records.restore(record_id=record, by="operator:lin", at=NOW + timedelta(hours=1))
    work(NOW + timedelta(hours=2))
    assert (level(one), badges(one)) == (1, {"first-ride"})
    bonuses = run("select round, taken_back from level_bonuses order by round")
    assert [tuple(row) for row in bonuses] == [(0, True), (1, False)]


def badges(person: int) -> set[str]:
    return {row.badge for row in run("select badge from person_badges where person_id = %(p)s", {"p": person})}


def test_levels_age_only_with_the_month(city: World) -> None:
    one = city.people[0]
    ride(city, one, 16, "10")
    work()
    later = datetime(2027, 11, 1, 1, tzinfo=SHANGHAI)
    with clock.frozen(later - timedelta(days=1)):
        assert contest.review_on_the_first() == 0
    assert level(one) == 1
    with clock.frozen(later):
        assert contest.review_on_the_first() == 1
    assert level(one) == 0
    assert balance(city, one) > 0  # an aged level keeps what it has paid


def test_a_bonus_that_was_lost_by_age_stays_when_another_act_is_taken_back(city: World) -> None:
    one = city.people[0]
    ride(city, one, 16, "10")
    small = ride(city, one, 17, "1")
    work()
    paid = balance(city, one)
    later = datetime(2027, 11, 1, 1, tzinfo=SHANGHAI)
    with clock.frozen(later):
        assert contest.review_on_the_first() == 1
    with transaction():
        records.reverse(record_id=small, code="fraud", words="", by="operator:wu", at=later)
    work(later)
    assert level(one) == 0
    assert [row.taken_back for row in run("select taken_back from level_bonuses")] == [False]
    assert balance(city, one) > paid - 20, "only the small act's own credits went"


def test_a_new_file_reaches_by_the_review_who_has_done_nothing_since(db_session: Session) -> None:
    with transaction():
        here = world.build(people=2, at=START - timedelta(days=20))
    one = here.people[0]
    ride(here, one, 16, "10")
    with clock.frozen(NOW):
        relay_all()
    with transaction():
        levels.put(program_id=here.program_id, content=levels.parse(TOML), actor="operator:lin", at=NOW)
    assert level(one) == 0
    with clock.frozen(NOW):
        assert contest.review_levels() == 1
    work()
    assert (level(one), badges(one)) == (1, {"first-ride"})
    assert [row.round for row in run("select round from level_bonuses")] == [0]


def test_badges_of_days_count_days(city: World) -> None:
    one = city.people[0]
    for day in (16, 16, 17):
        ride(city, one, day, "1", hour=9 if day == 17 else 7 + len(badges(one)) * 3)
        work()
    assert badges(one) == {"first-ride"}
    ride(city, one, 18, "1")
    work()
    assert badges(one) == {"first-ride", "three-days"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('budget = "main"', 'budget = "none"'), "budget: no none"),
        (("grams = 5000", "grams = 500"), "each from more grams"),
        (('rule = "days"', 'rule = "luck"'), "rule: one of"),
        (("bonus = 20\n", "bonus = -1\n"), "bonus"),
        (("boost_percent = 150", "boost_percent = 1.5"), "boost_percent"),
        (('scenario = "metro-ride"', 'scenario = "flight"'), "scenario: no flight"),
        (('code = "tree"', 'code = "sprout"'), "code: each once"),
        (("[[levels]]", "[[levels"), ""),
    ],
)
def test_what_is_wrong_with_a_file_is_said(city: World, change: tuple[str, str], words: str) -> None:
    with pytest.raises(Refusal) as refused, transaction():
        content = levels.parse(TOML.replace(*change))
        levels.put(program_id=city.program_id, content=content, actor="operator:lin", at=START)
    assert refused.value.code == "levels_invalid"
    assert words in " ".join(refused.value.details["problems"])


def test_my_level_and_my_year_by_phone(city: World, phone_of: Callable[[str], Phone]) -> None:
    with clock.frozen(NOW):
        phone = phone_of("alice")
        person = run("select max(id) as id from persons")[0].id
        with transaction():
            world.join(programs.by_code(city.code), at=NOW, person_id=person)
        assert phone.get(f"/programs/{city.code}/level").json["level"] == 0
        ride(city, person, 16, "10")
        work()
        mine = phone.get(f"/programs/{city.code}/level").json
        assert (mine["level"], mine["current"]["code"], mine["next"]["code"]) == (1, "sprout", "tree")
        assert int(mine["missing_mg"]) == 5_000_000 - int(mine["mg"])
        assert [(one["code"], one["earned_at"] is not None) for one in mine["badges"]] == [
            ("first-ride", True), ("three-days", False)]  # fmt: skip
        report = phone.get(f"/programs/{city.code}/reports/2026").json
        assert (report["acts"], report["mg"], report["level"]) == (1, mine["mg"], 1)
        assert [part["key"] for part in report["scenarios"]] == ["metro-ride"]
        assert report["credits"]["earned"] >= 20 and report["badges"] == ["first-ride"]
        assert not report["complete"]
        for year in ("2019", "2027"):
            assert phone.get(f"/programs/{city.code}/reports/{year}").status_code == 404


def test_levels_are_set_by_two_persons(app: Any, city: World, tmp_path: Path) -> None:
    with transaction():
        for handle in ("lin", "wu"):
            operators.add(handle=handle, name=handle, at=NOW)
    file = tmp_path / "levels.toml"
    file.write_text(TOML, "utf-8")
    runner = app.test_cli_runner()
    own = ["--program", city.code, str(file), "--reason", "年度", "--as", "lin"]
    tried = runner.invoke(args=["levels", "put", *own, "--dry-run"])
    assert tried.exit_code == 0 and "dry run" in tried.output, tried.output
    assert run("select max(version) as v from level_sets")[0].v == 1
    asked = runner.invoke(args=["levels", "put", *own])
    number = asked.output.split()[1]
    assert runner.invoke(args=["approvals", "approve", number, "--as", "lin"]).exit_code == 1
    done = runner.invoke(args=["approvals", "approve", number, "--as", "wu"])
    assert "version 2" in done.output, done.output
    newest = "(select max(effective_at) from level_sets)"
    live = run(f"select count(*) as n from boosts where level is not null and ends_at > {newest}")[0].n
    assert live == 2  # those of the version before have ended
    assert "sprout" in runner.invoke(args=["levels", "show", "--program", city.code]).output
    assert "0 levels" in runner.invoke(args=["levels", "review"]).output
