"""What a scanned code or an opened link means."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import limits, scenes
from app.clock import now
from app.db import transaction
from app.errors import Refusal
from app.people import Login
from edge import schemas
from edge.answers import answer
from edge.routes import gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import when

routes = APIBlueprint("scenes", __name__, tag="Codes and links")


class Scene(schemas.Request):
    scene = schemas.Pattern(
        r"[0-9a-zA-Z\-_]{1,32}",
        expected="应为 decodeURIComponent(query.scene)|must be decodeURIComponent(query.scene)",
        required=True,
    )


class SceneShown(schemas.Answer):
    purpose = fields.String(required=True, metadata={"description": "invitation"})
    payload = fields.Dict(required=True, metadata={"description": "invitation: program, invitation (for joining)"})
    expires_at = fields.String(required=True)


@routes.post("/scenes/resolve")
@citizen()
@takes(Scene, example={"scene": "Zk3vX9q0T1s7Lw2uYb5Rn8Ae"})
@gives(SceneShown)
@refuses(scenes.SCENE_INVALID)
def resolve(login: Login, body: dict[str, Any]) -> Response:
    """What a code means

    Guessing is counted; a code that is used up, ended or never was answers alike.
    """
    limits.check(limits.WRONG_CODE, f"scene:{login.person_id}")
    try:
        with transaction():
            found = scenes.resolve(body["scene"], purpose=None, at=now())
            shown = {"purpose": found.purpose, "payload": found.payload, "expires_at": when(found.expires_at)}
    except Refusal:
        limits.take(limits.WRONG_CODE, f"scene:{login.person_id}")
        raise
    return answer(shown)
