"""My orders and the codes that came of them. A code's characters are shown on a tap, never in a list."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

import till
from app import mall, orders, payments, redemptions
from app.clock import now
from app.db import retrying, transaction
from app.errors import IDEMPOTENCY_CONFLICT, NOT_FOUND
from app.ledger import INSUFFICIENT
from app.people import Login
from edge import schemas
from edge.answers import answer
from edge.paging import PageQuery, decode, page, paged
from edge.routes import asks, gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import either, when, when_or_none

routes = APIBlueprint("orders", __name__, tag="Orders")

EXAMPLE = {"item_id": "5", "quantity": 1, "client_ref": "tea-20261125-1", "price_credits": 300}


class Place(schemas.Request):
    item_id = schemas.Id(required=True)
    quantity = schemas.Integer(least=1, most=99, required=True)
    client_ref = schemas.reference(required=True, metadata={"description": "my own reference; once per order"})
    price_credits = schemas.Integer(
        least=1, most=1_000_000_000, required=True, metadata={"description": "the price per piece that I saw"}
    )
    price_fen = schemas.Integer(
        least=0,
        most=100_000_000,
        load_default=0,
        metadata={"description": "the cash part per piece that I saw, paid by WeChat Pay; none for most items"},
    )


class CodeLine(schemas.Answer):
    id = fields.String(required=True)
    program = fields.String(required=True)
    order_id = fields.String(required=True)
    title = fields.String(required=True)
    merchant = fields.String(required=True)
    state = fields.String(required=True, metadata={"description": "issued, redeemed, expired, refunded or void"})
    valid_from = fields.String(required=True)
    valid_until = fields.String(required=True)
    used_at = fields.String(required=True, allow_none=True)
    used_in = fields.String(required=True, allow_none=True, metadata={"description": "the shop"})


class OrderShown(schemas.Answer):
    id = fields.String(required=True)
    program = fields.String(required=True)
    item_id = fields.String(required=True)
    name = fields.String(required=True)
    picture = fields.String(required=True)
    merchant = fields.String(required=True)
    quantity = fields.Integer(required=True)
    credits = fields.Integer(required=True)
    cash_fen = fields.Integer(required=True, metadata={"description": "to be paid by WeChat Pay; 0 for credits alone"})
    state = fields.String(
        required=True,
        metadata={
            "description": "placed, paying, paid, fulfilled, completed, timed_out, cancelled, refunding or refunded"
        },
    )
    placed_at = fields.String(required=True)
    pay_until = fields.String(required=True, allow_none=True, metadata={"description": "an unpaid order ends then"})
    fulfilled_at = fields.String(required=True, allow_none=True)
    codes = fields.List(fields.Nested(CodeLine), required=True)


class CodeShown(schemas.Answer):
    id = fields.String(required=True)
    code = fields.String(required=True, metadata={"description": "to be typed or scanned in the shop"})
    title = fields.String(required=True)
    valid_until = fields.String(required=True)


@routes.post("/orders")
@citizen()
@takes(Place, example=EXAMPLE)
@gives(OrderShown, status=201)
@refuses(
    NOT_FOUND,
    IDEMPOTENCY_CONFLICT,
    INSUFFICIENT,
    mall.NOT_ON_SALE,
    mall.SOLD_OUT,
    orders.PERSON_LIMIT,
    orders.PRICE_CHANGED,
    mall.ITEM_UNDERFUNDED,
    payments.CASH_CLOSED,
)
def place(login: Login, body: dict[str, Any]) -> Response:
    """Take an item for credits

    Paid at once, with a code for each piece; with a cash part it waits for the money until `pay_until`, and its credits
    are held (pay with `POST …/payment`). The same `client_ref` with the same content is answered with the first
    order (200).
    """
    program_id, at = mall.program_of(body["item_id"]), now()
    if body["price_fen"]:
        till.get()  # without a merchant nothing is held that nobody could pay

    def command() -> tuple[dict[str, Any], bool]:
        with transaction():
            placed = orders.place(person_id=login.person_id, program_id=program_id, at=at, **body)
            return _shown([orders.line(placed.order.id, login.person_id)], login.person_id)[0], placed.fresh

    shown, fresh = retrying(command)
    return answer(shown, 201 if fresh else 200)


@routes.get("/orders")
@citizen()
@asks(PageQuery)
@gives(paged("OrderPage", OrderShown))
def get_orders(login: Login, query: dict[str, Any]) -> Response:
    """My orders

    Newest first, with their codes.
    """
    before = decode(query["cursor"], 1)
    rows = orders.of_person(login.person_id, before=before[0] if before else None, limit=query["limit"] + 1)
    found = page(rows, query["limit"], lambda row: row, lambda row: (row.id,))
    return answer({**found, "items": _shown(found["items"], login.person_id)})


@routes.get("/orders/<id:order_id>")
@citizen()
@gives(OrderShown)
@refuses(NOT_FOUND)
def get_order(login: Login, order_id: int) -> Response:
    """One of my orders"""
    return answer(_shown([orders.line(order_id, login.person_id)], login.person_id)[0])


@routes.get("/codes")
@citizen()
@asks(PageQuery)
@gives(paged("CodePage", CodeLine))
def get_codes(login: Login, query: dict[str, Any]) -> Response:
    """My codes

    Newest first, with their state, and when and where they were used; without their characters.
    """
    before, limit = decode(query["cursor"], 1), query["limit"]
    rows = redemptions.codes_of_person(login.person_id, before=before[0] if before else None, limit=limit + 1, at=now())
    return answer(page(rows, limit, _code, lambda row: (row.id,)))


@routes.post("/codes/<id:code_id>/show")
@citizen()
@gives(CodeShown)
@refuses(
    NOT_FOUND,
    redemptions.CODE_USED,
    redemptions.CODE_EXPIRED,
    redemptions.CODE_NOT_YET,
    redemptions.CODE_REFUNDED,
)
def show_code(login: Login, code_id: int) -> Response:
    """Show a code

    Its characters, for the tap that asks for them. A code that can't be used any more says why.
    """
    code, plain = redemptions.show(code_id=code_id, person_id=login.person_id)
    redemptions.spendable(code, now())
    shown = {
        "id": str(code.id),
        "code": plain,
        "title": either(code.title, code.title_en),
        "valid_until": when(code.valid_until),
    }
    return answer(shown, headers={"Cache-Control": "no-store"})


def _shown(rows: list[Any], person_id: int) -> list[dict[str, Any]]:
    codes: dict[int, list[dict[str, Any]]] = {row.id: [] for row in rows}
    for code in redemptions.codes_shown(list(codes), person_id, at=now()) if rows else []:
        codes[code.order_id].append(_code(code))
    return [
        {
            "id": str(row.id),
            "program": row.program,
            "item_id": str(row.item_id),
            "name": either(row.name, row.name_en),
            "picture": row.picture,
            "merchant": either(row.merchant, row.merchant_en),
            "quantity": row.quantity,
            "credits": row.credits,
            "cash_fen": row.cash_fen,
            "state": row.state,
            "placed_at": when(row.placed_at),
            "pay_until": when_or_none(row.pay_until),
            "fulfilled_at": when_or_none(row.fulfilled_at),
            "codes": codes[row.id],
        }
        for row in rows
    ]


def _code(row: Any) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "program": row.program,
        "order_id": str(row.order_id),
        "title": either(row.title, row.title_en),
        "merchant": either(row.merchant, row.merchant_en),
        "state": row.state,
        "valid_from": when(row.valid_from),
        "valid_until": when(row.valid_until),
        "used_at": when_or_none(row.redeemed_at),
        "used_in": row.shop,
    }
