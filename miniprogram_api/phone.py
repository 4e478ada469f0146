"""My phone number, and the way back to an account whose phone is lost."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import limits, phones, recovery
from app.clock import now
from app.db import retrying, transaction
from app.errors import NOT_FOUND, STATE_CONFLICT, TOO_MANY
from app.people import Login
from courier import phones as courier_phones
from edge import schemas
from edge.answers import answer, nothing
from edge.routes import gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import when, when_or_none

routes = APIBlueprint("phone", __name__, tag="Phone")
# Each success costs money (reference: phone number costs).
ASKED = limits.Limit("phone-number", 5, 86_400)


class Code(schemas.Request):
    code = schemas.Pattern(
        r"[\x21-\x7e]{1,128}",
        expected="应为手机号授权按钮返回的 code|must be the code of WeChat's phone number button",
        required=True,
    )


class Phone(schemas.Answer):
    number = fields.String(required=True, allow_none=True, metadata={"description": "masked: 138******78"})
    bound_at = fields.String(required=True, allow_none=True)


class RecoveryLine(schemas.Answer):
    id = fields.String(required=True)
    about_me = fields.Boolean(required=True, metadata={"description": "somebody asks for my account: I can object"})
    state = fields.String(required=True, metadata={"description": "waiting, objected, refused or done"})
    asked_at = fields.String(required=True)
    ripe_at = fields.String(required=True, metadata={"description": "until then the owner can object"})
    ended_at = fields.String(required=True, allow_none=True)
    words = fields.String(required=True, allow_none=True)


class Recoveries(schemas.Answer):
    items = fields.List(fields.Nested(RecoveryLine), required=True)


EXAMPLE = {"code": "e31968a7f94cc5ee25fafc2aef2773f0bb8c3937b22520eb8ee345274d00c144"}


@routes.get("/me/phone")
@citizen()
@gives(Phone)
def get_phone(login: Login) -> Response:
    """My phone number

    Masked; null when none is bound.
    """
    return answer(_shown(phones.of_person(login.person_id)))


@routes.post("/me/phone")
@citizen()
@takes(Code, example=EXAMPLE)
@gives(Phone)
@refuses(courier_phones.PHONE_CODE_INVALID, courier_phones.IDENTITY_UNKNOWN, phones.PHONE_TAKEN, TOO_MANY)
def post_phone(login: Login, body: dict[str, Any]) -> Response:
    """Bind my phone number

    By the code of WeChat's button. Never needed to use the applet; it is the way back when the phone is lost.
    """
    limits.take(ASKED, str(login.person_id))
    _, found = courier_phones.number_of(login.person_id, body["code"])
    with transaction():
        bound = phones.bind(person_id=login.person_id, country=found.country, number=found.number, at=now())
    return answer(_shown(bound))


@routes.delete("/me/phone")
@citizen()
@gives(None, status=204)
@refuses(NOT_FOUND)
def delete_phone(login: Login) -> Response:
    """Unbind my phone number

    It is deleted.
    """
    with transaction():
        phones.unbind(person_id=login.person_id, at=now())
    return nothing()


@routes.get("/recovery")
@citizen()
@gives(Recoveries)
def get_recovery(login: Login) -> Response:
    """Recoveries that I asked for, or that are about my account"""
    return answer(_recoveries(login.person_id))


@routes.post("/recovery")
@citizen()
@takes(Code, example=EXAMPLE)
@gives(Recoveries, status=201)
@refuses(
    courier_phones.PHONE_CODE_INVALID,
    courier_phones.IDENTITY_UNKNOWN,
    recovery.RECOVERY_NOTHING,
    recovery.RECOVERY_OPEN,
    recovery.RECOVERY_OCCUPIED,
    TOO_MANY,
)
def post_recovery(login: Login, body: dict[str, Any]) -> Response:
    """Ask for my old account

    With a new WeChat identity that proves the bound phone number. Spending and codes are paused, the old identity is
    told and can object for 72 hours, then two of us decide.
    """
    limits.take(ASKED, str(login.person_id))
    app, found = courier_phones.number_of(login.person_id, body["code"])
    at = now()

    def command() -> dict[str, Any]:
        with transaction():
            recovery.ask(
                claimant_id=login.person_id, country=found.country, number=found.number, appid=app.appid, at=at
            )
            return _recoveries(login.person_id)

    return answer(retrying(command), 201)


@routes.post("/recovery/<id:recovery_id>/objection")
@citizen()
@gives(Recoveries)
@refuses(NOT_FOUND, STATE_CONFLICT)
def post_objection(login: Login, recovery_id: int) -> Response:
    """Object to a recovery of my account

    It ends at once, and credits can be spent again.
    """
    with transaction():
        recovery.object_to(recovery_id=recovery_id, person_id=login.person_id, at=now())
        shown = _recoveries(login.person_id)
    return answer(shown)


def _shown(bound: phones.Bound | None) -> dict[str, Any]:
    return {
        "number": None if bound is None else bound.masked,
        "bound_at": None if bound is None else when(bound.bound_at),
    }


def _recoveries(person_id: int) -> dict[str, Any]:
    return {
        "items": [
            {
                "id": str(row.id),
                "about_me": row.about_me,
                "state": row.state,
                "asked_at": when(row.asked_at),
                "ripe_at": when(row.ripe_at),
                "ended_at": when_or_none(row.ended_at),
                "words": row.words,
            }
            for row in recovery.of_person(person_id)
        ]
    }
