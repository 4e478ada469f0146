"""Programs: browsing before sign-in, joining, leaving."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import people, programs, scenarios, teams
from app.clock import now
from app.db import transaction
from app.errors import NOT_FOUND, TOO_MANY
from app.people import Login
from app.people.consents import CONSENT_OUTDATED
from app.programs import OrgUnit, Pass, Program, Terms, joining
from app.scenarios import Scenario
from edge import schemas
from edge.answers import answer, nothing, public_answer
from edge.guards import public
from edge.paging import PageQuery, decode, page, paged
from edge.routes import asks, gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import either, when, when_or_none

routes = APIBlueprint("programs", __name__, tag="Programs")
FEWEST_SHOWN = 5


class ProgramLine(schemas.Answer):
    code = fields.String(required=True)
    kind = fields.String(required=True)
    name = fields.String(required=True)
    intro = fields.String(required=True)
    region = fields.String(required=True)
    joining = fields.String(required=True, metadata={"description": "open, invitation, roster or approval"})
    starts_on = fields.String(required=True)
    state = fields.String(required=True)


class TermsShown(schemas.Answer):
    version = fields.Integer(required=True)
    effective_at = fields.String(required=True)
    text = fields.String(required=True)
    credits_per_kg = fields.Integer(required=True)
    price_fen = fields.Integer(required=True, metadata={"description": "what 1,000 credits cost a sponsor"})
    tier_bps = fields.Dict(required=True, metadata={"description": "share of the credits by evidence tier, of 10000"})
    lot_months = fields.Integer(required=True)
    daily_credits_cap = fields.Integer(required=True, allow_none=True)


class ScenarioShown(schemas.Answer):
    code = fields.String(required=True)
    name = fields.String(required=True)
    text = fields.String(required=True)
    picture = fields.String(required=True)
    methodology = fields.String(required=True)
    source_kinds = fields.Dict(required=True, metadata={"description": "who may report it, with the evidence tier"})
    caps = fields.Dict(required=True, metadata={"description": "whole credits per person and period"})
    consent = fields.String(required=True, allow_none=True, metadata={"description": "purpose that needs consent"})


class UnitShown(schemas.Answer):
    code = fields.String(required=True)
    name = fields.String(required=True)
    kind = fields.String(required=True)
    parent = fields.String(required=True, allow_none=True)


class ProgramShown(ProgramLine):
    members = fields.Integer(required=True, allow_none=True, metadata={"description": "null below five"})
    terms = fields.Nested(TermsShown, required=True)
    scenarios = fields.List(fields.Nested(ScenarioShown), required=True)
    org_units = fields.List(fields.Nested(UnitShown), required=True)


class RosterLine(schemas.Request):
    number = schemas.Text(longest=64, required=True)
    pin = schemas.Text(longest=64, required=True)


class Join(schemas.Request):
    terms_version = schemas.Integer(least=1, most=1_000_000, required=True)
    invitation = schemas.Text(longest=40, metadata={"description": "an invitation code"})
    roster = schemas.Inner(RosterLine, metadata={"description": "my line of the roster"})
    org_unit = schemas.code(metadata={"description": "where a program lets me choose"})


class AgreeTerms(schemas.Request):
    terms_version = schemas.Integer(least=1, most=1_000_000, required=True)


class Joined(schemas.Answer):
    program = fields.String(required=True)
    state = fields.String(required=True, metadata={"description": "active, or pending until somebody approves"})
    joined_at = fields.String(required=True, allow_none=True)


@routes.get("/programs")
@public()
@asks(PageQuery)
@gives(paged("ProgramPage", ProgramLine))
def get_programs(query: dict[str, Any]) -> Response:
    """Programs

    Everybody may look, before any sign-in.
    """
    after, limit = decode(query["cursor"], 1), query["limit"]

    def build() -> dict[str, Any]:
        rows = programs.listed(after=after[0] if after else None, limit=limit + 1)
        return page(rows, limit, _line, lambda program: (program.id,))

    return public_answer(("programs", after, limit), build)


@routes.get("/programs/<code:program>")
@public()
@gives(ProgramShown)
@refuses(NOT_FOUND)
def get_program(program: str) -> Response:
    """One program

    With the terms in force, what it offers and its org-units.
    """
    return public_answer(("program", program), lambda: _page(programs.by_code(program)))


@routes.post("/programs/<code:program>/join")
@citizen()
@takes(Join, example={"terms_version": 1})
@gives(Joined)
@refuses(
    NOT_FOUND,
    CONSENT_OUTDATED,
    joining.ALREADY_MEMBER,
    joining.PROGRAM_RETIRED,
    joining.INVITATION_REQUIRED,
    joining.INVITATION_INVALID,
    joining.ROSTER_REQUIRED,
    joining.ROSTER_MISMATCH,
    TOO_MANY,
)
def join(login: Login, body: dict[str, Any], program: str) -> Response:
    """Join a program

    Agrees to the terms version that was shown. Freely, by invitation code, by a line of the roster, or by asking and
    waiting for approval, as the program has it.
    """
    roster = body.get("roster") or {}
    shown = Pass(
        invitation=body.get("invitation"),
        roster_number=roster.get("number"),
        roster_pin=roster.get("pin"),
        org_unit=body.get("org_unit"),
    )
    with transaction():
        people.require_of_age(login.person_id)
        member = people.join_program(
            person_id=login.person_id,
            program=programs.by_code(program),
            terms_version=body["terms_version"],
            shown=shown,
            at=now(),
        )
        done = {"program": program, "state": member.state, "joined_at": when_or_none(member.joined_at)}
    return answer(done)


@routes.delete("/programs/<code:program>/membership")
@citizen()
@gives(None, status=204)
@refuses(NOT_FOUND)
def leave(login: Login, program: str) -> Response:
    """Leave a program

    Or take a request back. What was earned stays and can be spent.
    """
    with transaction():
        left, at = programs.by_code(program), now()
        people.leave_program(person_id=login.person_id, program=left, at=at)
        teams.leave_all(person_id=login.person_id, program_id=left.id, at=at)
    return nothing()


@routes.post("/programs/<code:program>/terms")
@citizen()
@takes(AgreeTerms, example={"terms_version": 1})
@gives(None, status=204)
@refuses(NOT_FOUND, CONSENT_OUTDATED)
def agree_to_terms(login: Login, body: dict[str, Any], program: str) -> Response:
    """Agree to new terms

    When a program's terms have changed. Again changes nothing.
    """
    with transaction():
        people.agree_to_terms(
            person_id=login.person_id,
            program=programs.by_code(program),
            terms_version=body["terms_version"],
            at=now(),
        )
    return nothing()


def _page(program: Program) -> dict[str, Any]:
    members = programs.member_count(program.id)
    units = programs.org_units(program.id)
    codes = {unit.id: unit.code for unit in units}
    return {
        **_line(program),
        "members": members if members >= FEWEST_SHOWN else None,
        "terms": _terms(programs.terms_in_force(program.id, now())),
        "scenarios": [_scenario(one) for one in scenarios.listing(program.id)],
        "org_units": [_unit(unit, codes) for unit in units],
    }


def _line(program: Program) -> dict[str, Any]:
    return {
        "code": program.code,
        "kind": program.kind,
        "name": either(program.name, program.name_en),
        "intro": either(program.intro, program.intro_en),
        "region": program.region,
        "joining": program.joining,
        "starts_on": program.starts_on.isoformat(),
        "state": program.state,
    }


def _terms(terms: Terms) -> dict[str, Any]:
    return {
        "version": terms.version,
        "effective_at": when(terms.effective_at),
        "text": either(terms.text_zh, terms.text_en),
        "credits_per_kg": terms.credits_per_kg,
        "price_fen": terms.price_fen,
        "tier_bps": terms.tier_bps,
        "lot_months": terms.lot_months,
        "daily_credits_cap": terms.daily_credits_cap,
    }


def _scenario(scenario: Scenario) -> dict[str, Any]:
    return {
        "code": scenario.code,
        "name": either(scenario.name, scenario.name_en),
        "text": either(scenario.text_zh, scenario.text_en),
        "picture": scenario.picture,
        "methodology": scenario.methodology,
        "source_kinds": scenario.source_kinds,
        "caps": scenario.caps,
        "consent": scenario.consent_purpose,
    }


def _unit(unit: OrgUnit, codes: dict[int, str]) -> dict[str, Any]:
    return {
        "code": unit.code,
        "name": either(unit.name, unit.name_en),
        "kind": unit.kind,
        "parent": None if unit.parent_id is None else codes[unit.parent_id],
    }
