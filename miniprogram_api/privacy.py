"""A copy of all my data, and my deletion."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import limits, people, personal_data, recovery
from app.clock import now
from app.db import transaction
from app.errors import TOO_MANY
from app.people import Login
from edge import schemas
from edge.answers import answer, nothing
from edge.routes import gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import when

routes = APIBlueprint("privacy", __name__, tag="My data")


class Export(schemas.Answer):
    format = fields.String(required=True)
    as_of = fields.String(required=True)
    data = fields.Dict(required=True, metadata={"description": "one list per kind of data"})


class Loss(schemas.Answer):
    what = fields.String(
        required=True,
        metadata={
            "description": "credits, code, membership, unpaid_order, refund_under_way (fen; it still arrives), …"
        },
    )
    name = fields.String(required=True)
    program = fields.String()
    merchant = fields.String()
    source = fields.String()
    amount = fields.Integer()


class Losses(schemas.Answer):
    losses = fields.List(fields.Nested(Loss), required=True)
    seen = fields.String(required=True, metadata={"description": "send it back to confirm"})
    as_of = fields.String(required=True)


class Deletion(schemas.Request):
    seen = schemas.Pattern(
        r"[0-9a-f]{32}",
        expected="应为 GET /me/deletion 给出的 seen|must be `seen` of GET /me/deletion",
        required=True,
    )


@routes.get("/me/export")
@citizen(fresh=True)
@gives(Export)
@refuses(TOO_MANY)
def export(login: Login) -> Response:
    """A copy of my data

    Everything about me from one moment, nothing about others. Three times an hour.
    """
    limits.take(limits.EXPORT, str(login.person_id))
    found = answer(personal_data.export(login.person_id, now()))
    found.headers["Content-Disposition"] = 'attachment; filename="diandi.json"'
    found.headers["Cache-Control"] = "no-store"
    return found


@routes.get("/me/deletion")
@citizen()
@gives(Losses)
def get_deletion(login: Login) -> Response:
    """What deletion would cost me

    Look before `POST /me/deletion`, which names what was seen here.
    """
    at = now()
    losses, seen = personal_data.losses(login.person_id, at)
    return answer({"losses": losses, "seen": seen, "as_of": when(at)})


@routes.post("/me/deletion")
@citizen()
@takes(Deletion, example={"seen": "0123456789abcdef0123456789abcdef"})
@gives(None, status=204)
@refuses(personal_data.LOSSES_CHANGED, recovery.RECOVERY_WAITING)
def delete(login: Login, body: dict[str, Any]) -> Response:
    """Delete me

    Ends every login and erases identity, name and bindings. The ledger keeps its rows under a pseudonym that nobody can
    resolve. Who comes back is a new person.
    """
    with transaction():
        recovery.check_free(login.person_id)
        ended = personal_data.forget(person_id=login.person_id, seen=body["seen"], at=now())
    people.logins.evict(ended)
    return nothing()
