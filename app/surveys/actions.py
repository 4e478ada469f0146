"""Make a survey from a definition, and answer one, once and for good."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app import audit, programs
from app.db import connection, run, session
from app.errors import INVALID_FIELD, NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.surveys.models import Survey, SurveyAnswer, SurveyVoter

RATINGS = (1, 2, 3, 4, 5)

SURVEY_INVALID = declare(
    "survey_invalid",
    Kind.INVALID,
    zh="问卷定义有误，请按 details 的说明修改。",
    en="The survey's definition is not right; `details` says what to mend.",
)
SURVEY_ANSWERED = declare(
    "survey_answered",
    Kind.CONFLICT,
    zh="您已回答过这份问卷。为保证匿名，答案不可查看或修改。",
    en="You have answered this survey. Because it is anonymous, an answer can't be looked up or changed.",
)
SURVEY_CLOSED = declare(
    "survey_closed",
    Kind.CONFLICT,
    zh="问卷尚未开始或已经结束。",
    en="The survey has not begun, or is over.",
)


def make(*, program_id: int, definition: Mapping[str, Any], by: str, at: datetime) -> Survey:
    """Make a survey; before it opens, the same code again replaces it. Raises SURVEY_INVALID, STATE_CONFLICT."""
    problems = list(_problems(definition))
    if problems:
        raise SURVEY_INVALID(problems=problems)
    unit = definition.get("org_unit")
    query = select(Survey).where(Survey.program_id == program_id, Survey.code == definition["code"])
    found = session().scalars(query.with_for_update()).first()
    if found is not None and found.opens_at <= at:
        raise STATE_CONFLICT(state="open", survey=found.code)
    if found is None:
        found = Survey(program_id=program_id, code=definition["code"], made_by=by, made_at=at)
    found.name, found.name_en = definition["name"], definition.get("name_en", "")
    found.text_zh, found.text_en = definition.get("text", ""), definition.get("text_en", "")
    found.questions = [_question(one) for one in definition["questions"]]
    found.opens_at, found.closes_at = definition["opens_at"], definition["closes_at"]
    found.org_unit_id = programs.org_unit(program_id, unit).id if unit else None
    session().add(found)
    session().flush()
    audit.write(
        actor=by, action="survey.make", object_type="survey", object_id=found.id, at=at, program_id=program_id,
        after={"questions": found.questions, "opens_at": found.opens_at, "closes_at": found.closes_at},
    )  # fmt: skip
    return found


def answer(*, survey_id: int, person_id: int, answers: Mapping[str, Any], at: datetime) -> None:
    """Answer every question, once. Raises NOT_FOUND for who isn't asked, SURVEY_CLOSED, SURVEY_ANSWERED,
    INVALID_FIELD."""
    survey = session().get(Survey, survey_id)
    if survey is None:
        raise NOT_FOUND(survey=str(survey_id))
    unit_id = _place(survey, person_id)
    if not survey.opens_at <= at < survey.closes_at:
        raise SURVEY_CLOSED(opens_at=survey.opens_at.isoformat(), closes_at=survey.closes_at.isoformat())
    _check(survey, answers)
    voter = insert(SurveyVoter).values(survey_id=survey_id, person_id=person_id).on_conflict_do_nothing()
    if connection().execute(voter.returning(SurveyVoter.survey_id)).first() is None:
        raise SURVEY_ANSWERED()
    session().add(SurveyAnswer(survey_id=survey_id, org_unit_id=unit_id, answers=dict(answers)))
    session().flush()


_SHUFFLE = (
    "with gone as (delete from survey_answers where survey_id = %(id)s returning survey_id, org_unit_id, answers)"
    " insert into survey_answers (survey_id, org_unit_id, answers)"
    " select survey_id, org_unit_id, answers from gone order by random()",
    "with gone as (delete from survey_voters where survey_id = %(id)s returning survey_id, person_id)"
    " insert into survey_voters (survey_id, person_id) select survey_id, person_id from gone order by random()",
)


def shuffle(*, at: datetime) -> int:
    """Write the rows of surveys that are over anew, in random order and all at once: neither their place on disk nor
    the transaction that wrote them pairs a voter with an answer any more. Answers how many surveys."""
    over = (Survey.closes_at <= at, Survey.shuffled_at.is_(None))
    found = list(session().scalars(select(Survey).where(*over).order_by(Survey.id).limit(20).with_for_update()))
    for survey in found:
        for statement in _SHUFFLE:
            run(statement, {"id": survey.id})
        survey.shuffled_at = at
    session().flush()
    return len(found)


def _place(survey: Survey, person_id: int) -> int | None:
    """The org-unit in which somebody answers. Raises NOT_FOUND for a stranger of the program or of the unit."""
    member = programs.membership(survey.program_id, person_id)
    if member is None or member.state != "active":
        raise NOT_FOUND(survey=str(survey.id))
    if survey.org_unit_id is not None:
        path = programs.org_unit_by_id(survey.program_id, survey.org_unit_id).path
        own = member.org_unit_id and programs.org_unit_by_id(survey.program_id, member.org_unit_id).path
        if not own or not own.startswith(path):
            raise NOT_FOUND(survey=str(survey.id))
    return member.org_unit_id


def _check(survey: Survey, answers: Mapping[str, Any]) -> None:
    asked = {one["key"]: one for one in survey.questions}
    wrong = sorted(set(asked) ^ set(answers))
    for key in set(asked) & set(answers):
        allowed = RATINGS if asked[key]["kind"] == "rating" else [one["key"] for one in asked[key]["choices"]]
        if isinstance(answers[key], bool) or answers[key] not in allowed:
            wrong.append(key)
    if wrong:
        expected = "应回答每个问题，且只能选择给出的选项|must answer every question with one of its options"
        raise INVALID_FIELD(fields=[{"field": f"answers.{key}", "expected": expected} for key in wrong[:20]])


def _question(one: Mapping[str, Any]) -> dict[str, Any]:
    shown = {"key": one["key"], "kind": one["kind"], "zh": one["zh"], "en": one.get("en", "")}
    if one["kind"] == "choice":
        shown["choices"] = [{"key": c["key"], "zh": c["zh"], "en": c.get("en", "")} for c in one["choices"]]
    return shown


def _problems(definition: Mapping[str, Any]) -> Any:
    """What a manager has to mend, in plain words."""
    for name in ("code", "name", "opens_at", "closes_at", "questions"):
        if not definition.get(name):
            yield f"{name}: is missing"
    for name in ("opens_at", "closes_at"):
        found = definition.get(name)
        if found is not None and (not isinstance(found, datetime) or found.tzinfo is None):
            yield f"{name}: a time with its offset, such as 2026-12-01T09:00:00+08:00"
    questions = definition.get("questions")
    if not isinstance(questions, list) or not 1 <= len(questions) <= 30:
        yield "questions: 1 to 30 of them"
        return
    keys = [one.get("key") for one in questions]
    if len(set(keys)) != len(keys):
        yield "questions: each key once"
    for number, one in enumerate(questions, 1):
        if not one.get("key") or not one.get("zh") or one.get("kind") not in ("rating", "choice"):
            yield f"question {number}: needs key, zh, and kind rating or choice (free text could name its writer)"
        elif one["kind"] == "choice" and len({c.get("key") for c in one.get("choices", [])}) < 2:
            yield f"question {number}: a choice has at least two choices, each with key and zh"
