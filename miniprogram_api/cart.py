"""My cart: what I mean to take. Nothing is held for it; checking out takes all of it or nothing."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

import till
from app import mall, orders, payments
from app.clock import now
from app.db import retrying, transaction
from app.errors import IDEMPOTENCY_CONFLICT, INVALID_FIELD, NOT_FOUND
from app.ledger import INSUFFICIENT
from app.people import Login
from edge import schemas
from edge.answers import answer, nothing
from edge.language import pick
from edge.routes import gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.orders import PLACING, OrderShown, shown
from miniprogram_api.show import either, picture

routes = APIBlueprint("cart", __name__, tag="Orders")


class Quantity(schemas.Request):
    quantity = schemas.Integer(least=1, most=99, required=True)


class CheckOutLine(schemas.Request):
    item_id = schemas.Id(required=True)
    quantity = schemas.Integer(least=1, most=99, required=True)
    price_credits = schemas.Integer(least=1, most=1_000_000_000, required=True)
    price_fen = schemas.Integer(least=0, most=100_000_000, load_default=0)
    address_id = schemas.Id(load_default=None)
    slot_id = schemas.Id(load_default=None)


class CheckOut(schemas.Request):
    client_ref = schemas.Pattern(
        r"[A-Za-z0-9._:\-]{1,40}", expected="1–40 个字母、数字或 ._:-|1 to 40 letters, digits or ._:-", required=True
    )
    lines = schemas.Items(schemas.Inner(CheckOutLine), shortest=1, longest=20, required=True)


class CartLine(schemas.Answer):
    item_id = fields.String(required=True)
    program = fields.String(required=True)
    name = fields.String(required=True)
    picture = fields.String(required=True)
    kind = fields.String(required=True)
    quantity = fields.Integer(required=True)
    price_credits = fields.Integer(required=True, metadata={"description": "now, per piece"})
    price_fen = fields.Integer(required=True)
    seen_credits = fields.Integer(required=True, metadata={"description": "when it was put in"})
    seen_fen = fields.Integer(required=True)
    available = fields.Integer(required=True)
    trouble = fields.String(
        required=True, allow_none=True,
        metadata={"description": "why it can't be taken now: not_on_sale, not_for_you, sold_out or price_changed"},
    )  # fmt: skip


class Cart(schemas.Answer):
    items = fields.List(fields.Nested(CartLine), required=True)
    credits = fields.Integer(required=True, metadata={"description": "of all lines that can be taken"})
    cash_fen = fields.Integer(required=True)


class CheckedOut(schemas.Answer):
    items = fields.List(fields.Nested(OrderShown), required=True, metadata={"description": "an order for each item"})


@routes.get("/cart")
@citizen()
@gives(Cart)
def get_cart(login: Login) -> Response:
    """My cart

    Each item as it is now beside the price that I saw, and why it can't be taken, if it can't.
    """
    return answer(_cart(login.person_id))


@routes.put("/cart/<id:item_id>")
@citizen()
@takes(Quantity, example={"quantity": 2})
@gives(Cart)
@refuses(NOT_FOUND, orders.CART_FULL)
def put(login: Login, body: dict[str, Any], item_id: int) -> Response:
    """Put an item into my cart, or change how many; its price now is the one that I saw"""
    with transaction():
        orders.cart.put(person_id=login.person_id, item_id=item_id, quantity=body["quantity"], at=now())
    return answer(_cart(login.person_id))


@routes.delete("/cart/<id:item_id>")
@citizen()
@gives(None, status=204)
@refuses(NOT_FOUND)
def drop(login: Login, item_id: int) -> Response:
    """Take an item out"""
    with transaction():
        if orders.cart.drop(person_id=login.person_id, item_ids=[item_id]) == 0:
            raise NOT_FOUND(item=str(item_id))
    return nothing()


@routes.post("/cart/checkout")
@citizen()
@takes(CheckOut, example={"client_ref": "cart-1", "lines": [{"item_id": "5", "quantity": 1, "price_credits": 300}]})
@gives(CheckedOut, status=201)
@refuses(
    *(NOT_FOUND, IDEMPOTENCY_CONFLICT, INSUFFICIENT, mall.NOT_ON_SALE, mall.SOLD_OUT, orders.PERSON_LIMIT),
    *(orders.PRICE_CHANGED, mall.ITEM_UNDERFUNDED, payments.CASH_CLOSED, *PLACING),
)
def check_out(login: Login, body: dict[str, Any]) -> Response:
    """Take these, all or none

    An order for each item, all in one step; what was taken leaves the cart. Orders with a cash part wait for their
    money, each until its `pay_until`. The same `client_ref` with the same lines is answered with the first (200).
    """
    wishes = [orders.Wish(**line) for line in body["lines"]]
    if len({wish.item_id for wish in wishes}) < len(wishes):
        expected = pick("每种商品只出现一次|each item once")
        raise INVALID_FIELD(fields=[{"field": "lines", "expected": expected}])
    if any(wish.price_fen for wish in wishes):
        till.get()
    at = now()

    def command() -> list[orders.Placed]:
        with transaction():
            return orders.check_out(person_id=login.person_id, client_ref=body["client_ref"], wishes=wishes, at=at)

    placed = retrying(command)
    found = shown([orders.line(one.order_id, login.person_id) for one in placed], login.person_id)
    return answer({"items": found}, 201 if any(one.fresh for one in placed) else 200)


def _cart(person_id: int) -> dict[str, Any]:
    at = now()
    lines = [_line(row, person_id, at) for row in orders.cart.lines(person_id)]
    good = [line for line in lines if line["trouble"] in (None, "price_changed")]
    return {
        "items": lines,
        "credits": sum(line["price_credits"] * line["quantity"] for line in good),
        "cash_fen": sum(line["price_fen"] * line["quantity"] for line in good),
    }


def _line(row: Any, person_id: int, at: Any) -> dict[str, Any]:
    return {
        "item_id": str(row.item_id),
        "program": row.program,
        "name": either(row.name, row.name_en),
        "picture": picture(row.picture),
        "kind": row.kind,
        "quantity": row.quantity,
        "price_credits": row.price_credits,
        "price_fen": row.price_fen,
        "seen_credits": row.seen_credits,
        "seen_fen": row.seen_fen,
        "available": row.available,
        "trouble": orders.cart.trouble(row, person_id, at),
    }
