"""Welfare: projects that receive credits, and my gifts with their certificates."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import programs, records, recovery, welfare
from app.clock import now
from app.db import retrying, transaction
from app.errors import IDEMPOTENCY_CONFLICT, NOT_FOUND
from app.ledger import INSUFFICIENT
from app.people import Login
from edge import schemas
from edge.answers import answer, public_answer
from edge.guards import public
from edge.paging import PageQuery, decode, page, paged
from edge.pictures import picture
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
    state = fields.String(required=True, metadata={"description": "open, closed or failed"})
    kind = fields.String(required=True, metadata={"description": "tree, carbon_sink, school_kit or other"})
    over_rule = fields.String(required=True, metadata={"description": "what goes over the target: open, cap, overflow"})


class Projects(schemas.Answer):
    items = fields.List(fields.Nested(Project), required=True)


class MilestoneShown(schemas.Answer):
    position = fields.Integer(required=True)
    title = fields.String(required=True)
    planned_fen = fields.Integer(required=True)
    state = fields.String(required=True, metadata={"description": "planned, reached or failed"})
    reached_on = fields.String(required=True, allow_none=True)
    site = fields.String(required=True, allow_none=True)
    payee = fields.String(required=True, allow_none=True)
    photos = fields.List(fields.String(), required=True)


class PayoutShown(schemas.Answer):
    fen = fields.Integer(required=True)
    payee = fields.String(required=True)
    paid_on = fields.String(required=True)
    bank_reference = fields.String(required=True)
    evidence = fields.String(required=True, metadata={"description": "SHA-256 of the bank's receipt"})
    milestone = fields.Integer(required=True)
    plot = fields.String(required=True, allow_none=True)


class PlotShown(schemas.Answer):
    code = fields.String(required=True)
    place = fields.String(required=True)
    households = fields.Integer(required=True)
    carbon_kg = fields.Integer(required=True)
    price_fen = fields.Integer(required=True, metadata={"description": "a tonne"})
    income_fen = fields.Integer(required=True)
    per_household_fen = fields.Integer(required=True)


class MatchShown(schemas.Answer):
    sponsor = fields.String(required=True)
    rate_bps = fields.Integer(required=True)
    reserved_fen = fields.Integer(required=True)
    used_fen = fields.Integer(required=True)


class ProjectTrail(schemas.Answer):
    id = fields.String(required=True)
    program = fields.String(required=True)
    code = fields.String(required=True)
    name = fields.String(required=True)
    text = fields.String(required=True)
    kind = fields.String(required=True)
    over_rule = fields.String(required=True)
    overflow = fields.String(required=True, allow_none=True, metadata={"description": "the project that gets the rest"})
    state = fields.String(required=True)
    fail_reason = fields.String(required=True, allow_none=True)
    target_credits = fields.Integer(required=True)
    given_credits = fields.Integer(required=True, metadata={"description": "what stands"})
    returned_credits = fields.Integer(required=True)
    taken_credits = fields.Integer(required=True, metadata={"description": "of it corrected, as records were invalid"})
    gifts_fen = fields.Integer(required=True)
    matched_fen = fields.Integer(required=True)
    paid_fen = fields.Integer(required=True)
    returned_fen = fields.Integer(required=True)
    held_fen = fields.Integer(required=True)
    agrees = fields.Boolean(required=True, metadata={"description": "gifts + matched = held + paid + returned"})
    milestones = fields.List(fields.Nested(MilestoneShown), required=True)
    payouts = fields.List(fields.Nested(PayoutShown), required=True)
    plots = fields.List(fields.Nested(PlotShown), required=True)
    matches = fields.List(fields.Nested(MatchShown), required=True)


class EventShown(schemas.Answer):
    id = fields.String(required=True)
    code = fields.String(required=True)
    name = fields.String(required=True)
    held_on = fields.String(required=True)
    footprint_mg = fields.String(required=True)
    given_mg = fields.String(required=True)
    gifts = fields.Integer(required=True)
    state = fields.String(required=True)


class Events(schemas.Answer):
    items = fields.List(fields.Nested(EventShown), required=True)


class GiveGrams(schemas.Request):
    event_id = schemas.Id(required=True)
    mg = schemas.Integer(least=1, required=True, metadata={"description": "milligrams of CO2e"})
    client_ref = schemas.reference(required=True, metadata={"description": "my own reference; once per gift"})
    show_name = schemas.Boolean(load_default=False, metadata={"description": "my nickname stands on the certificate"})


class GramGiftShown(schemas.Answer):
    id = fields.String(required=True)
    program = fields.String(required=True)
    event_id = fields.String(required=True)
    event = fields.String(required=True)
    mg = fields.String(required=True)
    standing_mg = fields.String(required=True, metadata={"description": "less what was taken back with its record"})
    certificate_no = fields.String(required=True)
    certificate_path = fields.String(required=True)
    given_at = fields.String(required=True)


class GramGifts(schemas.Answer):
    items = fields.List(fields.Nested(GramGiftShown), required=True)


class PictureQuery(schemas.Request):
    format = schemas.OneOf("svg", "png", load_default="svg")


class Give(schemas.Request):
    project_id = schemas.Id(required=True)
    credits = schemas.Integer(least=1, most=1_000_000_000, required=True)
    client_ref = schemas.reference(required=True, metadata={"description": "my own reference; once per gift"})
    show_name = schemas.Boolean(load_default=False, metadata={"description": "my nickname stands on the certificate"})


class GiftShown(schemas.Answer):
    id = fields.String(required=True)
    program = fields.String(required=True)
    project_id = fields.String(required=True)
    project = fields.String(required=True)
    credits = fields.Integer(required=True)
    fen = fields.Integer(required=True, metadata={"description": "what the sponsors pay the project for it"})
    matched_fen = fields.Integer(required=True, metadata={"description": "what matching sponsors add"})
    returned_credits = fields.Integer(required=True)
    overflow_id = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "the gift that the rest went on as, to another project"},
    )
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
@refuses(NOT_FOUND, IDEMPOTENCY_CONFLICT, INSUFFICIENT, welfare.PROJECT_CLOSED, welfare.PROJECT_FULL)
def give(login: Login, body: dict[str, Any]) -> Response:
    """Give credits to a project

    The sponsors of the credits pay their worth to the project. What goes over its target follows the project's
    `over_rule`: the answer says how much was taken. The same `client_ref` with the same content is answered
    with the first gift (200).
    """
    program_id, at = welfare.program_of(body["project_id"]), now()

    def command() -> tuple[dict[str, Any], bool]:
        with transaction():
            given = welfare.give(person_id=login.person_id, program_id=program_id, at=at, **body)
            shown = _gift(welfare.gift(given.gift.id, login.person_id))
            return {**shown, "overflow_id": str(given.overflow.id) if given.overflow else None}, given.fresh

    shown, fresh = retrying(command)
    return answer(shown, 201 if fresh else 200)


@routes.get("/welfare/<id:project_id>")
@public()
@gives(ProjectTrail)
@refuses(NOT_FOUND)
def get_project(project_id: int) -> Response:
    """A welfare project and its money

    Milestones with their evidence, plots, matches, and every payment: what was given is held, paid out, or went back.
    """
    return public_answer(("project", project_id), lambda: _trail(welfare.trail(project_id)))


@routes.get("/programs/<code:program>/events")
@public()
@gives(Events)
@refuses(NOT_FOUND)
def get_events(program: str) -> Response:
    """Events that want to be neutral

    With their footprint and what was given so far.
    """

    def build() -> dict[str, Any]:
        return {"items": [_event(row) for row in welfare.events_shown(programs.known(program).id)]}

    return public_answer(("events", program), build)


@routes.post("/gifts/grams")
@citizen()
@takes(GiveGrams, example={"event_id": "3", "mg": 1_000_000, "client_ref": "grams-20261125-1", "show_name": False})
@gives(GramGiftShown, status=201)
@refuses(NOT_FOUND, IDEMPOTENCY_CONFLICT, welfare.EVENT_FULL, records.GRAMS_SHORT, recovery.RECOVERY_HOLD)
def give_grams(login: Login, body: dict[str, Any]) -> Response:
    """Give grams to an event

    My verified reductions (evidence tiers A to C) neutralise it; they are retired for good. Credits are not touched.
    """
    at = now()

    def command() -> tuple[dict[str, Any], bool]:
        with transaction():
            recovery.check_hold(login.person_id)
            made, fresh = welfare.give_grams(person_id=login.person_id, at=at, **body)
            return _gram_gift(welfare.gram_gift(made.id)), fresh

    shown, fresh = retrying(command)
    return answer(shown, 201 if fresh else 200)


@routes.get("/gifts/grams")
@citizen()
@gives(GramGifts)
def get_gram_gifts(login: Login) -> Response:
    """My gifts of grams

    Newest first.
    """
    return answer({"items": [_gram_gift(row) for row in welfare.gram_gifts_of(login.person_id)]})


@routes.get("/gifts/<id:gift_id>/certificate")
@citizen()
@asks(PictureQuery)
@gives({"type": "string", "format": "binary"}, mimetype="image/svg+xml")
@refuses(NOT_FOUND)
def get_certificate(login: Login, query: dict[str, Any], gift_id: int) -> Response:
    """The certificate of my gift as a picture

    SVG with every word, or PNG; its code leads to the page where anybody may check it.
    """
    found = welfare.document_of_gift(gift_id, login.person_id)
    if found is None:
        raise NOT_FOUND(gift=str(gift_id))
    return picture(found, query["format"])


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
        "kind": row.kind,
        "over_rule": row.over_rule,
    }


def _trail(found: dict[str, Any]) -> dict[str, Any]:
    plain = ("program", "code", "kind", "over_rule", "state", "fail_reason", "target_credits", "given_credits")
    sums = ("returned_credits", "taken_credits", "gifts_fen", "matched_fen", "paid_fen", "returned_fen", "held_fen")
    return {
        "id": str(found["id"]),
        **{name: found[name] for name in (*plain, *sums, "agrees")},
        "name": either(found["name"], found["name_en"]),
        "text": either(found["text_zh"], found["text_en"]),
        "overflow": found["overflow_code"],
        "milestones": [_milestone(one) for one in found["milestones"]],
        "payouts": [
            {
                **{name: one[name] for name in ("fen", "payee", "bank_reference", "evidence", "plot")},
                "paid_on": one["paid_on"].isoformat(),
                "milestone": one["position"],
            }
            for one in found["payouts"]
        ],
        "plots": found["plots"],
        "matches": [
            {
                **{name: one[name] for name in ("rate_bps", "reserved_fen", "used_fen")},
                "sponsor": either(one["name"], one["name_en"]),
            }
            for one in found["matches"]
        ],
    }


def _milestone(one: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: one[name] for name in ("position", "planned_fen", "state", "site", "payee")},
        "title": either(one["title"], one["title_en"]),
        "reached_on": one["reached_on"].isoformat() if one["reached_on"] else None,
        "photos": [f"/public/welfare/photos/{photo}" for photo in one["photos"] if one["state"] == "reached"],
    }


def _event(row: Any) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "code": row.code,
        "name": either(row.name, row.name_en),
        "held_on": row.held_on.isoformat(),
        "footprint_mg": str(row.footprint_mg),
        "given_mg": str(row.given_mg),
        "gifts": row.gifts,
        "state": row.state,
    }


def _gram_gift(row: Any) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "program": row.program,
        "event_id": str(row.event_id),
        "event": either(row.name, row.name_en),
        "mg": str(row.mg),
        "standing_mg": str(row.standing_mg),
        "certificate_no": row.certificate_no,
        "certificate_path": f"/public/gifts/{row.certificate_no}",
        "given_at": when(row.given_at),
    }


def _gift(row: Any) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "program": row.program,
        "project_id": str(row.project_id),
        "project": either(row.name, row.name_en),
        "credits": row.credits,
        "fen": row.fen,
        "matched_fen": row.matched_fen,
        "returned_credits": row.returned_credits,
        "overflow_id": None,
        "certificate_no": row.certificate_no,
        "certificate_path": f"/public/gifts/{row.certificate_no}",
        "given_at": when(row.given_at),
    }
