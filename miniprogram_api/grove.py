"""The green game: plant, watch it grow by my own grams, my collection, give a full-grown tree."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import clock, grove, programs, recovery, welfare
from app.clock import now
from app.db import retrying, transaction
from app.errors import NOT_FOUND
from app.grove import Grove
from app.people import Login
from app.programs import NOT_A_MEMBER
from edge import schemas
from edge.answers import answer
from edge.guards import public
from edge.routes import gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import either, when, when_or_none

routes = APIBlueprint("grove", __name__, tag="Green game")


class Shape(schemas.Answer):
    code = fields.String(required=True)
    name = fields.String(required=True)
    needs_mg = fields.String(required=True)


class TreeShown(schemas.Answer):
    id = fields.String(required=True)
    shape = fields.String(required=True)
    name = fields.String(required=True)
    season = fields.String(required=True)
    needs_mg = fields.String(required=True)
    grown_mg = fields.String(required=True)
    percent = fields.Integer(required=True)
    planted_at = fields.String(required=True)
    full_at = fields.String(required=True, allow_none=True)
    certificate_no = fields.String(required=True, allow_none=True)
    given = fields.Boolean(required=True)


class MyGrove(schemas.Answer):
    program = fields.String(required=True)
    season = fields.String(required=True)
    verified_mg = fields.String(required=True, metadata={"description": "my own since the grove began, tiers A to D"})
    free_mg = fields.String(required=True, metadata={"description": "not used by a full-grown tree"})
    growing = fields.Nested(TreeShown, required=True, allow_none=True)
    collection = fields.List(fields.Nested(TreeShown), required=True)
    shapes = fields.List(fields.Nested(Shape), required=True, metadata={"description": "to plant in this season"})
    gift_credits = fields.Integer(
        required=True, metadata={"description": "a full-grown one gives; 0: none can be given"}
    )


class Plant(schemas.Request):
    shape = schemas.code(required=True)


class TreeCertificate(schemas.Answer):
    number = fields.String(required=True)
    program = fields.String(required=True)
    name = fields.String(required=True)
    season = fields.String(required=True)
    mg = fields.String(required=True)
    planted_at = fields.String(required=True)
    full_at = fields.String(required=True)
    gift_no = fields.String(required=True, allow_none=True)


@routes.get("/programs/<code:program>/grove")
@citizen()
@gives(MyGrove)
@refuses(NOT_FOUND)
def get_grove(login: Login, program: str) -> Response:
    """My grove

    The growing tree, my collection by season, and what can be planted now.
    """
    found = _grove(program)
    mine, season = grove.growth(found, login.person_id), clock.period("season", clock.business_day(now())).key
    return answer(
        {
            "program": program,
            "season": season,
            "verified_mg": str(mine.verified_mg),
            "free_mg": str(mine.free_mg),
            "growing": mine.growing and _tree(mine.growing, mine.free_mg),
            "collection": [_tree(tree, 0) for tree in mine.trees if tree.full_at is not None],
            "shapes": [
                {"code": one["code"], "name": either(one["name"], one["name_en"]), "needs_mg": str(one["mg"])}
                for one in found.shapes
                if not one["seasons"] or season in one["seasons"]
            ],
            "gift_credits": found.gift_credits,
        }
    )


@routes.post("/programs/<code:program>/grove/trees")
@citizen()
@takes(Plant, example={"shape": "ginkgo"})
@gives(TreeShown, status=201)
@refuses(NOT_FOUND, NOT_A_MEMBER, grove.SHAPE_UNKNOWN, grove.TREE_GROWING)
def post_tree(login: Login, body: dict[str, Any], program: str) -> Response:
    """Plant a tree

    One grows at a time. The same again while it grows is answered with it (200).
    """
    found = _grove(program)

    def command() -> tuple[dict[str, Any], bool]:
        with transaction():
            made, fresh = grove.plant(
                program_id=found.program_id, person_id=login.person_id, shape=body["shape"], at=now()
            )
            return _tree(made, grove.growth(found, login.person_id).free_mg), fresh

    shown, fresh = retrying(command)
    return answer(shown, 201 if fresh else 200)


@routes.post("/trees/<id:tree_id>/gift")
@citizen()
@gives(TreeShown, status=201)
@refuses(NOT_FOUND, grove.TREE_NOT_FULL, grove.NO_GIFTS_NOW, welfare.PROJECT_CLOSED, welfare.PROJECT_FULL,
         recovery.RECOVERY_HOLD)  # fmt: skip
def post_gift(login: Login, tree_id: int) -> Response:
    """Give a full-grown tree

    It becomes a gift of a sponsor's credits to the grove's welfare project, in my name, once. My own credits stay.
    """

    def command() -> tuple[dict[str, Any], bool]:
        with transaction():
            recovery.check_hold(login.person_id)
            tree, fresh = grove.give(tree_id=tree_id, person_id=login.person_id, at=now())
            return _tree(tree, 0), fresh

    shown, fresh = retrying(command)
    return answer(shown, 201 if fresh else 200)


@routes.get("/trees/certificates/<code:number>")
@public()
@gives(TreeCertificate)
@refuses(NOT_FOUND)
def get_tree_certificate(number: str) -> Response:
    """A tree's certificate by its number

    For everybody; names nobody.
    """
    row = grove.certificate(number.upper())
    return answer(
        {
            "number": row.certificate_no, "program": row.program, "name": either(row.name, row.name_en),
            "season": row.season, "mg": str(row.needs_mg), "planted_at": when(row.planted_at),
            "full_at": when(row.full_at), "gift_no": row.gift_no,
        }
    )  # fmt: skip


def _grove(program: str) -> Grove:
    found = grove.in_force(programs.known(program).id)
    if found is None:
        raise NOT_FOUND(grove="this program has none")
    return found


def _tree(tree: Any, free_mg: int) -> dict[str, Any]:
    grown = tree.needs_mg if tree.full_at is not None else min(free_mg, tree.needs_mg)
    return {
        "id": str(tree.id),
        "shape": tree.shape,
        "name": either(tree.name, tree.name_en),
        "season": tree.season,
        "needs_mg": str(tree.needs_mg),
        "grown_mg": str(grown),
        "percent": grown * 100 // tree.needs_mg,
        "planted_at": when(tree.planted_at),
        "full_at": when_or_none(tree.full_at),
        "certificate_no": tree.certificate_no,
        "given": tree.gift_id is not None,
    }
