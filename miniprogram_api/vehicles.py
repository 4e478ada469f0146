"""My vehicles and my accounts at partners: what is bound is recorded by itself, and unbinding ends it."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import people, programs, scenarios, sources, vehicles
from app.clock import now
from app.db import transaction
from app.errors import INVALID_FIELD, NOT_FOUND
from app.people import CONSENT_REQUIRED, Login
from edge import schemas
from edge.answers import answer, nothing, public_answer
from edge.guards import public
from edge.language import pick
from edge.routes import gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import when

routes = APIBlueprint("vehicles", __name__, tag="Vehicles and accounts")


class Bind(schemas.Request):
    vin = schemas.Pattern(
        r"[A-HJ-NPR-Z0-9O]{16,17}",
        expected="应为 17 位车架号（大写）|must be a VIN of 17 capital letters and digits",
        load_default=None,
        metadata={"description": "or `plate`"},
    )
    plate = schemas.Pattern(
        r"[\u4e00-\u9fa5][A-Z][A-Z0-9]{5,6}",
        expected="应为车牌号，如 川A12345|must be a plate such as 川A12345",
        load_default=None,
        metadata={"description": "instead of `vin`"},
    )
    fuel = schemas.OneOf(*vehicles.FUELS, required=True)


class VehicleShown(schemas.Answer):
    id = fields.String(required=True)
    hint = fields.String(required=True, metadata={"description": "the last characters; the rest is not kept"})
    fuel = fields.String(required=True)
    earns_by = fields.String(required=True, metadata={"description": "mileage, or charging until mileage arrives"})
    bound_at = fields.String(required=True)


class Vehicles(schemas.Answer):
    items = fields.List(fields.Nested(VehicleShown), required=True)


class PartnerLine(schemas.Answer):
    code = fields.String(required=True)
    name = fields.String(required=True)


class Partners(schemas.Answer):
    items = fields.List(fields.Nested(PartnerLine), required=True)


class BindAccount(schemas.Request):
    program = schemas.code(required=True)
    partner = schemas.code(required=True)
    account = schemas.Pattern(
        r"[\x21-\x7e]{4,128}",
        expected="应为 4–128 位账号或卡号|must be an account or card number of 4 to 128 characters",
        required=True,
        metadata={"description": "as the partner names me, or its hash; kept as a keyed hash only"},
    )


class AccountShown(schemas.Answer):
    id = fields.String(required=True)
    program = fields.String(required=True)
    partner = fields.String(required=True)
    name = fields.String(required=True)
    hint = fields.String(required=True, metadata={"description": "the last four characters"})
    bound_at = fields.String(required=True)


class Accounts(schemas.Answer):
    items = fields.List(fields.Nested(AccountShown), required=True)


@routes.get("/vehicles")
@citizen()
@gives(Vehicles)
def get_vehicles(login: Login) -> Response:
    """My vehicles"""
    return answer({"items": [_vehicle(*row) for row in vehicles.of_person(login.person_id)]})


@routes.post("/vehicles")
@citizen()
@takes(Bind, example={"plate": "川A12345", "fuel": "bev"})
@gives(VehicleShown, status=201)
@refuses(CONSENT_REQUIRED, vehicles.VEHICLE_TAKEN)
def bind_vehicle(login: Login, body: dict[str, Any]) -> Response:
    """Bind a vehicle

    By VIN or plate; needs the consent `vehicle`. From now on what it drives or charges is recorded for me. Bound
    already, it is answered again (200).
    """
    given = [name for name in ("vin", "plate") if body[name] is not None]
    if len(given) != 1:
        expected = pick("vin 与 plate 填写其一|give either vin or plate")
        raise INVALID_FIELD(fields=[{"field": "vin", "expected": expected}])
    people.require_consent(login.person_id, "vehicle")
    at = now()
    with transaction():
        before = {binding.id for binding, _ in vehicles.of_person(login.person_id)}
        vehicle_id = vehicles.register(vin=body[given[0]], fuel=body["fuel"])
        made = vehicles.bind(vehicle_id=vehicle_id, person_id=login.person_id, at=at)
        shown = next(_vehicle(*row) for row in vehicles.of_person(login.person_id) if row[0].id == made)
    return answer(shown, 200 if made in before else 201)


@routes.delete("/vehicles/<id:vehicle_id>")
@citizen()
@gives(None, status=204)
@refuses(NOT_FOUND)
def unbind_vehicle(login: Login, vehicle_id: int) -> Response:
    """Unbind a vehicle

    What it does from now on is not mine; what was credited stays. Again changes nothing.
    """
    with transaction():
        vehicles.unbind(binding_id=vehicle_id, person_id=login.person_id, at=now())
    return nothing()


@routes.get("/programs/<code:program>/partners")
@public()
@gives(Partners)
@refuses(NOT_FOUND)
def get_partners(program: str) -> Response:
    """Partners of a program

    Whose accounts can be bound, so that rides, charges and the like are recorded by themselves.
    """

    def build() -> dict[str, Any]:
        rows = sources.partners(programs.known(program).id)
        return {"items": [{"code": row.code, "name": row.name} for row in rows]}

    return public_answer(("partners", program), build)


@routes.get("/accounts")
@citizen()
@gives(Accounts)
def get_accounts(login: Login) -> Response:
    """My accounts at partners"""
    return answer({"items": _accounts(login.person_id)})


@routes.post("/accounts")
@citizen()
@takes(BindAccount, example={"program": "rongcheng", "partner": "bus", "account": "6217-0001-4242"})
@gives(AccountShown, status=201)
@refuses(NOT_FOUND, CONSENT_REQUIRED, sources.ACCOUNT_TAKEN)
def bind_account(login: Login, body: dict[str, Any]) -> Response:
    """Bind an account

    Needs a consent to what the program's partners report (such as `rides`). Bound already, it is answered again (200).
    """
    program = programs.known(body["program"])
    if body["partner"] not in [row.code for row in sources.partners(program.id)]:
        raise NOT_FOUND(partner=body["partner"])
    _require_consent(login.person_id, program.id)
    with transaction():
        before = {one["id"] for one in _accounts(login.person_id)}
        made = sources.bind_account(
            source_id=sources.id_of(program.id, body["partner"]),
            person_id=login.person_id,
            account=body["account"],
            at=now(),
        )
        shown = next(one for one in _accounts(login.person_id) if one["id"] == str(made.id))
    return answer(shown, 200 if shown["id"] in before else 201)


@routes.delete("/accounts/<id:account_id>")
@citizen()
@gives(None, status=204)
@refuses(NOT_FOUND)
def unbind_account(login: Login, account_id: int) -> Response:
    """Unbind an account

    Rides after this moment are not mine; what was credited stays. Again changes nothing.
    """
    with transaction():
        sources.unbind_account(binding_id=account_id, person_id=login.person_id, at=now())
    return nothing()


def _require_consent(person_id: int, program_id: int) -> None:
    """One of the purposes for which this program's partners report; each act asks for its own again."""
    offered = scenarios.listing(program_id)
    purposes = sorted({one.consent_purpose for one in offered if one.consent_purpose and "partner" in one.source_kinds})
    if purposes and not any(people.has_consent(person_id, purpose) for purpose in purposes):
        raise CONSENT_REQUIRED(purpose=purposes[0], purposes=purposes)


def _vehicle(binding: vehicles.VehicleBinding, vehicle: vehicles.Vehicle) -> dict[str, Any]:
    return {
        "id": str(binding.id),
        "hint": vehicle.hint,
        "fuel": vehicle.fuel,
        "earns_by": "charging" if vehicle.mileage_from is None else "mileage",
        "bound_at": when(binding.bound_at),
    }


def _accounts(person_id: int) -> list[dict[str, Any]]:
    return [
        {
            "id": str(row.id),
            "program": row.program,
            "partner": row.partner,
            "name": row.partner_name,
            "hint": row.hint,
            "bound_at": when(row.bound_at),
        }
        for row in sources.accounts_of(person_id)
    ]
