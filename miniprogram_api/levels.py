"""My level, my badges, and my year: the personal carbon report."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import levels, programs
from app.clock import business_day, now
from app.errors import NOT_FOUND
from app.people import Login
from edge import schemas
from edge.answers import answer
from edge.routes import gives, refuses
from miniprogram_api.guards import citizen
from miniprogram_api.show import either, when, when_or_none

routes = APIBlueprint("levels", __name__, tag="Levels and badges")
LEAST_YEAR = 2020


class LevelShown(schemas.Answer):
    level = fields.Integer(required=True)
    code = fields.String(required=True)
    name = fields.String(required=True)
    mg = fields.String(required=True, metadata={"description": "of twelve months, from which it is reached"})
    boost_percent = fields.Integer(required=True, metadata={"description": "more credits for each act"})
    bonus = fields.Integer(required=True, metadata={"description": "credits, once"})
    privileges = fields.List(fields.String(), required=True)


class BadgeShown(schemas.Answer):
    code = fields.String(required=True)
    name = fields.String(required=True)
    rule = fields.String(required=True, metadata={"description": "acts, days, grams, streak, prizes or level"})
    least = fields.String(required=True, metadata={"description": "how much of it; grams in mg"})
    scenario = fields.String(required=True, allow_none=True)
    earned_at = fields.String(required=True, allow_none=True)


class LevelChangeShown(schemas.Answer):
    at = fields.String(required=True)
    from_level = fields.Integer(required=True)
    to_level = fields.Integer(required=True)
    cause = fields.String(required=True, metadata={"description": "earned, aged, reversed or rules"})


class MyLevel(schemas.Answer):
    level = fields.Integer(required=True, metadata={"description": "0 below the first"})
    since = fields.String(required=True, allow_none=True)
    mg = fields.String(required=True, metadata={"description": "of the twelve months up to and with this one"})
    current = fields.Nested(LevelShown, required=True, allow_none=True)
    next = fields.Nested(LevelShown, required=True, allow_none=True)
    missing_mg = fields.String(required=True, allow_none=True)
    levels = fields.List(fields.Nested(LevelShown), required=True)
    badges = fields.List(fields.Nested(BadgeShown), required=True)
    changes = fields.List(fields.Nested(LevelChangeShown), required=True)


class YearPart(schemas.Answer):
    key = fields.String(required=True, metadata={"description": "a scenario's code, a month, or an evidence tier"})
    name = fields.String(required=True)
    acts = fields.Integer(required=True)
    mg = fields.String(required=True)


class YearChallenge(schemas.Answer):
    code = fields.String(required=True)
    name = fields.String(required=True)
    rank = fields.Integer(required=True, allow_none=True)
    credits = fields.Integer(required=True)


class YearCredits(schemas.Answer):
    earned = fields.Integer(required=True)
    taken_back = fields.Integer(required=True)
    given = fields.Integer(required=True)
    expired = fields.Integer(required=True)


class CarbonReport(schemas.Answer):
    program = fields.String(required=True)
    year = fields.Integer(required=True)
    complete = fields.Boolean(required=True, metadata={"description": "the year is over"})
    acts = fields.Integer(required=True)
    mg = fields.String(required=True)
    scenarios = fields.List(fields.Nested(YearPart), required=True)
    months = fields.List(fields.Nested(YearPart), required=True)
    tiers = fields.List(fields.Nested(YearPart), required=True)
    credits = fields.Nested(YearCredits, required=True)
    level = fields.Integer(required=True)
    badges = fields.List(fields.String(), required=True)
    challenges = fields.List(fields.Nested(YearChallenge), required=True)
    trees = fields.Integer(required=True)


@routes.get("/programs/<code:program>/level")
@citizen()
@gives(MyLevel)
@refuses(NOT_FOUND)
def get_level(login: Login, program: str) -> Response:
    """My level and badges in a program

    Levels count the grams of twelve months. They rise with the act and fall on the first of a month, or with acts that
    are taken back.
    """
    found = levels.standing(programs.known(program).id, login.person_id, at=now())
    if found is None:
        raise NOT_FOUND(levels="this program has none")
    following = found["next"]
    return answer(
        {
            "level": found["level"],
            "since": when_or_none(found["since"]),
            "mg": str(found["mg"]),
            "current": _level(found["current"]),
            "next": _level(following),
            "missing_mg": None if following is None else str(max(following["mg"] - found["mg"], 0)),
            "levels": [_level(one) for one in found["levels"]],
            "badges": [_badge(one) for one in found["badges"]],
            "changes": [
                {"at": when(row.at), "from_level": row.from_level, "to_level": row.to_level, "cause": row.cause}
                for row in found["changes"]
            ],
        }
    )


@routes.get("/programs/<code:program>/reports/<code:year>")
@citizen()
@gives(CarbonReport)
@refuses(NOT_FOUND)
def get_report(login: Login, program: str, year: str) -> Response:
    """My carbon report of a year

    From my records as they stand now: grams and acts by scenario, month and evidence tier, credits, level, badges,
    challenges, trees.
    """
    this_year = business_day(now()).year
    wanted = int(year) if len(year) == 4 and year.isdecimal() else 0
    if not LEAST_YEAR <= wanted <= this_year:
        raise NOT_FOUND(year=year)
    found = levels.year_report(programs.known(program).id, login.person_id, year=wanted)
    credits = found["credits"][0]
    return answer(
        {
            "program": program,
            "year": wanted,
            "complete": wanted < this_year,
            "acts": sum(row.acts for row in found["tiers"]),
            "mg": str(sum(row.mg for row in found["tiers"])),
            "scenarios": [_part(row, row.code, either(row.name, row.name_en)) for row in found["scenarios"]],
            "months": [_part(row, row.month, row.month) for row in found["months"]],
            "tiers": [_part(row, row.tier, row.tier) for row in found["tiers"]],
            "credits": {name: int(getattr(credits, name)) for name in ("earned", "taken_back", "given", "expired")},
            "level": found["level"][0].level if found["level"] else 0,
            "badges": [row.code for row in found["badges"]],
            "challenges": [
                {"code": row.code, "name": either(row.name, row.name_en), "rank": row.rank, "credits": int(row.credits)}
                for row in found["challenges"]
            ],
            "trees": found["trees"][0].grown,
        }
    )


def _part(row: Any, key: str, name: str) -> dict[str, Any]:
    return {"key": key, "name": name, "acts": row.acts, "mg": str(row.mg)}


def _level(one: dict[str, Any] | None) -> dict[str, Any] | None:
    return one and {
        "level": one["level"],
        "code": one["code"],
        "name": either(one["name"], one["name_en"]),
        "mg": str(one["mg"]),
        "boost_percent": (one["boost_bps"] - 10_000) // 100,
        "bonus": one["bonus"],
        "privileges": [either(part["zh"], part["en"]) for part in one["privileges"]],
    }


def _badge(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "code": one["code"],
        "name": either(one["name"], one["name_en"]),
        "rule": one["rule"],
        "least": str(one["least"]),
        "scenario": one["scenario"] or None,
        "earned_at": when_or_none(one["earned_at"]),
    }
