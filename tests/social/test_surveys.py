"""Anonymous surveys: once a person, nobody linked to an answer, groups under five hidden, also from who subtracts."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as when
from hypothesis import settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import operators, programs, surveys
from app.clock import now
from app.db import connection, db, transaction
from app.errors import Refusal
from app.surveys import queries
from tests import given
from tests.edges.conftest import Phone, code_of
from tests.races.crowd import at_once, codes, fine

AT = given.AT
OVER = AT + timedelta(days=8)
QUESTIONS = [
    {"key": "overall", "kind": "rating", "zh": "总体满意度"},
    {
        "key": "canteen",
        "kind": "choice",
        "zh": "食堂",
        "choices": [{"key": "good", "zh": "好"}, {"key": "bad", "zh": "差"}],
    },
]
GOOD = {"overall": 5, "canteen": "good"}


def define(**changes: Any) -> dict[str, Any]:
    span = {"opens_at": AT, "closes_at": AT + timedelta(days=7)}
    return {"code": "2026", "name": "满意度调查", "questions": QUESTIONS, **span, **changes}


def refused(command: Callable[[], Any]) -> str:
    with pytest.raises(Refusal) as caught, transaction():
        command()
    return caught.value.code


def office(sizes: dict[str, int], **changes: Any) -> tuple[programs.Program, int, dict[str, list[int]]]:
    """A program with departments (a parent before its child: ``it``, ``it/web``) of so many people, and a survey."""
    with transaction():
        program = given.program(template="enterprise", joining="open", at=AT - timedelta(days=9))
        people: dict[str, list[int]] = {}
        for path, size in sizes.items():
            parent, _, own = path.rpartition("/")
            programs.add_org_unit(
                program_id=program.id, code=path.replace("/", "-"), kind="department", name=own,
                parent=parent.replace("/", "-") or None,
            )  # fmt: skip
            people[path] = [given.member(program, org_unit=path.replace("/", "-")) for _ in range(size)]
        definition = define(**changes)
        made = surveys.make(program_id=program.id, definition=definition, by="operator:ops", at=AT - timedelta(days=1))
        return program, made.id, people


def answer(survey_id: int, person_id: int, **changes: Any) -> None:
    values = {"answers": GOOD, "at": AT, **changes}
    surveys.answer(survey_id=survey_id, person_id=person_id, **values)


def results(program: programs.Program, at: Any = OVER) -> dict[str, int | None]:
    return {one.unit: one.answers for one in surveys.results(surveys.by_code(program.id, "2026"), at)}


def test_a_group_under_five_is_hidden_and_so_is_what_would_tell_it(db_session: Session) -> None:
    program, survey, people = office({"it": 0, "it/web": 7, "it/ops": 6, "it/lab": 3})
    with transaction():
        for group in people.values():
            for person in group:
                answer(survey, person)
    # lab has 3: with web and ops shown, 16 - 7 - 6 would tell it, so the smaller of them is hidden too.
    assert results(program) == {"": 16, "it": 16, "it-web": 7, "it-ops": None, "it-lab": None}


def test_under_five_in_all_there_is_no_figure_at_all(db_session: Session) -> None:
    program, survey, people = office({"it": 4})
    with transaction():
        for person in people["it"]:
            answer(survey, person)
    assert results(program) == {"": None, "it": None}
    with transaction():
        answer(survey, given.member(program, org_unit="it"))
    assert results(program) == {"": 5, "it": 5}


def test_results_wait_for_the_end(db_session: Session) -> None:
    program, _survey, _people = office({"it": 6})
    assert refused(partial(results, program, AT + timedelta(days=7) - timedelta(microseconds=1))) == "survey_running"
    assert results(program, AT + timedelta(days=7)) == {"": None}


def test_once_a_person_and_only_who_is_asked(db_session: Session) -> None:
    _, survey, people = office({"it": 1, "hr": 1}, org_unit="it")
    with transaction():
        answer(survey, people["it"][0])
        stranger = given.person()
    assert refused(partial(answer, survey, people["it"][0])) == "survey_answered"
    assert refused(partial(answer, survey, people["hr"][0])) == "not_found"
    assert refused(partial(answer, survey, stranger)) == "not_found"


@pytest.mark.parametrize(
    "answers",
    [
        {"overall": 5},
        {**GOOD, "more": 1},
        {**GOOD, "overall": 6},
        {**GOOD, "overall": 0},
        {**GOOD, "overall": "5"},
        {**GOOD, "overall": True},
        {**GOOD, "canteen": "so-so"},
        {},
    ],
)
def test_every_question_with_one_of_its_options(db_session: Session, answers: dict[str, Any]) -> None:
    _, survey, people = office({"it": 1})
    assert refused(partial(answer, survey, people["it"][0], answers=answers)) == "invalid_field"


def test_the_span_is_half_open(db_session: Session) -> None:
    _, survey, people = office({"it": 2})
    ends = AT + timedelta(days=7)
    assert refused(partial(answer, survey, people["it"][0], at=AT - timedelta(microseconds=1))) == "survey_closed"
    assert refused(partial(answer, survey, people["it"][0], at=ends)) == "survey_closed"
    with transaction():
        answer(survey, people["it"][0], at=AT)
        answer(survey, people["it"][1], at=ends - timedelta(microseconds=1))


def test_nothing_links_an_answer_to_a_person(db_session: Session) -> None:
    columns = connection().execute(
        text("select column_name from information_schema.columns where table_name = 'survey_answers'")
    )
    assert sorted(columns.scalars()) == ["answers", "id", "org_unit_id", "survey_id"]
    columns = connection().execute(
        text("select column_name from information_schema.columns where table_name = 'survey_voters'")
    )
    assert sorted(columns.scalars()) == ["person_id", "survey_id"]


def test_when_it_is_over_not_even_the_order_of_the_rows_tells(db_session: Session) -> None:
    program, survey, people = office({"it": 12})
    with transaction():
        for number, person in enumerate(people["it"]):
            answer(survey, person, answers={"overall": 1 + number % 5, "canteen": "good"})
        assert surveys.shuffle(at=OVER - timedelta(days=2)) == 0, "not while it runs"
    before = [one.questions for one in surveys.results(surveys.by_code(program.id, "2026"), OVER)]

    def rows() -> list[int]:
        query = "select (answers->>'overall')::int from survey_answers order by ctid"
        return list(connection().execute(text(query)).scalars())

    ordered = rows()
    with transaction():
        assert surveys.shuffle(at=OVER) == 1
        assert surveys.shuffle(at=OVER) == 0
    assert sorted(rows()) == sorted(ordered) and rows() != ordered
    assert [one.questions for one in surveys.results(surveys.by_code(program.id, "2026"), OVER)] == before
    assert refused(partial(answer, survey, people["it"][0], at=AT)) == "survey_answered", "who has answered stays known"


def test_eight_taps_are_one_answer(crowd: Any) -> None:
    _, survey, people = office({"it": 1})
    answers = at_once(crowd, *[partial(answer, survey, people["it"][0])] * 8)
    assert (len(fine(answers)), set(codes(answers))) == (1, {"survey_answered"})
    assert connection().execute(text("select count(*) from survey_answers")).scalar_one() == 1
    db.session.rollback()


tree = st.recursive(st.integers(0, 9), lambda inner: st.tuples(st.integers(0, 6), st.lists(inner, max_size=4)))


def build(shape: Any) -> queries._Node:
    direct, inner = (shape, []) if isinstance(shape, int) else shape
    return queries._Node(None, [{}] * direct, [build(one) for one in inner])


@settings(max_examples=300, deadline=None)
@when(tree)
def test_no_difference_of_shown_figures_tells_a_small_group(shape: Any) -> None:
    """Whatever the tree: what is left when shown children are subtracted from their parent is nobody, or five."""

    def walk(node: queries._Node) -> None:
        total, open_ones = len(node.all()), queries._open_children(node)
        shown = [child for child in node.children if id(child) in open_ones]
        left = total - sum(len(child.all()) for child in shown)
        assert not shown or left == 0 or left >= queries.FEWEST
        assert all(len(child.all()) >= queries.FEWEST for child in shown)
        for child in shown:
            walk(child)

    root = build(shape)
    if len(root.all()) >= queries.FEWEST:
        walk(root)


FILE = """
code = "canteen"
name = "食堂满意度"
opens_at = 2026-01-01T09:00:00+08:00
closes_at = 2026-12-31T18:00:00+08:00

[[questions]]
key = "overall"
kind = "rating"
zh = "总体"
en = "In all"
"""


def test_a_manager_makes_one_from_a_file(app: Any, db_session: Session, tmp_path: Path) -> None:
    with transaction():
        program = given.program(template="enterprise")
        operators.add(handle="lin", name="林", at=AT)
    path = tmp_path / "survey.toml"
    path.write_text(FILE.replace("2026-01-01", "2099-01-01").replace("2026-12-31", "2099-12-31"))

    def flask(*words: str, exit_code: int = 0) -> str:
        done = app.test_cli_runner().invoke(args=["surveys", *words])
        assert done.exit_code == exit_code, done.output
        return str(done.output)

    make = ("make", "--program", program.code, "--file", str(path), "--as", "lin")
    assert "dry run" in flask(*make, "--dry-run")
    assert json.loads(flask("list", "--program", program.code, "--json")) == []
    assert "1 questions" in flask(*make)
    assert json.loads(flask("list", "--program", program.code, "--json"))[0]["answered"] == "<5"
    assert "survey_running" in flask("results", "--program", program.code, "canteen", exit_code=1)
    path.write_text(FILE.replace('kind = "rating"', 'kind = "text"'))
    assert "free text could name its writer" in flask(*make, exit_code=1)
    path.write_text("code = ")
    flask(*make, exit_code=2)


def test_a_survey_through_the_api(alice: Phone, bob: Phone, db_session: Session) -> None:
    with transaction():
        program = given.program(at=now() - timedelta(days=3))
        given.member(program, int(alice.get("/me").json["id"]), at=now())  # type: ignore[index]
        span = {"opens_at": now() - timedelta(hours=1), "closes_at": now() + timedelta(days=1)}
        definition = define(**span)
        at = now() - timedelta(days=1)
        surveys.make(program_id=program.id, definition=definition, by="operator:ops", at=at)
    (asked,) = alice.get("/surveys").json["items"]
    assert (asked["answered"], [one["key"] for one in asked["questions"]]) == (False, ["overall", "canteen"])
    assert alice.post(f"/surveys/{asked['id']}/answers", {"answers": GOOD}).status_code == 204
    assert code_of(alice.post(f"/surveys/{asked['id']}/answers", {"answers": GOOD})) == "survey_answered"
    assert alice.get("/surveys").json["items"][0]["answered"] is True
    assert bob.get("/surveys").json["items"] == []
    assert bob.get(f"/surveys/{asked['id']}").status_code == 404
