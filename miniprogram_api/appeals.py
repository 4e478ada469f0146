"""My appeals: objecting to what became of an act, a post or a comment, and what was answered."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import appeals
from app.clock import now
from app.db import retrying, transaction
from app.errors import NOT_FOUND
from app.people import Login
from edge import schemas
from edge.answers import answer
from edge.paging import PageQuery, decode, page, paged
from edge.routes import asks, gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import when, when_or_none

routes = APIBlueprint("appeals", __name__, tag="Appeals")
REFUSALS = (NOT_FOUND, appeals.NOTHING_TO_APPEAL, appeals.APPEAL_TOO_LATE, appeals.APPEAL_DECIDED)


class Objection(schemas.Request):
    words = schemas.Text(longest=1000, lines=True, required=True)


class AppealShown(schemas.Answer):
    id = fields.String(required=True)
    kind = fields.String(required=True, metadata={"description": "record, post or comment"})
    object_id = fields.String(required=True)
    record_id = fields.String(required=True, allow_none=True)
    program = fields.String(required=True)
    round = fields.Integer(required=True, metadata={"description": "2: the second look, by somebody else"})
    words = fields.String(required=True)
    state = fields.String(required=True, metadata={"description": "open, granted or refused"})
    asked_at = fields.String(required=True)
    answer_due_at = fields.String(required=True)
    answer = fields.String(required=True, allow_none=True)
    answered_at = fields.String(required=True, allow_none=True)


@routes.post("/records/<id:record_id>/appeal")
@citizen()
@takes(Objection, example={"words": "当天确实乘坐了公交，有车票为证。"})
@gives(AppealShown, status=201)
@refuses(*REFUSALS)
def appeal_record(login: Login, body: dict[str, Any], record_id: int) -> Response:
    """Object to what became of an act

    Within 60 days of being told. Somebody who didn't decide it answers within ten days; while one is open, it is
    answered again (200). A refused one can be asked once more.
    """
    return asked("record", record_id, login.person_id, body["words"])


@routes.get("/appeals")
@citizen()
@asks(PageQuery)
@gives(paged("AppealPage", AppealShown))
def get_appeals(login: Login, query: dict[str, Any]) -> Response:
    """My appeals

    Newest first, with the answers.
    """
    before = decode(query["cursor"], 1)
    rows = appeals.of_person(login.person_id, before=before[0] if before else None, limit=query["limit"] + 1)
    return answer(page(rows, query["limit"], _shown, lambda row: (row.id,)))


@routes.get("/appeals/<id:appeal_id>")
@citizen()
@gives(AppealShown)
@refuses(NOT_FOUND)
def get_appeal(login: Login, appeal_id: int) -> Response:
    """One of my appeals"""
    return answer(_shown(appeals.one(appeal_id, login.person_id)))


def asked(kind: str, object_id: int, person_id: int, words: str) -> Response:
    """Open an appeal and answer with it: 201 when it is new."""

    def command() -> tuple[dict[str, Any], bool]:
        with transaction():
            made, fresh = appeals.ask(kind=kind, object_id=object_id, person_id=person_id, words=words, at=now())
            return _shown(appeals.one(made, person_id)), fresh

    shown, fresh = retrying(command)
    return answer(shown, 201 if fresh else 200)


def _shown(row: Any) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "kind": row.kind,
        "object_id": str(row.object_id),
        "record_id": None if row.record_id is None else str(row.record_id),
        "program": row.program,
        "round": row.round,
        "words": row.words,
        "state": row.state,
        "asked_at": when(row.asked_at),
        "answer_due_at": when(row.answer_due_at),
        "answer": row.answer,
        "answered_at": when_or_none(row.answered_at),
    }
