"""My notices: what I am told, newest first."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import notices
from app.clock import now
from app.db import transaction
from app.people import Login
from edge import schemas
from edge.answers import answer, nothing
from edge.paging import PageQuery, decode, page, paged
from edge.routes import asks, gives, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import either, when, when_or_none

routes = APIBlueprint("notices", __name__, tag="Notices")


class NoticeShown(schemas.Answer):
    id = fields.String(required=True)
    kind = fields.String(required=True)
    text = fields.String(required=True)
    details = fields.Dict(required=True)
    created_at = fields.String(required=True)
    read_at = fields.String(required=True, allow_none=True)


class Read(schemas.Request):
    up_to = schemas.Id(required=True, metadata={"description": "this notice and all older ones"})


@routes.get("/notices")
@citizen()
@asks(PageQuery)
@gives(paged("NoticePage", NoticeShown))
def get_notices(login: Login, query: dict[str, Any]) -> Response:
    """My notices

    Newest first.
    """
    before = decode(query["cursor"], 1)
    rows = notices.of_person(login.person_id, before=before[0] if before else None, limit=query["limit"] + 1)
    return answer(page(rows, query["limit"], _show, lambda notice: (notice.id,)))


@routes.post("/notices/read")
@citizen()
@takes(Read, example={"up_to": "1"})
@gives(None, status=204)
def mark_read(login: Login, body: dict[str, Any]) -> Response:
    """Mark notices as read

    Up to and including one. Again changes nothing.
    """
    with transaction():
        notices.mark_read(person_id=login.person_id, up_to=body["up_to"], at=now())
    return nothing()


def _show(notice: Any) -> dict[str, Any]:
    return {
        "id": str(notice.id),
        "kind": notice.kind,
        "text": either(notice.zh, notice.en),
        "details": notice.details,
        "created_at": when(notice.created_at),
        "read_at": when_or_none(notice.read_at),
    }
