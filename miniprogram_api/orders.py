"""My orders, with the codes that came of them."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

import till
from app import mall, orders, payments, recovery, redemptions, welfare
from app.clock import now
from app.db import retrying, transaction
from app.errors import IDEMPOTENCY_CONFLICT, NOT_FOUND, STATE_CONFLICT
from app.funding.spending import WALLET_FROZEN
from app.ledger import INSUFFICIENT
from app.mall import pools
from app.payments import refunds
from app.people import Login
from edge import schemas
from edge.answers import answer
from edge.paging import PageQuery, decode, page, paged
from edge.routes import asks, gives, refuses, takes
from miniprogram_api.codes import CodeLine, code_line
from miniprogram_api.guards import citizen
from miniprogram_api.show import either, picture, when, when_or_none

routes = APIBlueprint("orders", __name__, tag="Orders")

PLACING = (
    *(mall.NOT_FOR_YOU, orders.POOL_EMPTY, WALLET_FROZEN, orders.ADDRESS_NEEDED, orders.NO_ADDRESS_HERE),
    *(orders.ADDRESS_NOT_SERVED, orders.SLOT_NEEDED, orders.NO_SLOTS_HERE, orders.SLOT_FULL, welfare.PROJECT_CLOSED),
)
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
    address_id = schemas.Id(load_default=None, metadata={"description": "for a parcel: one of my addresses"})
    slot_id = schemas.Id(load_default=None, metadata={"description": "for a service that is booked: one of its times"})


class Return(schemas.Request):
    code_ids = schemas.Items(
        schemas.Id(), longest=99, load_default=None, metadata={"description": "unused codes; all of them without it"}
    )
    reason = schemas.Text(longest=60, load_default="用户申请退回", metadata={"description": "for the record"})


class NewAddress(schemas.Request):
    address_id = schemas.Id(required=True)


class NewSlot(schemas.Request):
    slot_id = schemas.Id(required=True)


class InvoiceIn(schemas.Request):
    title = schemas.Text(longest=100, required=True, metadata={"description": "发票抬头"})
    tax_number = schemas.Pattern(
        r"([0-9A-HJ-NPQRTUWXY]{15,20})?", expected="15–20 位税号，个人留空|15 to 20 characters, empty for a person",
        load_default="",
    )  # fmt: skip
    email = schemas.Pattern(
        r"[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9.\-]{1,190}\.[A-Za-z]{2,24}",
        expected="邮箱地址|a mail address",
        required=True,
    )


class ParcelShown(schemas.Answer):
    state = fields.String(required=True, metadata={"description": "waiting, shipped, received, lost or cancelled"})
    carrier = fields.String(required=True, allow_none=True)
    tracking_no = fields.String(required=True, allow_none=True)
    shipped_at = fields.String(required=True, allow_none=True)
    received_at = fields.String(required=True, allow_none=True)


class BookingShown(schemas.Answer):
    state = fields.String(required=True, metadata={"description": "booked, cancelled, attended or no_show"})
    slot_id = fields.String(required=True)
    starts_at = fields.String(required=True)
    ends_at = fields.String(required=True)


class InvoiceShown(schemas.Answer):
    state = fields.String(required=True, metadata={"description": "asked, issued or refused"})
    number = fields.String(required=True, allow_none=True)


class PoolCodes(schemas.Answer):
    codes = fields.List(fields.String(), required=True)


class OrderShown(schemas.Answer):
    id = fields.String(required=True)
    program = fields.String(required=True)
    item_id = fields.String(required=True)
    kind = fields.String(required=True)
    name = fields.String(required=True)
    picture = fields.String(required=True)
    merchant = fields.String(required=True)
    quantity = fields.Integer(required=True)
    refunded_pieces = fields.Integer(required=True)
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
    parcel = fields.Nested(ParcelShown, required=True, allow_none=True)
    booking = fields.Nested(BookingShown, required=True, allow_none=True)
    invoice = fields.Nested(InvoiceShown, required=True, allow_none=True)


class OrderQuery(PageQuery):
    state = schemas.OneOf(*orders.STATE_GROUPS, load_default=None, metadata={"description": "a tab of the order list"})


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
    *PLACING,
)
def place(login: Login, body: dict[str, Any]) -> Response:
    """Take an item for credits

    Paid at once, with a code for each piece; with a cash part it waits for the money until `pay_until`, and its credits
    are held (pay with `POST …/payment`). A parcel needs `address_id`, a service with times `slot_id`. The same
    `client_ref` with the same content is answered with the first order (200).
    """
    at, client_ref = now(), body.pop("client_ref")
    if body["price_fen"]:
        till.get()  # without a merchant nothing is held that nobody could pay
    wish = orders.Wish(**body)

    def command() -> orders.Placed:
        with transaction():
            return orders.place(person_id=login.person_id, client_ref=client_ref, wish=wish, at=at)

    placed = retrying(command)
    # Read after the commit: the item's row, which everybody wants, is let go first.
    found = shown([orders.line(placed.order_id, login.person_id)], login.person_id)[0]
    return answer(found, 201 if placed.fresh else 200)


@routes.get("/orders")
@citizen()
@asks(OrderQuery)
@gives(paged("OrderPage", OrderShown))
def get_orders(login: Login, query: dict[str, Any]) -> Response:
    """My orders

    Newest first, with their codes, parcels and times. `state=unpaid`, `open`, `done` or `returned` is one tab of them.
    """
    before, states = decode(query["cursor"], 1), orders.STATE_GROUPS.get(query["state"])
    rows = orders.of_person(
        login.person_id, before=before[0] if before else None, limit=query["limit"] + 1, states=states
    )
    found = page(rows, query["limit"], lambda row: row, lambda row: (row.id,))
    return answer({**found, "items": shown(found["items"], login.person_id)})


@routes.get("/orders/<id:order_id>")
@citizen()
@gives(OrderShown)
@refuses(NOT_FOUND)
def get_order(login: Login, order_id: int) -> Response:
    """One of my orders"""
    return answer(shown([orders.line(order_id, login.person_id)], login.person_id)[0])


@routes.post("/orders/<id:order_id>/pool-codes")
@citizen(fresh=True)
@gives(PoolCodes)
@refuses(NOT_FOUND, recovery.RECOVERY_HOLD)
def show_pool_codes(login: Login, order_id: int) -> Response:
    """The codes that I was given

    Of an item whose codes are a third party's, for the tap that asks for them.
    """
    orders.line(order_id, login.person_id)
    recovery.check_hold(login.person_id)
    return answer({"codes": pools.shown(order_id)}, headers={"Cache-Control": "no-store"})


@routes.post("/orders/<id:order_id>/return")
@citizen()
@takes(Return, example={"reason": "不需要了"})
@gives(OrderShown)
@refuses(
    NOT_FOUND, STATE_CONFLICT, redemptions.ORDER_REDEEMED, orders.NOT_REFUNDABLE, refunds.REFUND_UNDERWAY,
    refunds.REFUND_TOO_MUCH, refunds.REFUND_TOO_OLD, refunds.REFUND_TOO_MANY,
)  # fmt: skip
def give_back(login: Login, body: dict[str, Any], order_id: int) -> Response:
    """Return what is unused

    All pieces, or those whose codes are named. Credits come back to the lots they came from at once, money the way it
    was paid. What was used, a parcel that has left, and items that say so can't be returned this way.
    """

    def command() -> dict[str, Any]:
        with transaction():
            orders.refund(
                order_id=order_id, code_ids=body["code_ids"], reason=body["reason"],
                asked_by=f"person:{login.person_id}", at=now(), person_id=login.person_id,
            )  # fmt: skip
            return shown([orders.line(order_id, login.person_id)], login.person_id)[0]

    return answer(retrying(command))


@routes.put("/orders/<id:order_id>/address")
@citizen()
@takes(NewAddress, example={"address_id": "3"})
@gives(OrderShown)
@refuses(NOT_FOUND, orders.SHIPPED_ALREADY, orders.ADDRESS_NOT_SERVED, recovery.RECOVERY_HOLD)
def readdress(login: Login, body: dict[str, Any], order_id: int) -> Response:
    """Send it elsewhere

    While the parcel hasn't left.
    """
    served = mall.head(orders.line(order_id, login.person_id).item_id).provinces
    with transaction():
        recovery.check_hold(login.person_id)
        orders.parcels.readdress(
            order_id=order_id, person_id=login.person_id, address_id=body["address_id"], served=served
        )
    return _one(order_id, login.person_id)


@routes.post("/orders/<id:order_id>/received")
@citizen()
@gives(OrderShown)
@refuses(NOT_FOUND, STATE_CONFLICT)
def received(login: Login, order_id: int) -> Response:
    """The parcel has arrived

    Twice is once. Ten days after it left, an order counts as received by itself.
    """

    def command() -> None:
        with transaction():
            orders.parcels.receive(
                order_id=order_id, by=f"person:{login.person_id}", at=now(), person_id=login.person_id
            )

    retrying(command)
    return _one(order_id, login.person_id)


@routes.put("/orders/<id:order_id>/booking")
@citizen()
@takes(NewSlot, example={"slot_id": "7"})
@gives(OrderShown)
@refuses(NOT_FOUND, STATE_CONFLICT, orders.BOOKING_CLOSED, orders.SLOT_FULL)
def rebook(login: Login, body: dict[str, Any], order_id: int) -> Response:
    """Book another time

    Until two hours before; also after a cancelled or missed one, while the code is unused.
    """

    def command() -> None:
        with transaction():
            orders.bookings.rebook(order_id=order_id, person_id=login.person_id, slot_id=body["slot_id"], at=now())

    retrying(command)
    return _one(order_id, login.person_id)


@routes.delete("/orders/<id:order_id>/booking")
@citizen()
@gives(OrderShown)
@refuses(NOT_FOUND, orders.BOOKING_CLOSED)
def cancel_booking(login: Login, order_id: int) -> Response:
    """Cancel the time

    The order stands and can be booked again.
    """
    with transaction():
        orders.bookings.cancel(order_id=order_id, person_id=login.person_id, at=now())
    return _one(order_id, login.person_id)


@routes.post("/orders/<id:order_id>/invoice")
@citizen()
@takes(InvoiceIn, example={"title": "某某有限公司", "tax_number": "91510100MA6C000000", "email": "a@example.com"})
@gives(OrderShown)
@refuses(NOT_FOUND, STATE_CONFLICT, orders.NOTHING_TO_INVOICE)
def ask_invoice(login: Login, body: dict[str, Any], order_id: int) -> Response:
    """Ask for an e-invoice

    Over the money that the order cost; credits aren't invoiced. Asked again before it is issued, the request is mended.
    """
    with transaction():
        orders.invoices.ask(
            order_id=order_id, person_id=login.person_id, wanted=orders.invoices.Wanted(**body), at=now()
        )
    return _one(order_id, login.person_id)


def _one(order_id: int, person_id: int) -> Response:
    return answer(shown([orders.line(order_id, person_id)], person_id)[0])


def _parcel(row: Any) -> dict[str, Any] | None:
    return row.parcel_state and {
        "state": row.parcel_state,
        "carrier": row.carrier,
        "tracking_no": row.tracking_no,
        "shipped_at": when_or_none(row.shipped_at),
        "received_at": when_or_none(row.received_at),
    }


def _booking(row: Any) -> dict[str, Any] | None:
    return row.booking_state and {
        "state": row.booking_state,
        "slot_id": str(row.slot_id),
        "starts_at": when(row.starts_at),
        "ends_at": when(row.ends_at),
    }


def shown(rows: list[Any], person_id: int) -> list[dict[str, Any]]:
    """Orders as they read in answers, with their codes."""
    codes: dict[int, list[dict[str, Any]]] = {row.id: [] for row in rows}
    for code in redemptions.codes_shown(list(codes), person_id, at=now()) if rows else []:
        codes[code.order_id].append(code_line(code))
    return [
        {
            "id": str(row.id),
            "program": row.program,
            "item_id": str(row.item_id),
            "kind": row.kind,
            "name": either(row.name, row.name_en),
            "picture": picture(row.picture),
            "merchant": either(row.merchant, row.merchant_en),
            "quantity": row.quantity,
            "refunded_pieces": row.refunded_pieces,
            "credits": row.credits,
            "cash_fen": row.cash_fen,
            "state": row.state,
            "placed_at": when(row.placed_at),
            "pay_until": when_or_none(row.pay_until),
            "fulfilled_at": when_or_none(row.fulfilled_at),
            "codes": codes[row.id],
            "parcel": _parcel(row),
            "booking": _booking(row),
            "invoice": row.invoice_state and {"state": row.invoice_state, "number": row.invoice_no},
        }
        for row in rows
    ]
