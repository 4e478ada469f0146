"""Welfare: projects that receive credits, and my gifts with their certificates."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import programs, welfare
from app.clock import now
from app.db import retrying, transaction
from app.errors import IDEMPOTENCY_CONFLICT, NOT_FOUND
from app.ledger import INSUFFICIENT
from app.people import Login
from edge import schemas
from edge.answers import answer, public_answer
from edge.guards import public
from edge.paging import PageQuery, decode, page, paged
from edge.routes import asks, gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import either, when

routes = APIBlueprint("welfare", __name__, tag="Welfare")


class Project(schemas.Answer):
    id = fields.String(required=True)
    code = fields.String(required=True)
    name = fields.String(required=True)
    text = fields.String(required=True)
    target_credits = fields.Integer(required=True)
    given_credits = fields.Integer(required=True)
    owed_fen = fields.Integer(required=True, metadata={"description": "what the sponsors of these credits owe it"})
    gifts = fields.Integer(required=True)
    state = fields.String(required=True, metadata={"description": "open or closed"})


class Projects(schemas.Answer):
    items = fields.List(fields.Nested(Project), required=True)


class Give(schemas.Request):
    project_id = schemas.Id(required=True)
    credits = schemas.Integer(least=1, most=1_000_000_000, required=True)
    client_ref = schemas.reference(required=True, metadata={"description": "my own reference; once per gift"})


class GiftShown(schemas.Answer):
    id = fields.String(required=True)
    program = fields.String(required=True)
    project_id = fields.String(required=True)
    project = fields.String(required=True)
    credits = fields.Integer(required=True)
    fen = fields.Integer(required=True, metadata={"description": "what the sponsors pay the project for it"})
    certificate_no = fields.String(required=True)
    certificate_path = fields.String(required=True, metadata={"description": "where anybody may check it"})
    given_at = fields.String(required=True)


@routes.get("/programs/<code:program>/welfare")
@public()
@gives(Projects)
@refuses(NOT_FOUND)
def get_projects(program: str) -> Response:
    """Welfare projects

    With what was given so far, and what the sponsors owe them for it.
    """

    def build() -> dict[str, Any]:
        return {"items": [_project(row) for row in welfare.projects_shown(programs.known(program).id)]}

    return public_answer(("welfare", program), build)


@routes.post("/gifts")
@citizen()
@takes(Give, example={"project_id": "3", "credits": 10, "client_ref": "gift-20261125-1"})
@gives(GiftShown, status=201)
@refuses(NOT_FOUND, IDEMPOTENCY_CONFLICT, INSUFFICIENT, welfare.PROJECT_CLOSED)
def give(login: Login, body: dict[str, Any]) -> Response:
    """Give credits to a project

    The sponsors of the credits pay their worth to the project. The same `client_ref` with the same content is answered
    with the first gift (200).
    """
    program_id, at = welfare.program_of(body["project_id"]), now()

    def command() -> tuple[dict[str, Any], bool]:
        with transaction():
            given = welfare.give(person_id=login.person_id, program_id=program_id, at=at, **body)
            return _gift(welfare.gift(given.gift.id, login.person_id)), given.fresh

    shown, fresh = retrying(command)
    return answer(shown, 201 if fresh else 200)


@routes.get("/gifts")
@citizen()
@asks(PageQuery)
@gives(paged("GiftPage", GiftShown))
def get_gifts(login: Login, query: dict[str, Any]) -> Response:
    """My gifts

    Newest first, each with its certificate.
    """
    before = decode(query["cursor"], 1)
    rows = welfare.gifts_of(login.person_id, before=before[0] if before else None, limit=query["limit"] + 1)
    return answer(page(rows, query["limit"], _gift, lambda row: (row.id,)))


def _project(row: Any) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "code": row.code,
        "name": either(row.name, row.name_en),
        "text": either(row.text_zh, row.text_en),
        "target_credits": row.target_credits,
        "given_credits": row.given_credits,
        "owed_fen": row.owed_fen,
        "gifts": row.gifts,
        "state": row.state,
    }


def _gift(row: Any) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "program": row.program,
        "project_id": str(row.project_id),
        "project": either(row.name, row.name_en),
        "credits": row.credits,
        "fen": row.fen,
        "certificate_no": row.certificate_no,
        "certificate_path": f"/public/gifts/{row.certificate_no}",
        "given_at": when(row.given_at),
    }
