"""Paying for an order by WeChat Pay: call up, look, cancel; and the one address that WeChat itself calls.

What the client says about a payment proves nothing; WeChat is asked (quality checklist Q23).
"""

from __future__ import annotations

import json
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request
from marshmallow import fields

import till
from app import orders, payments
from app.errors import NOT_FOUND, STATE_CONFLICT, Refusal
from app.people import Login
from edge import schemas
from edge.answers import answer
from edge.guards import Guard, mark
from edge.reading import raw_body
from edge.routes import gives, refuses
from miniprogram_api.guards import citizen
from miniprogram_api.show import when, when_or_none
from till.calls import PAYER_UNKNOWN

routes = APIBlueprint("payments", __name__, tag="Payments")
notices = APIBlueprint("wechat_notices", __name__, enable_openapi=False)
LARGEST_NOTICE = 64 * 1024


class CallUp(schemas.Answer):
    timeStamp = fields.String(required=True)  # noqa: N815 - WeChat's own names
    nonceStr = fields.String(required=True)  # noqa: N815
    package = fields.String(required=True)
    signType = fields.String(required=True)  # noqa: N815
    paySign = fields.String(required=True)  # noqa: N815


class RefundLine(schemas.Answer):
    number = fields.String(required=True)
    fen = fields.Integer(required=True)
    state = fields.String(
        required=True,
        metadata={"description": "asked, processing, success, abnormal, closed, or transferred (by our bank)"},
    )
    asked_at = fields.String(required=True)
    success_at = fields.String(required=True, allow_none=True)


class PaymentShown(schemas.Answer):
    order_id = fields.String(required=True)
    order_state = fields.String(required=True, metadata={"description": "what counts; see the order"})
    state = fields.String(
        required=True,
        metadata={"description": "none, created, waiting, closing, closed, failed, paid, or late (it goes back)"},
    )
    number = fields.String(required=True, allow_none=True, metadata={"description": "商户订单号, for questions to us"})
    total_fen = fields.Integer(required=True)
    paid_at = fields.String(required=True, allow_none=True)
    pay_until = fields.String(required=True, allow_none=True)
    refunds = fields.List(fields.Nested(RefundLine), required=True)


@routes.post("/orders/<id:order_id>/payment")
@citizen()
@gives(CallUp)
@refuses(
    NOT_FOUND,
    payments.CASH_CLOSED,
    payments.PAYMENT_CLOSING,
    orders.NOTHING_TO_PAY,
    orders.ORDER_TIMED_OUT,
    PAYER_UNKNOWN,
    STATE_CONFLICT,
)
def call_up(login: Login, order_id: int) -> Response:
    """Pay

    The parameters of `wx.requestPayment`, all five of them to be passed on as they are. Asked again, it is the same
    payment. Afterwards ask `GET …/payment`, whatever the client was told.
    """
    orders.line(order_id, login.person_id)
    with till.hurried():
        parameters = till.call_up(till.get(), order_id=order_id, person_id=login.person_id)
    return answer(parameters, headers={"Cache-Control": "no-store"})


@routes.get("/orders/<id:order_id>/payment")
@citizen()
@gives(PaymentShown)
@refuses(NOT_FOUND)
def get_payment(login: Login, order_id: int) -> Response:
    """How the payment stands

    WeChat is asked when we don't know yet.
    """
    orders.line(order_id, login.person_id)
    desk = till.find()
    if desk is not None:
        with till.hurried():
            till.refresh(desk, order_id=order_id)
    return answer(_shown(order_id, login.person_id))


@routes.post("/orders/<id:order_id>/cancel")
@citizen()
@gives(PaymentShown)
@refuses(NOT_FOUND, STATE_CONFLICT)
def cancel(login: Login, order_id: int) -> Response:
    """Cancel an unpaid order

    Its credits and pieces come back as soon as WeChat has closed its number; usually at once. If it turns out to be
    paid, it is paid: ask for a refund then.
    """
    orders.line(order_id, login.person_id)
    with till.hurried():
        till.end_order(till.find(), order_id=order_id, become="cancelled", person_id=login.person_id)
    return answer(_shown(order_id, login.person_id))


def _shown(order_id: int, person_id: int) -> dict[str, Any]:
    order, payment = orders.line(order_id, person_id), payments.of_order(order_id)
    return {
        "order_id": str(order_id),
        "order_state": order.state,
        "state": "none" if payment is None else payment.state,
        "number": None if payment is None else payment.out_trade_no,
        "total_fen": order.cash_fen,
        "paid_at": None if payment is None else when_or_none(payment.success_at),
        "pay_until": when_or_none(order.pay_until),
        "refunds": [
            {
                "number": one.out_refund_no,
                "fen": one.fen,
                "state": one.state,
                "asked_at": when(one.asked_at),
                "success_at": when_or_none(one.success_at),
            }
            for one in payments.refunds_of_order(order_id)
        ],
    }


@notices.post(till.NOTICES)
def notice() -> Response:
    """What WeChat Pay tells us: no login, no session, the raw bytes; its signature is the guard."""
    try:
        raw = raw_body(LARGEST_NOTICE)
    except Refusal as refusal:
        return _told(refusal.kind.value)
    desk = till.find()
    if desk is None:
        return _told(401)
    heard = till.hear(desk, request.headers, raw)
    return _told(heard.status)


mark(notice, Guard("partner", "wechat"))


def _told(status: int) -> Response:
    """WeChat's own form of answers. Everything but 200 makes it come again."""
    said = {"code": "SUCCESS", "message": "成功"} if status == 200 else {"code": "FAIL", "message": "失败"}
    return Response(json.dumps(said, ensure_ascii=False), status, mimetype="application/json")
