"""Green education: banks from files, what is drawn and pinned, the first answers, what earns and how often."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import openpyxl
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import clock, learning, operators
from app.db import connection, transaction
from app.errors import Refusal
from tests import world
from tests.world import World

NOW = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def question(number: int, right: str = "A", **changes: str) -> dict[str, str]:
    return {
        "ref": f"q{number}", "question": f"第 {number} 题？", "A": "对", "B": "错", "C": "不知道", "right": right,
        "explanation": "因为如此。", "source": "T/ACEF 031-2022", **changes,
    }  # fmt: skip


def bring(here: World, *rows: dict[str, str], bank: str = "daily") -> list[learning.RowReport]:
    with transaction():
        return learning.import_questions(
            program_id=here.program_id, bank=bank, rows=list(enumerate(rows, start=2)), by="operator:x", at=NOW
        )


def publish(here: World, **content: Any) -> None:
    with transaction():
        learning.publish(program_id=here.program_id, by="operator:x", at=NOW, **content)


DAILY = {
    "code": "daily",
    "kind": "daily",
    "title": "每日答题",
    "bank": "daily",
    "draws": 5,
    "passes": 3,
    "seconds": 120,
}
EXAM = {"code": "exam", "kind": "open", "title": "测验", "bank": "daily", "draws": 4, "passes": 3, "attempts": 2}


@pytest.fixture
def here(db_session: Session) -> World:
    with transaction():
        made = world.build(people=2, at=NOW - timedelta(days=2))
    bring(made, *[question(number, "AC" if number % 3 == 0 else "B") for number in range(12)])
    publish(made, quizzes=[DAILY, EXAM])
    return made


def quiz_id(here: World, code: str) -> int:
    _, _, quizzes = learning.overview(program_id=here.program_id, person_id=here.people[0], at=NOW)
    return next(int(one.id) for one in quizzes if one.code == code)


def start(here: World, code: str, at: datetime = NOW, person: int = 0) -> tuple[int, list[learning.Question], bool]:
    with transaction():
        attempt, _, asked, fresh = learning.start(quiz_id=quiz_id(here, code), person_id=here.people[person], at=at)
        return attempt.id, asked, fresh


def submit(
    here: World, attempt: int, answers: dict[int, list[int]], at: datetime = NOW, person: int = 0
) -> learning.Result:
    with transaction():
        return learning.submit(attempt_id=attempt, person_id=here.people[person], answers=answers, at=at)


def key(asked: list[learning.Question], right: int | None = None) -> dict[int, list[int]]:
    """Right answers to the first ``right`` questions, wrong ones to the rest."""
    many = len(asked) if right is None else right
    return {one.id: list(one.right) if n < many else [2] for n, one in enumerate(asked)}


def refused(command: Callable[..., Any], *args: Any, **named: Any) -> str:
    with pytest.raises(Refusal) as caught:
        command(*args, **named)
    return caught.value.code


def rows(sql: str) -> list[Any]:
    return [tuple(row) for row in connection().execute(text(sql))]


def test_the_daily_quiz_earns_once_by_its_right_answers_and_the_first_answers_count(here: World) -> None:
    attempt, asked, fresh = start(here, "daily")
    assert (len(asked), fresh) == (5, True)
    assert start(here, "daily", NOW + MINUTE) == (attempt, asked, False), "the one that runs goes on"
    found = submit(here, attempt, key(asked, 4), NOW + MINUTE)
    assert (found.attempt.right_count, found.attempt.passed, found.fresh) == (4, True, True)
    assert found.taken is not None and (found.taken.state, found.taken.credits) == ("counted", 4)
    again = submit(here, attempt, key(asked), NOW + MINUTE)
    assert (again.attempt.right_count, again.fresh, again.taken) == (4, False, None)
    assert refused(start, here, "daily", NOW + 2 * MINUTE) == "no_attempts_left"
    tomorrow, _, fresh = start(here, "daily", NOW + timedelta(days=1))
    assert fresh and tomorrow != attempt
    assert rows("select reference, facts->>'answers' from records") == [
        (f"quiz:{quiz_id(here, 'daily')}:{here.people[0]}:2026-11-25", "4")
    ]


def test_begun_before_midnight_it_belongs_to_that_day(here: World) -> None:
    last = datetime(2026, 11, 25, 15, 59, 59, 999_000, tzinfo=UTC)
    attempt, asked, _ = start(here, "daily", last)
    after = last + timedelta(seconds=30)
    other, other_asked, fresh = start(here, "daily", after)
    assert fresh and other != attempt
    submit(here, attempt, key(asked), after)
    submit(here, other, key(other_asked), after)
    days = rows("select local_date::text, facts->>'answers' from records order by id")
    assert days == [("2026-11-25", "5"), ("2026-11-26", "5")]


def test_time_is_ours(here: World) -> None:
    attempt, asked, _ = start(here, "daily")
    assert refused(submit, here, attempt, key(asked), NOW + timedelta(seconds=125, microseconds=1)) == "time_up"
    assert submit(here, attempt, key(asked), NOW + timedelta(seconds=125)).fresh, "five seconds for the way"
    late, _, _ = start(here, "exam", NOW + timedelta(hours=1))
    assert refused(start, here, "daily", NOW + timedelta(hours=1)) == "no_attempts_left"
    second, _, fresh = start(here, "exam", NOW + timedelta(hours=2))
    assert fresh and second != late, "an attempt whose time is over is used up"
    assert refused(start, here, "exam", NOW + timedelta(hours=3)) == "no_attempts_left"


def test_a_question_changed_meanwhile_is_judged_as_it_was_asked(here: World) -> None:
    attempt, asked, _ = start(here, "daily")
    changed = [question(number, "C", A="完全不同") for number in range(12)]
    assert {one.outcome for one in bring(here, *changed)} == {"changed"}
    found = submit(here, attempt, key(asked))
    assert found.attempt.right_count == 5
    assert all(one.options[0]["zh"] == "对" for one in found.questions)
    _, fresh_ones, _ = start(here, "daily", NOW, 1)
    assert {one.version for one in fresh_ones} == {2}


def test_an_exam_earns_once_by_the_attempt_that_passes(here: World) -> None:
    first, asked, _ = start(here, "exam")
    failed = submit(here, first, key(asked, 2))
    assert (failed.attempt.passed, failed.taken) == (False, None)
    second, asked, _ = start(here, "exam", NOW + MINUTE)
    passed = submit(here, second, key(asked, 3), NOW + MINUTE)
    assert passed.attempt.passed and passed.taken is not None and passed.taken.credits == 3
    assert refused(start, here, "exam", NOW + 2 * MINUTE) == "passed_already"
    assert rows("select count(*) from records") == [(1,)]


def test_several_right_options_need_all_of_them_and_nothing_else(here: World) -> None:
    attempt, asked, _ = start(here, "daily")
    several = next((one for one in asked if len(one.right) == 2), None)
    wrong = key(asked, 0)
    if several is not None:
        wrong[several.id] = [several.right[0]]
    assert submit(here, attempt, wrong).attempt.right_count == 0
    assert rows("select count(*) from records") == [(0,)], "nothing right earns nothing"


def test_what_is_no_answer(here: World) -> None:
    attempt, asked, _ = start(here, "daily")
    assert refused(submit, here, attempt, {10**9: [0]}) == "invalid_field"
    assert refused(submit, here, attempt, {asked[0].id: [3]}) == "invalid_field"
    assert refused(submit, here, attempt, key(asked), NOW, 1) == "not_found"
    assert submit(here, attempt, {}).attempt.right_count == 0, "left out is wrong"


def test_a_course_is_read_before_its_quiz(here: World) -> None:
    article = {"body_zh": "正文", "source": "某标准", "minutes": 3, "course": "basics"}
    publish(
        here,
        courses=[{"code": "basics", "title": "入门"}],
        articles=[{"code": f"a{n}", "title": f"第 {n} 课", "position": n, **article} for n in (1, 2)],
        quizzes=[{**EXAM, "code": "final", "kind": "course", "course": "basics"}],
    )
    assert refused(start, here, "final") == "read_first"
    _, articles, _ = learning.overview(program_id=here.program_id, person_id=here.people[0], at=NOW)
    for one in articles:
        with transaction():
            first = learning.mark_read(article_id=one.id, person_id=here.people[0], at=NOW)
            assert learning.mark_read(article_id=one.id, person_id=here.people[0], at=NOW + MINUTE) == first
    assert start(here, "final")[2]
    courses, _, _ = learning.overview(program_id=here.program_id, person_id=here.people[0], at=NOW)
    assert [(one.articles, one.done) for one in courses] == [(2, 2)]


def test_each_broken_row_is_told_and_the_rest_is_kept(here: World) -> None:
    bad = [
        question(100, ref=""), question(101, right="D"), question(102, right=""), question(103, right="ABC"),
        question(104, B="对"), question(105, B="", C="丙"), question(106, question="长" * 501),
        question(107, explanation="=1+1"), question(108, question="坏\u202e字"), question(109, ref="有空格 的"),
        question(110, right="AA"), question(111, explanation=""),
    ]  # fmt: skip
    reports = bring(here, *bad, question(200), question(200), question(201, A="表情 😀", right="a、c"), bank="other")
    assert [one.outcome for one in reports] == ["failed"] * 12 + ["new", "failed", "new"]
    assert all(one.problems for one in reports if one.outcome == "failed")
    assert [one.outcome for one in bring(here, question(200), bank="other")] == ["unchanged"]
    assert rows("select \"right\" from questions where ref = 'q201'") == [([0, 2],)]
    with transaction():
        values = {"program_id": here.program_id, "bank": "other", "ref": "q200", "by": "operator:x", "at": NOW}
        assert learning.retire(**values) is True
        assert learning.retire(**values) is False


def test_what_cannot_be_published(here: World) -> None:
    for bad in (
        {**DAILY, "draws": 0}, {**DAILY, "draws": 13}, {**DAILY, "passes": 6}, {**DAILY, "attempts": 2},
        {**DAILY, "kind": "weekly"}, {**DAILY, "course": "none"}, {**EXAM, "kind": "course"}, {**EXAM, "bank": "empty"},
        {**EXAM, "scenario": "metro-ride"}, {**EXAM, "seconds": 5}, {**EXAM, "code": "Ü"}, {**EXAM, "more": 1},
        {"code": "x"},
    ):  # fmt: skip
        assert refused(publish, here, quizzes=[bad]) == "learning_invalid", bad
    article = {"code": "a", "title": "t", "body_zh": "b", "source": "s", "minutes": 3}
    for changes in ({"minutes": 0}, {"source": ""}, {"course": "none"}, {"state": "draft"}):
        assert refused(publish, here, articles=[{**article, **changes}]) == "learning_invalid", changes


def test_a_story_by_phone(town: World, settle: Callable[..., Any]) -> None:
    bring(town, *[question(number, "B") for number in range(6)])
    publish(
        town,
        quizzes=[DAILY],
        articles=[{"code": "a", "title": "文", "body_zh": "正文", "source": "某标准", "minutes": 2}],
    )
    ann, ben = settle("alice"), settle("bob")
    shown = ann.get(f"/programs/{town.code}/learning")
    assert [(one["code"], one["attempts_used"], one["passed"]) for one in shown["quizzes"]] == [("daily", 0, False)]
    article = shown["articles"][0]["id"]
    assert ann.get(f"/articles/{article}")["source"] == "某标准"
    read = ann.phone.put(f"/articles/{article}/read").json
    assert read == ann.phone.put(f"/articles/{article}/read").json
    quiz = shown["quizzes"][0]["id"]
    begun = ann.post(f"/quizzes/{quiz}/attempts")
    assert ann.post(f"/quizzes/{quiz}/attempts", status=200)["id"] == begun["id"]
    assert "right" not in str(begun["questions"]) and begun["questions"][0]["several"] is False
    path = f"/quiz-attempts/{begun['id']}"
    running = ann.get(path)
    assert (running["state"], running["questions"]) == ("running", [])
    answers = [{"question_id": one["id"], "options": ["B"]} for one in begun["questions"]]
    for bad in ([*answers, answers[0]], [{"question_id": answers[0]["question_id"], "options": ["B", "B"]}],
                [{"question_id": answers[0]["question_id"], "options": ["G"]}], "B", [{"options": ["A"]}]):  # fmt: skip
        assert ann.refused(f"{path}/answers", {"answers": bad})[0] == 422
    assert ben.refused(f"{path}/answers", {"answers": answers}) == (404, "not_found")
    done = ann.post(f"{path}/answers", {"answers": answers})
    assert (done["right_count"], done["credits"], done["passed"], done["first"]) == (5, 5, True, True)
    assert done["questions"][0]["explanation"] == "因为如此。" and done["questions"][0]["right"] == ["B"]
    again = ann.post(f"{path}/answers", {"answers": answers[:1]}, 200)
    assert (again["first"], again["right_count"], again["credits"]) == (False, 5, 0)
    assert ann.get(path)["record_id"] == done["record_id"]


def test_the_operators_files(town: World, app: Any, tmp_path: Any) -> None:
    with transaction():
        operators.add(handle="lin", name="林", at=clock.now())
    flask = app.test_cli_runner().invoke
    target = ["--program", town.code, "--as", "lin"]
    header = "ref,question,A,B,right,explanation\n"
    table = tmp_path / "bank.csv"
    table.write_bytes((header + "1,一加一？,二,三,A,常识\n2,坏题,一,,A,\n").encode("gb18030"))
    tried = flask(args=["learning", "import", *target, "--bank", "daily", str(table), "--dry-run"])
    assert "nothing was changed" in tried.output and rows("select count(*) from questions") == [(0,)]
    done = flask(args=["learning", "import", *target, "--bank", "daily", str(table)])
    assert done.exit_code == 1 and "read 2: 1 new, 0 changed, 0 unchanged, 1 failed" in done.output
    book = openpyxl.Workbook()
    for row in (["ref", "question", "A", "B", "right", "explanation"], [1, "一加一？", "二", "三", "A", "常识"]):
        book.active.append(row)
    book.save(tmp_path / "bank.xlsx")
    same = flask(args=["learning", "import", *target, "--bank", "daily", str(tmp_path / "bank.xlsx")])
    assert same.exit_code == 0 and "1 unchanged" in same.output
    for wrong in ("a,b\n", header.replace("right", "ref"), header.replace("ref", "reef"), ""):
        table.write_text(wrong)
        assert flask(args=["learning", "import", *target, "--bank", "daily", str(table)]).exit_code == 1
    (tmp_path / "bad.xlsx").write_bytes(b"PK no book")
    assert flask(args=["learning", "import", *target, "--bank", "x", str(tmp_path / "bad.xlsx")]).exit_code == 1
    plan = tmp_path / "plan.toml"
    plan.write_text('[[quizzes]]\ncode = "daily"\nkind = "daily"\ntitle = "每日"\nbank = "daily"\ndraws = 1\n')
    assert "1 quizzes" in flask(args=["learning", "publish", *target, str(plan)]).output
    plan.write_text('[[quiz]]\ncode = "x"\n')
    assert flask(args=["learning", "publish", *target, str(plan)]).exit_code == 1
    gone = flask(args=["learning", "retire-question", *target, "--bank", "daily", "1"])
    assert "drawn no longer" in gone.output
    assert "daily" in flask(args=["learning", "numbers", "--program", town.code]).output
