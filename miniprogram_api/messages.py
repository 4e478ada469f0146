"""Subscribe messages: which to ask for at a moment, and what was answered. Never a task, never rewarded (rule 5.21)."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

import courier
from app import messages, people
from app.clock import now
from app.db import transaction
from app.people import Login
from edge import schemas
from edge.answers import answer
from edge.routes import asks, gives, takes
from miniprogram_api.guards import citizen

routes = APIBlueprint("messages", __name__, tag="Messages")
MOST_AT_ONCE = 5


class Moment(schemas.Request):
    moment = schemas.OneOf(*messages.MOMENTS, load_default="settings")


class Template(schemas.Answer):
    name = fields.String(required=True)
    title = fields.String(required=True)
    template_id = fields.String(required=True, metadata={"description": "for wx.requestSubscribeMessage"})
    allowed = fields.Integer(required=True, metadata={"description": "messages that may still be sent"})


class Templates(schemas.Answer):
    items = fields.List(fields.Nested(Template), required=True)


class Answered(schemas.Request):
    template_id = schemas.Pattern(r"[A-Za-z0-9_\-]{1,64}", expected="应为模板编号|must be a template id", required=True)
    answer = schemas.OneOf("accept", "reject", "ban", "filter", required=True)


class Answers(schemas.Request):
    answers = schemas.Items(schemas.Inner(Answered), shortest=1, longest=MOST_AT_ONCE, required=True)


@routes.get("/messages/templates")
@citizen()
@asks(Moment)
@gives(Templates)
def get_templates(login: Login, query: dict[str, Any]) -> Response:
    """Messages to ask for at this moment

    After a tap or a payment, at most five at once. Refusing changes nothing: all of it stands in the inbox too.
    """
    return answer(_shown(login.person_id, messages.MOMENTS[query["moment"]]))


@routes.post("/messages/answers")
@citizen()
@takes(Answers, example={"answers": [{"template_id": "local-record", "answer": "accept"}]})
@gives(Templates)
def post_answers(login: Login, body: dict[str, Any]) -> Response:
    """What I answered to the popup

    Where WeChat pushes it to us itself, its own word counts and this one only switches off.
    """
    app = _app(login.person_id)
    with transaction():
        for one in body["answers"]:
            if one["template_id"] not in app.templates.values():
                continue
            known = {"person_id": login.person_id, "appid": app.appid, "template_id": one["template_id"], "at": now()}
            if one["answer"] == "ban":
                messages.refuse(**known)
            elif one["answer"] == "accept" and app.push is None:
                messages.allow(**known)
        shown = _shown(login.person_id, messages.MOMENTS["settings"])
    return answer(shown)


def _shown(person_id: int, names: tuple[str, ...]) -> dict[str, Any]:
    app = _app(person_id)
    allowed = messages.offered(person_id, app.appid)
    titles = {one.name: one.title for one in messages.TEMPLATES}
    return {
        "items": [
            {
                "name": name,
                "title": titles[name],
                "template_id": app.templates[name],
                "allowed": allowed.get(app.templates[name], 0),
            }
            for name in names
            if name in app.templates
        ]
    }


def _app(person_id: int) -> courier.App:
    """The mini-program that the person used last."""
    for identity in people.identities(person_id):
        found = courier.find(identity.appid)
        if found is not None:
            return found
    return courier.apps().main
