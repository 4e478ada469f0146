"""``flask programs`` and ``flask operators``: a program from nothing to retirement without a developer."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy.orm import Session

from app import programs, scenarios
from app.clock import now
from app.db import transaction
from app.methodologies import publish_library
from tests import given

Run = Callable[..., Result]


@pytest.fixture
def run(app: Any, db_session: Session) -> Run:
    runner = app.test_cli_runner()

    def call(*words: str, fails: int = 0) -> Result:
        done: Result = runner.invoke(args=list(words))
        assert done.exit_code == fails, done.output
        return done

    with transaction():
        publish_library(at=now())
    for handle in ("ming", "fang"):
        call("operators", "add", handle, "--name", handle)
    return call


def create(run: Run, code: str, *words: str, fails: int = 0) -> Result:
    return run("programs", "create", code, "--name", "项目", "--region", "CN-SC", "--as", "ming", *words, fails=fails)


def test_from_a_template_with_all_its_scenarios(run: Run) -> None:
    for template in ("city", "community", "enterprise"):
        done = create(run, f"my-{template}", "--template", template)
        program = programs.by_code(f"my-{template}")
        assert program.kind == template
        offered = len(scenarios.listing(program.id))
        assert offered >= 8
        assert f"{offered} scenarios" in done.output
    listed = json.loads(run("programs", "list", "--json").output)
    assert [row["code"] for row in listed] == ["my-city", "my-community", "my-enterprise"]


def test_a_copy_offers_the_same(run: Run) -> None:
    create(run, "first", "--template", "community", "--joining", "invitation")
    create(run, "second", "--copy-from", "first", "--starts-on", "2027-01-01")
    first, second = programs.by_code("first"), programs.by_code("second")
    assert second.joining == "invitation"
    assert second.starts_on.isoformat() == "2027-01-01"
    assert [(one.code, one.caps) for one in scenarios.listing(first.id)] == [
        (one.code, one.caps) for one in scenarios.listing(second.id)
    ]


def test_wrong_words_are_told_apart_from_refusals(run: Run) -> None:
    create(run, "first", "--template", "city")
    assert "program_exists" in create(run, "first", "--template", "city", fails=1).output
    assert "not_found" in create(run, "x", "--copy-from", "nowhere", fails=1).output
    create(run, "x", fails=2)
    create(run, "x", "--template", "city", "--copy-from", "first", fails=2)
    create(run, "x", "--template", "moon", fails=2)
    stranger = ("--name", "x", "--region", "CN-SC", "--template", "city", "--as", "nobody")
    assert "unknown_operator" in run("programs", "create", "x", *stranger, fails=1).output
    assert programs.find("x") is None


def test_terms_by_two_operators(run: Run) -> None:
    create(run, "city", "--template", "city")
    when = (now() + timedelta(hours=1)).isoformat()
    words = ("--effective-at", when, "--credits-per-kg", "120", "--reason", "spring", "--as", "ming")
    proposed = run("programs", "propose-terms", "city", *words)
    number = proposed.output.split()[1]
    assert "maker_is_checker" in run("programs", "approve-terms", number, "--as", "ming", fails=1).output
    assert "terms 2" in run("programs", "approve-terms", number, "--as", "fang").output
    found = programs.terms_in_force(programs.by_code("city").id, now() + timedelta(hours=2))
    assert (found.version, found.credits_per_kg, found.price_fen) == (2, 120, 2000)
    assert "120 credits/kg" in run("programs", "terms", "city").output
    naive = ("--effective-at", "2030-01-01T00:00:00", "--reason", "x", "--as", "ming")
    run("programs", "propose-terms", "city", *naive, fails=2)


def test_org_units_and_roster_from_files(run: Run, tmp_path: Path) -> None:
    create(run, "firm", "--template", "enterprise")
    units = tmp_path / "units.csv"
    units.write_text("\ufeffcode,name,kind,parent\nhq,总部,department,\nit,信息部,department,hq\n", "utf-8")
    assert "2 org-units" in run("programs", "org-units", "firm", str(units)).output
    roster = tmp_path / "roster.csv"
    roster.write_text("number,pin,org_unit\n001,p-1,it\n002,p-2,\n", "utf-8")
    assert "2 lines read, 2 new" in run("programs", "roster", "firm", str(roster)).output
    assert "2 lines read, 0 new" in run("programs", "roster", "firm", str(roster)).output
    person = given.member(programs.by_code("firm"), roster_number="001", roster_pin="p-1", at=now())
    assert programs.places_of(person, now())[0].org_unit_id == programs.org_unit(programs.by_code("firm").id, "it").id

    roster.write_text("number,org_unit\n1,it\n", "utf-8")
    assert "no column pin" in run("programs", "roster", "firm", str(roster), fails=1).output
    roster.write_text("number,pin\n1,\n", "utf-8")
    assert "line 2: pin is empty" in run("programs", "roster", "firm", str(roster), fails=1).output
    roster.write_text("number,pin,org_unit\n9,p,moon\n", "utf-8")
    assert "moon" in run("programs", "roster", "firm", str(roster), fails=1).output


def test_inviting_admitting_retiring(run: Run) -> None:
    create(run, "firm", "--template", "enterprise", "--joining", "approval")
    code = run("programs", "invite", "firm", "--uses", "1").output.strip()
    firm = programs.by_code("firm")
    given.member(firm, invitation=code, at=now())
    asking = given.member(firm, at=now())
    assert "active" in run("programs", "admit", "firm", str(asking), "--as", "fang").output
    assert "state_conflict" in run("programs", "admit", "firm", str(asking), "--as", "fang", fails=1).output
    assert "retired" in run("programs", "retire", "firm", "--reason", "over", "--as", "ming").output
    assert "state_conflict" in run("programs", "retire", "firm", "--reason", "over", "--as", "ming", fails=1).output
