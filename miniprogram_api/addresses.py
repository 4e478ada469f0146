"""My address book, as `wx.chooseAddress` fills it."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import orders
from app.clock import now
from app.db import transaction
from app.errors import INVALID_FIELD, NOT_FOUND
from app.orders.models import Address
from app.people import Login
from edge import schemas
from edge.answers import answer, nothing
from edge.routes import gives, refuses, takes
from miniprogram_api.guards import citizen

routes = APIBlueprint("addresses", __name__, tag="Orders")
PARTS = ("name", "phone", "province", "city", "district", "detail")
EXAMPLE = {
    "name": "林一", "phone": "13800000000", "province": "四川省", "city": "成都市", "district": "青羊区",
    "detail": "某街 1 号", "is_default": True,
}  # fmt: skip


class AddressIn(schemas.Request):
    name = schemas.Text(longest=40, required=True, metadata={"description": "who receives it (userName)"})
    phone = schemas.Pattern(r"\+?[0-9\-]{5,20}", expected="电话号码|a phone number", required=True)
    province = schemas.Text(longest=20, required=True, metadata={"description": "full name (provinceName)"})
    city = schemas.Text(longest=40, required=True)
    district = schemas.Text(longest=40, shortest=0, load_default="")
    detail = schemas.Text(longest=120, required=True, metadata={"description": "street and number (detailInfo)"})
    is_default = schemas.Boolean(load_default=False)


class AddressShown(schemas.Answer):
    id = fields.String(required=True)
    name = fields.String(required=True)
    phone = fields.String(required=True)
    province = fields.String(required=True)
    city = fields.String(required=True)
    district = fields.String(required=True)
    detail = fields.String(required=True)
    is_default = fields.Boolean(required=True)


class AddressBook(schemas.Answer):
    items = fields.List(fields.Nested(AddressShown), required=True)


@routes.get("/addresses")
@citizen()
@gives(AddressBook)
def get_addresses(login: Login) -> Response:
    """My addresses

    The default first.
    """
    found = {"items": [_shown(one) for one in orders.addresses.book(login.person_id)]}
    return answer(found, headers={"Cache-Control": "no-store"})


@routes.post("/addresses")
@citizen()
@takes(AddressIn, example=EXAMPLE)
@gives(AddressShown, status=201)
@refuses(INVALID_FIELD, orders.TOO_MANY_ADDRESSES)
def add(login: Login, body: dict[str, Any]) -> Response:
    """Add an address

    The first one is the default.
    """
    place, is_default = _place(body)
    with transaction():
        made = orders.addresses.add(person_id=login.person_id, place=place, is_default=is_default, at=now())
        found = _shown(made)
    return answer(found, 201, headers={"Cache-Control": "no-store"})


@routes.put("/addresses/<id:address_id>")
@citizen()
@takes(AddressIn, example=EXAMPLE)
@gives(AddressShown)
@refuses(NOT_FOUND, INVALID_FIELD)
def change(login: Login, body: dict[str, Any], address_id: int) -> Response:
    """Change an address

    Orders that were placed keep theirs.
    """
    place, is_default = _place(body)
    with transaction():
        made = orders.addresses.change(
            address_id=address_id, person_id=login.person_id, place=place, is_default=is_default, at=now()
        )
        found = _shown(made)
    return answer(found, headers={"Cache-Control": "no-store"})


@routes.delete("/addresses/<id:address_id>")
@citizen()
@gives(None, status=204)
@refuses(NOT_FOUND)
def remove(login: Login, address_id: int) -> Response:
    """Remove an address"""
    with transaction():
        orders.addresses.remove(address_id=address_id, person_id=login.person_id)
    return nothing()


def _place(body: dict[str, Any]) -> tuple[orders.Place, bool]:
    return orders.Place(**{part: body[part] for part in PARTS}), body["is_default"]


def _shown(address: Address) -> dict[str, Any]:
    place = orders.addresses.opened(address.sealed)
    return {
        "id": str(address.id),
        **{part: getattr(place, part) for part in PARTS},
        "is_default": address.is_default,
    }
