"""My acts: declaring one, what became of each, opening a credit, its file and certificate."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import openness, programs, records, sources, vehicles
from app.clock import now
from app.db import retrying, transaction
from app.errors import NOT_FOUND, STATE_CONFLICT
from app.people import CONSENT_REQUIRED, Login, logins
from app.records import CONTENT_CONFLICT, Act, Taken, checks, queries
from app.records.models import STATES
from edge import schemas
from edge.answers import LOGIN_REQUIRED, answer
from edge.paging import PageQuery, decode, page, paged
from edge.routes import asks, gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import either, translated, when

routes = APIBlueprint("records", __name__, tag="Records")

EXAMPLE = {
    "program": "rongcheng",
    "scenario": "bus-ride",
    "client_ref": "bus-20261120-1",
    "facts": {"distance_km": 8.5},
    "occurred_at": "2026-11-20T08:00:00+08:00",
    "ended_at": "2026-11-20T08:30:00+08:00",
}


class Declare(schemas.Request):
    program = schemas.code(required=True)
    scenario = schemas.code(required=True)
    client_ref = schemas.reference(required=True, metadata={"description": "my own reference; once per act"})
    facts = schemas.Facts(required=True, metadata={"description": "by the scenario's methodology, plus evidence"})
    occurred_at = schemas.Moment(required=True)
    ended_at = schemas.Moment(load_default=None, allow_none=True)
    vehicle_id = schemas.Id(load_default=None, allow_none=True, metadata={"description": "an id of `GET /vehicles`"})


class Why(schemas.Answer):
    code = fields.String(required=True)
    text = fields.String(required=True, metadata={"description": "in plain words, with what to do"})


class Declared(schemas.Answer):
    id = fields.String(required=True)
    state = fields.String(required=True, metadata={"description": ", ".join(STATES)})
    reason = fields.Nested(Why, required=True, allow_none=True)
    mg = fields.String(required=True, metadata={"description": "milligrams of CO2e avoided"})
    credits = fields.Integer(required=True)
    award_state = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "paid; pending until the budget has money; nothing below a whole credit"},
    )
    paid_in = fields.String(
        required=True, allow_none=True, metadata={"description": "another program of mine that pays this act"}
    )


class RecordsQuery(PageQuery):
    program = schemas.code(load_default=None)
    state = schemas.OneOf(*STATES, load_default=None)


class Line(Declared):
    program = fields.String(required=True)
    scenario = fields.String(required=True)
    name = fields.String(required=True)
    picture = fields.String(required=True)
    tier = fields.String(required=True, metadata={"description": "evidence, A (metered) to E (self-declared)"})
    occurred_at = fields.String(required=True)
    ended_at = fields.String(required=True)
    received_at = fields.String(required=True)


class Opened(schemas.Answer):
    record = fields.Dict(required=True)
    methodology = fields.Dict(required=True, allow_none=True)
    inputs = fields.Dict(required=True, allow_none=True)
    result = fields.Dict(required=True, allow_none=True)
    awards = fields.List(fields.Dict(), required=True)
    transfers = fields.List(fields.Dict(), required=True)
    why = fields.List(fields.Nested(Why), required=True, metadata={"description": "why it earned less or nothing"})
    can_appeal = fields.Boolean(required=True)


class CertificateShown(schemas.Answer):
    number = fields.String(required=True)
    issued_at = fields.String(required=True)
    path = fields.String(required=True, metadata={"description": "where anybody may check it, without signing in"})


@routes.post("/records")
@citizen(fresh=False)  # whether the login stands is asked below, for all who ride together
@takes(Declare, example=EXAMPLE)
@gives(Declared, status=201)
@refuses(
    NOT_FOUND,
    CONTENT_CONFLICT,
    CONSENT_REQUIRED,
    checks.UNKNOWN_SCENARIO,
    checks.PROGRAM_CLOSED,
    checks.BEFORE_PROGRAM,
    checks.IN_FUTURE,
    checks.TIME_IMPOSSIBLE,
    checks.SOURCE_NOT_ALLOWED,
    programs.NOT_A_MEMBER,
    checks.FACTS_INVALID,
    checks.NOT_YOUR_VEHICLE,
)
def declare(login: Login, body: dict[str, Any]) -> Response:
    """Declare an act of mine

    For scenarios that take self-declared acts. The same `client_ref` with the same content is answered with the first
    (200); with other content it is refused.
    """
    taken = together.take((login, _act(login.person_id, body)), _take)
    if taken.refusal is not None:  # after the commit, which keeps a conflict for review
        raise taken.refusal
    if taken.outcome == "duplicate":
        return answer(_standing(queries.line(taken.record_id or 0, login.person_id)), 200)
    return answer(_fresh(taken), 201)


together: records.Together[tuple[Login, Act], Taken] = records.Together()


def _take(fares: Sequence[tuple[Login, Act]]) -> list[Taken]:
    def command() -> list[Taken]:
        with transaction():
            at = now()
            standing = logins.standing([login for login, _ in fares], at=at)
            taken = iter(records.take_many([act for login, act in fares if login.session_id in standing], at=at))
            out = Taken("refused", refusal=LOGIN_REQUIRED())
            return [next(taken) if login.session_id in standing else out for login, _ in fares]

    return retrying(command)


@routes.get("/records")
@citizen()
@asks(RecordsQuery)
@gives(paged("RecordPage", Line))
@refuses(NOT_FOUND)
def get_records(login: Login, query: dict[str, Any]) -> Response:
    """My acts

    Newest first, of one program or all, in one state or all.
    """
    before = decode(query["cursor"], 1)
    rows = queries.of_person(
        login.person_id,
        before=before[0] if before else None,
        limit=query["limit"] + 1,
        program_id=programs.known(query["program"]).id if query["program"] else None,
        state=query["state"],
    )
    return answer(page(rows, query["limit"], _line, lambda row: (row.id,)))


@routes.get("/records/<id:record_id>")
@citizen()
@gives(Opened)
@refuses(NOT_FOUND)
def open_record(login: Login, record_id: int) -> Response:
    """Open a credit

    The act, its source and tier, the formula with its parameters and their sources, the result, conversion, budget and
    sponsor, lot and transfers; or why it earned less or nothing, and what to do.
    """
    return answer(translated(openness.opened(record_id=record_id, person_id=login.person_id)))


@routes.get("/records/<id:record_id>/file")
@citizen()
@gives({"type": "object"})
@refuses(NOT_FOUND)
def get_file(login: Login, record_id: int) -> Response:
    """The file of a credit

    In the format diandi.credit/1; `scripts/verify_credit.py` recomputes it offline. Names no person.
    """
    found = answer(openness.document(record_id=record_id, person_id=login.person_id))
    found.headers["Content-Disposition"] = f'attachment; filename="credit-{record_id}.json"'
    return found


@routes.post("/records/<id:record_id>/certificate")
@citizen()
@gives(CertificateShown)
@refuses(NOT_FOUND, STATE_CONFLICT)
def certify(login: Login, record_id: int) -> Response:
    """A numbered certificate of an act that counts

    Asked for again, it is the same one. Anybody may check the number; it names no person.
    """
    with transaction():
        made = openness.certify(record_id=record_id, person_id=login.person_id, at=now())
        shown = {"number": made.number, "issued_at": when(made.issued_at)}
    return answer({**shown, "path": f"/public/certificates/{made.number}"})


def _act(person_id: int, body: dict[str, Any]) -> Act:
    """What was declared, as an act of the program's own source for citizens."""
    program = programs.known(body["program"])
    return Act(
        program_id=program.id,
        scenario=body["scenario"],
        person_id=person_id,
        source_id=sources.id_of(program.id, "citizen"),
        reference=f"citizen:{person_id}:{body['client_ref']}",
        facts=body["facts"],
        occurred_at=body["occurred_at"],
        ended_at=body["ended_at"],
        subject=_subject(person_id, body["vehicle_id"], body["occurred_at"]),
    )


def _subject(person_id: int, binding_id: int | None, at: datetime) -> str | None:
    """The vehicle of one of my bindings; whether it was mine at that moment is the domain's question."""
    if binding_id is None:
        return None
    return f"vehicle:{vehicles.bound(binding_id=binding_id, person_id=person_id)}"


def _fresh(taken: Taken) -> dict[str, Any]:
    why = taken.reason
    return {
        "id": str(taken.record_id),
        "state": taken.state,
        "reason": None if why is None else {"code": why.code, "text": either(why.zh, why.en)},
        "mg": str(taken.mg),
        "credits": taken.credits if taken.paid_in is None else 0,
        "award_state": taken.award_state if taken.paid_in is None else None,
        "paid_in": None if taken.paid_in is None else programs.known_by_id(taken.paid_in).code,
    }


def _standing(row: Any) -> dict[str, Any]:
    why = row.reason_code and {"code": row.reason_code, "text": either(row.reason_zh, row.reason_en)}
    return {
        "id": str(row.id),
        "state": row.state,
        "reason": why or None,
        "mg": str(row.mg),
        "credits": row.credits,
        "award_state": row.award_state,
        "paid_in": row.paid_in,
    }


def _line(row: Any) -> dict[str, Any]:
    return {
        **_standing(row),
        "program": row.program,
        "scenario": row.scenario,
        "name": either(row.name, row.name_en),
        "picture": row.picture,
        "tier": row.tier,
        "occurred_at": when(row.occurred_at),
        "ended_at": when(row.ended_at),
        "received_at": when(row.received_at),
    }
