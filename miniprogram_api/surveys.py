"""Anonymous surveys that I am asked, and answering one."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import surveys
from app.clock import now
from app.db import transaction
from app.errors import INVALID_FIELD, NOT_FOUND
from app.people import Login
from edge import schemas
from edge.answers import answer, nothing
from edge.routes import gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import either, when

routes = APIBlueprint("surveys", __name__, tag="Surveys")


class SurveyAnswers(schemas.Request):
    answers = schemas.Facts(
        required=True,
        metadata={"description": "by the question's key: 1 to 5 for a rating, a choice's key for a choice"},
    )


class SurveyShown(schemas.Answer):
    id = fields.String(required=True)
    program = fields.String(required=True)
    code = fields.String(required=True)
    name = fields.String(required=True)
    text = fields.String(required=True)
    questions = fields.List(fields.Dict(), required=True)
    opens_at = fields.String(required=True)
    closes_at = fields.String(required=True)
    answered = fields.Boolean(required=True, metadata={"description": "what I answered is not known to anybody"})


class Surveys(schemas.Answer):
    items = fields.List(fields.Nested(SurveyShown), required=True)


@routes.get("/surveys")
@citizen()
@gives(Surveys)
def get_surveys(login: Login) -> Response:
    """Surveys that I am asked

    Anonymous. Results are shown after the end, by org-unit, and never for groups under five answers.
    """
    return answer({"items": [_shown(row) for row in surveys.for_person(login.person_id, now())]})


@routes.get("/surveys/<id:survey_id>")
@citizen()
@gives(SurveyShown)
@refuses(NOT_FOUND)
def get_survey(login: Login, survey_id: int) -> Response:
    """One survey"""
    return answer(_shown(surveys.one(survey_id, login.person_id, now())))


@routes.post("/surveys/<id:survey_id>/answers")
@citizen()
@takes(SurveyAnswers, example={"answers": {"overall": 5}})
@gives(None, status=204)
@refuses(NOT_FOUND, INVALID_FIELD, surveys.SURVEY_ANSWERED, surveys.SURVEY_CLOSED)
def answer_survey(login: Login, body: dict[str, Any], survey_id: int) -> Response:
    """Answer a survey

    Every question, once. An answer can't be looked up or changed: nothing says whose it is.
    """
    with transaction():
        surveys.answer(survey_id=survey_id, person_id=login.person_id, answers=body["answers"], at=now())
    return nothing()


def _shown(row: Any) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "program": row.program,
        "code": row.code,
        "name": either(row.name, row.name_en),
        "text": either(row.text_zh, row.text_en),
        "questions": [_question(one) for one in row.questions],
        "opens_at": when(row.opens_at),
        "closes_at": when(row.closes_at),
        "answered": row.answered,
    }


def _question(one: dict[str, Any]) -> dict[str, Any]:
    shown = {"key": one["key"], "kind": one["kind"], "text": either(one["zh"], one["en"])}
    if one["kind"] == "choice":
        shown["choices"] = [{"key": c["key"], "text": either(c["zh"], c["en"])} for c in one["choices"]]
    return shown
