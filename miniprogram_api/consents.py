"""What I have agreed to, purpose by purpose; refusing one leaves everything else usable."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import people
from app.clock import now
from app.db import transaction
from app.errors import NOT_FOUND
from app.people import Login, Purpose
from app.people.consents import CONSENT_OUTDATED
from edge import schemas
from edge.answers import answer, nothing
from edge.routes import gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import either, when

routes = APIBlueprint("consents", __name__, tag="Consents")


class ConsentIn(schemas.Request):
    purpose = schemas.OneOf(*people.PURPOSES, required=True)
    version = schemas.Pattern(
        r"[0-9A-Za-z.\-]{1,20}", expected="应为说明的版本号|must be the version of the text", required=True
    )


class ConsentLine(schemas.Answer):
    purpose = fields.String(required=True)
    version = fields.String(required=True)
    text = fields.String(required=True, metadata={"description": "the words to agree to, in your language"})
    granted_at = fields.String(required=True, allow_none=True)
    outdated = fields.Boolean(required=True, metadata={"description": "agreed to an older text; still in force"})


class Consents(schemas.Answer):
    items = fields.List(fields.Nested(ConsentLine), required=True)


@routes.get("/me/consents")
@citizen()
@gives(Consents)
def get_consents(login: Login) -> Response:
    """My consents

    Every purpose, with its present text and whether I agreed. Nothing is agreed by default.
    """
    return answer(_all(login.person_id))


@routes.post("/me/consents")
@citizen()
@takes(ConsentIn, example={"purpose": "rides", "version": "2026-11"})
@gives(Consents)
@refuses(CONSENT_OUTDATED)
def agree(login: Login, body: dict[str, Any]) -> Response:
    """Agree to a purpose

    To the version whose text was shown. Again changes nothing.
    """
    with transaction():
        people.consents.agree(person_id=login.person_id, key=body["purpose"], version=body["version"], at=now())
        shown = _all(login.person_id)
    return answer(shown)


@routes.delete("/me/consents/<code:purpose>")
@citizen()
@gives(None, status=204)
@refuses(NOT_FOUND)
def withdraw(login: Login, purpose: str) -> Response:
    """Withdraw a consent

    Intake for that purpose stops at once; what is credited stays.
    """
    people.consents.purpose(purpose)
    with transaction():
        people.consents.withdraw(person_id=login.person_id, key=purpose, at=now())
    return nothing()


def _all(person_id: int) -> dict[str, Any]:
    live = {consent.purpose: consent for consent in people.consents.live_of(person_id) if consent.program_id is None}
    return {"items": [_line(purpose, live.get(purpose.key)) for purpose in people.PURPOSES.values()]}


def _line(purpose: Purpose, consent: people.Consent | None) -> dict[str, Any]:
    return {
        "purpose": purpose.key,
        "version": purpose.version,
        "text": either(purpose.zh, purpose.en),
        "granted_at": None if consent is None else when(consent.granted_at),
        "outdated": consent is not None and consent.text_hash != purpose.text_hash,
    }
