"""Green education: courses and articles to read, quizzes whose results are explained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import learning, programs
from app.clock import now
from app.db import retrying, transaction
from app.errors import INVALID_FIELD, NOT_FOUND
from app.learning import LETTERS, Question, Result
from app.people import Login
from app.programs import NOT_A_MEMBER
from app.records import checks
from edge import schemas
from edge.answers import answer
from edge.language import pick
from edge.routes import gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import either, when, when_or_none

routes = APIBlueprint("learning", __name__, tag="Learning")


class CourseShown(schemas.Answer):
    code = fields.String(required=True)
    title = fields.String(required=True)
    text = fields.String(required=True)
    articles = fields.Integer(required=True)
    read = fields.Integer(required=True, metadata={"description": "of them, by me"})


class ArticleLine(schemas.Answer):
    id = fields.String(required=True)
    code = fields.String(required=True)
    course = fields.String(required=True, allow_none=True)
    title = fields.String(required=True)
    minutes = fields.Integer(required=True)
    read_at = fields.String(required=True, allow_none=True)


class QuizShown(schemas.Answer):
    id = fields.String(required=True)
    code = fields.String(required=True)
    kind = fields.String(required=True, metadata={"description": "daily, open, or course (after its articles)"})
    course = fields.String(required=True, allow_none=True)
    title = fields.String(required=True)
    questions = fields.Integer(required=True)
    passes = fields.Integer(required=True, metadata={"description": "right answers that pass"})
    seconds = fields.Integer(required=True)
    attempts = fields.Integer(required=True)
    attempts_used = fields.Integer(required=True, metadata={"description": "a daily quiz: today"})
    passed = fields.Boolean(required=True)
    closes_at = fields.String(required=True, allow_none=True)


class LearningShown(schemas.Answer):
    courses = fields.List(fields.Nested(CourseShown), required=True)
    articles = fields.List(fields.Nested(ArticleLine), required=True)
    quizzes = fields.List(fields.Nested(QuizShown), required=True)


class ArticleShown(ArticleLine):
    body = fields.String(required=True)
    source = fields.String(required=True, metadata={"description": "where its facts come from"})


class ReadShown(schemas.Answer):
    read_at = fields.String(required=True, metadata={"description": "when I read it first"})


class OptionShown(schemas.Answer):
    letter = fields.String(required=True)
    text = fields.String(required=True)


class QuestionAsked(schemas.Answer):
    id = fields.String(required=True)
    text = fields.String(required=True)
    options = fields.List(fields.Nested(OptionShown), required=True)
    several = fields.Boolean(required=True, metadata={"description": "more than one option is right"})


class AttemptShown(schemas.Answer):
    id = fields.String(required=True)
    quiz_id = fields.String(required=True)
    number = fields.Integer(required=True)
    started_at = fields.String(required=True)
    due_at = fields.String(required=True, metadata={"description": "by our clock"})
    questions = fields.List(fields.Nested(QuestionAsked), required=True)


class AnswerIn(schemas.Request):
    question_id = schemas.Id(required=True)
    options = schemas.Items(schemas.OneOf(*LETTERS), longest=len(LETTERS), required=True)


class AnswersIn(schemas.Request):
    answers = schemas.Items(schemas.Inner(AnswerIn), longest=50, required=True)


class QuestionExplained(QuestionAsked):
    mine = fields.List(fields.String(), required=True)
    right = fields.List(fields.String(), required=True)
    is_right = fields.Boolean(required=True)
    explanation = fields.String(required=True)
    source = fields.String(required=True)


class ResultShown(schemas.Answer):
    id = fields.String(required=True)
    quiz_id = fields.String(required=True)
    state = fields.String(required=True, metadata={"description": "running, over (not answered in time) or answered"})
    first = fields.Boolean(required=True, metadata={"description": "these answers are the ones that count"})
    right_count = fields.Integer(required=True, allow_none=True)
    passed = fields.Boolean(required=True, allow_none=True)
    credits = fields.Integer(required=True, metadata={"description": "earned by this answer"})
    record_id = fields.String(required=True, allow_none=True)
    questions = fields.List(fields.Nested(QuestionExplained), required=True)


@routes.get("/programs/<code:program>/learning")
@citizen()
@gives(LearningShown)
@refuses(NOT_FOUND, NOT_A_MEMBER)
def get_learning(login: Login, program: str) -> Response:
    """Courses, articles and quizzes of a program

    With what I have read and how many attempts are left.
    """
    here = programs.known(program)
    if not programs.is_member(here.id, login.person_id):
        raise NOT_A_MEMBER(program=program)
    courses, articles, quizzes = learning.overview(program_id=here.id, person_id=login.person_id, at=now())
    return answer(
        {
            "courses": [
                {"code": one.code, "title": either(one.title, one.title_en), "text": either(one.text_zh, one.text_en),
                 "articles": one.articles, "read": one.done}
                for one in courses
            ],
            "articles": [_line(one) for one in articles],
            "quizzes": [_quiz(one) for one in quizzes],
        }
    )  # fmt: skip


@routes.get("/articles/<id:article_id>")
@citizen()
@gives(ArticleShown)
@refuses(NOT_FOUND)
def get_article(login: Login, article_id: int) -> Response:
    """An article"""
    found = learning.article(article_id=article_id, person_id=login.person_id)
    return answer({**_line(found), "body": either(found.body_zh, found.body_en), "source": found.source})


@routes.put("/articles/<id:article_id>/read")
@citizen()
@gives(ReadShown)
@refuses(NOT_FOUND)
def put_read(login: Login, article_id: int) -> Response:
    """I have read it

    The first time is kept; a course's quiz opens when all of its articles are read.
    """
    with transaction():
        read_at = learning.mark_read(article_id=article_id, person_id=login.person_id, at=now())
    return answer({"read_at": when(read_at)})


@routes.post("/quizzes/<id:quiz_id>/attempts")
@citizen()
@gives(AttemptShown, status=201)
@refuses(
    NOT_FOUND, learning.QUIZ_CLOSED, learning.READ_FIRST, learning.PASSED_ALREADY, learning.NO_ATTEMPTS_LEFT,
)  # fmt: skip
def post_attempt(login: Login, quiz_id: int) -> Response:
    """Begin an attempt

    Questions are drawn and stay as they are, whatever changes meanwhile. While one runs it is answered again (200).
    """

    def command() -> tuple[dict[str, Any], bool]:
        with transaction():
            made, _, asked, fresh = learning.start(quiz_id=quiz_id, person_id=login.person_id, at=now())
            shown = {
                "id": str(made.id), "quiz_id": str(made.quiz_id), "number": made.number,
                "started_at": when(made.started_at), "due_at": when(made.due_at),
                "questions": [_asked(question) for question in asked],
            }  # fmt: skip
            return shown, fresh

    shown, fresh = retrying(command)
    return answer(shown, 201 if fresh else 200)


@routes.post("/quiz-attempts/<id:attempt_id>/answers")
@citizen()
@takes(AnswersIn, example={"answers": [{"question_id": "1", "options": ["A"]}]})
@gives(ResultShown, status=201)
@refuses(NOT_FOUND, learning.TIME_UP, checks.UNKNOWN_SCENARIO, checks.PROGRAM_CLOSED, NOT_A_MEMBER)
def post_answers(login: Login, body: dict[str, Any], attempt_id: int) -> Response:
    """Answer

    All questions at once; what is left out is wrong. The first answers count: sent again, or from two phones at once,
    the first result is shown (200, `first` false). Each question is explained.
    """
    given = _given(body["answers"])

    def command() -> tuple[dict[str, Any], bool]:
        with transaction():
            found = learning.submit(attempt_id=attempt_id, person_id=login.person_id, answers=given, at=now())
            return _result(found), found.fresh

    shown, fresh = retrying(command)
    return answer(shown, 201 if fresh else 200)


@routes.get("/quiz-attempts/<id:attempt_id>")
@citizen()
@gives(ResultShown)
@refuses(NOT_FOUND)
def get_attempt(login: Login, attempt_id: int) -> Response:
    """An attempt of mine, explained

    Right answers stand in it once it is answered or its time is over.
    """
    with transaction():
        shown = _result(learning.look(attempt_id=attempt_id, person_id=login.person_id))
    return answer(shown)


def _given(sent: Sequence[dict[str, Any]]) -> dict[int, list[int]]:
    given: dict[int, list[int]] = {}
    for one in sent:
        if one["question_id"] in given or len(set(one["options"])) < len(one["options"]):
            expected = pick("每题只能出现一次，选项不能重复|each question and option once")
            raise INVALID_FIELD(fields=[{"field": "answers", "expected": expected}])
        given[one["question_id"]] = [LETTERS.index(letter) for letter in one["options"]]
    return given


def _line(row: Any) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "code": row.code,
        "course": row.course,
        "title": either(row.title, row.title_en),
        "minutes": row.minutes,
        "read_at": when_or_none(row.read_at),
    }


def _quiz(row: Any) -> dict[str, Any]:
    return {
        "id": str(row.id),
        **{name: getattr(row, name) for name in ("code", "kind", "course", "passes", "seconds", "attempts", "passed")},
        "title": either(row.title, row.title_en),
        "questions": row.draws,
        "attempts_used": row.used,
        "closes_at": when_or_none(row.closes_at),
    }


def _asked(question: Question) -> dict[str, Any]:
    return {
        "id": str(question.id),
        "text": either(question.stem, question.stem_en),
        "options": [
            {"letter": letter, "text": either(option["zh"], option["en"])}
            for letter, option in zip(LETTERS, question.options, strict=False)
        ],
        "several": len(question.right) > 1,
    }


def _result(found: Result) -> dict[str, Any]:
    attempt, taken = found.attempt, found.taken
    state = "answered" if attempt.submitted_at else "running" if now() <= attempt.due_at else "over"
    return {
        "id": str(attempt.id),
        "quiz_id": str(attempt.quiz_id),
        "state": state,
        "first": found.fresh,
        "right_count": attempt.right_count,
        "passed": attempt.passed,
        "credits": 0 if taken is None or taken.paid_in is not None else taken.credits,
        "record_id": None if attempt.record_id is None else str(attempt.record_id),
        "questions": [] if state == "running" else [_explained(one, attempt.answers or {}) for one in found.questions],
    }


def _explained(question: Question, answers: dict[str, Any]) -> dict[str, Any]:
    mine = answers.get(str(question.id), [])
    return {
        **_asked(question),
        "mine": [LETTERS[place] for place in mine],
        "right": [LETTERS[place] for place in question.right],
        "is_right": set(mine) == set(question.right),
        "explanation": either(question.explanation, question.explanation_en),
        "source": question.source,
    }
