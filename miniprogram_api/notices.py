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
    topic = fields.String(required=True, metadata={"description": ", ".join(notices.TOPICS)})
    text = fields.String(required=True)
    details = fields.Dict(required=True)
    created_at = fields.String(required=True)
    read_at = fields.String(required=True, allow_none=True)


class NoticesQuery(PageQuery):
    topic = schemas.OneOf(*notices.TOPICS, load_default=None)
    unread = schemas.OneOf("true", "false", load_default="false")


class Summary(schemas.Answer):
    unread = fields.Integer(required=True)
    topics = fields.Dict(required=True, metadata={"description": "how many of each topic are unread"})


class Choice(schemas.Request):
    muted = schemas.Items(
        schemas.OneOf(*(topic for topic in notices.TOPICS if topic not in notices.ESSENTIAL)),
        longest=20,
        required=True,
        metadata={"description": "topics that stay in the inbox and are never told by message"},
    )
    quiet_from = schemas.Integer(least=0, most=23, required=True, metadata={"description": "hour in Shanghai"})
    quiet_until = schemas.Integer(least=0, most=23, required=True, metadata={"description": "the same: no quiet hours"})


class ChoiceShown(schemas.Answer):
    muted = fields.List(fields.String(), required=True)
    quiet_from = fields.Integer(required=True)
    quiet_until = fields.Integer(required=True)
    topics = fields.List(fields.String(), required=True)


class Read(schemas.Request):
    up_to = schemas.Id(required=True, metadata={"description": "this notice and all older ones"})


@routes.get("/notices")
@citizen()
@asks(NoticesQuery)
@gives(paged("NoticePage", NoticeShown))
def get_notices(login: Login, query: dict[str, Any]) -> Response:
    """My notices

    Newest first; of one topic, or only what is unread.
    """
    before = decode(query["cursor"], 1)
    rows = notices.of_person(
        login.person_id,
        before=before[0] if before else None,
        limit=query["limit"] + 1,
        topic=query["topic"],
        unread=query["unread"] == "true",
    )
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


@routes.get("/notices/summary")
@citizen()
@gives(Summary)
def get_summary(login: Login) -> Response:
    """How many notices are unread

    In all and by topic: for the red dot.
    """
    found = notices.unread(login.person_id)
    return answer({"unread": sum(found.values()), "topics": found})


@routes.get("/notices/settings")
@citizen()
@gives(ChoiceShown)
def get_choice(login: Login) -> Response:
    """How I am told

    The inbox gets everything; messages in WeChat come where I allow them, never for muted topics nor in quiet hours.
    """
    return answer(_choice(login.person_id))


@routes.put("/notices/settings")
@citizen()
@takes(Choice, example={"muted": ["community"], "quiet_from": 21, "quiet_until": 9})
@gives(ChoiceShown)
def put_choice(login: Login, body: dict[str, Any]) -> Response:
    """Choose how I am told

    What concerns the account itself can't be muted.
    """
    with transaction():
        notices.choose(person_id=login.person_id, at=now(), **body)
        shown = _choice(login.person_id)
    return answer(shown)


def _choice(person_id: int) -> dict[str, Any]:
    found = notices.choice(person_id)
    return {
        "muted": list(found.muted),
        "quiet_from": found.quiet_from,
        "quiet_until": found.quiet_until,
        "topics": list(notices.TOPICS),
    }


def _show(notice: Any) -> dict[str, Any]:
    return {
        "id": str(notice.id),
        "kind": notice.kind,
        "topic": notices.topic_of(notice.kind),
        "text": either(notice.zh, notice.en),
        "details": notice.details,
        "created_at": when(notice.created_at),
        "read_at": when_or_none(notice.read_at),
    }
