"""Orders with a cash part, and what WeChat would say about them, as plain facts."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from app import mall, orders, payments, people
from app.db import session
from app.mall.models import Item
from app.payments.models import Payment, Refund
from tests.given import APPID, AT
from tests.world import World

MCHID = "1900000109"
TERMS = payments.Terms(APPID, MCHID, "http://127.0.0.1:8000/wechat/pay/notices", "T")


@dataclass(frozen=True)
class Said:
    """A transaction as the embassy hands it in."""

    out_trade_no: str
    total_fen: int
    openid: str
    transaction_id: str = ""
    appid: str = APPID
    mchid: str = MCHID
    trade_state: str = "SUCCESS"
    currency: str = "CNY"
    success_time: datetime | None = AT

    @property
    def payer_total_fen(self) -> int:
        return self.total_fen


@dataclass(frozen=True)
class SaidRefund:
    """A refund as the embassy hands it in."""

    out_refund_no: str
    out_trade_no: str
    transaction_id: str
    refund_fen: int
    total_fen: int
    status: str = "SUCCESS"
    refund_id: str = "50000000"
    mchid: str = MCHID
    success_time: datetime | None = AT

    @property
    def payer_refund_fen(self) -> int:
        return self.refund_fen


def item(world: World, *, kind: str = "service", fen: int = 990, stock: int = 10, **changes: Any) -> int:
    """A thing that costs a hundred credits and some money. Inside a transaction, like all below."""
    values: dict[str, Any] = {
        "program_id": world.program_id, "code": f"cash-{secrets.token_hex(3)}", "kind": kind,
        "merchant_id": world.merchant_id, "name": "骑行装备", "name_en": "Cycling kit", "price_credits": 100,
        "price_fen": fen, "settlement_fen": 150, "total": stock, "available": stock, "reserved": 0, "sold": 0,
        "per_person": None, "valid_days": 30, "state": "draft",
    }  # fmt: skip
    made = Item(**{**values, **changes})
    session().add(made)
    session().flush()
    mall.publish(item=made)
    return made.id


def place(world: World, person_id: int, item_id: int, *, at: datetime = AT, **changes: Any) -> orders.Order:
    """An unpaid order of one piece."""
    values = {"quantity": 1, "client_ref": f"cash-{secrets.token_hex(4)}", "price_credits": 100, "price_fen": 990}
    values |= changes
    wish = orders.Wish(
        item_id, values["quantity"], values["price_credits"], values["price_fen"], **address(item_id, person_id)
    )
    placed = orders.place(person_id=person_id, client_ref=values["client_ref"], wish=wish, at=at)
    return session().get_one(orders.Order, placed.order_id, populate_existing=True)


def address(item_id: int, person_id: int) -> dict[str, int]:
    """Where a parcel goes; nothing for anything else."""
    if session().get_one(Item, item_id).kind != "parcel":
        return {}
    known = orders.addresses.book(person_id)
    place = orders.Place("林一", "13800000000", "四川省", "成都市", "青羊区", "某街 1 号")
    made = known[0] if known else orders.addresses.add(person_id=person_id, place=place, is_default=True, at=AT)
    return {"address_id": made.id}


def begin(order: orders.Order, *, at: datetime = AT, prepaid: bool = True) -> Payment:
    """Its payment, taken by WeChat unless told otherwise."""
    made = orders.begin_payment(
        order_id=order.id, person_id=order.person_id, terms=TERMS, openid=openid_of(order.person_id), at=at
    )
    if prepaid:
        payments.prepaid(made.id, prepay_id=f"wx{secrets.token_hex(8)}", at=at)
    return made


def success(payment: Payment, **changes: Any) -> Said:
    """WeChat's "paid" that fits a payment, or one that differs as told."""
    known = payment.transaction_id or f"4200{int.from_bytes(secrets.token_bytes(7), 'big')}"
    said = Said(payment.out_trade_no, payment.total_fen, openid_of(payment.person_id), known)
    return replace(said, **changes)


def back(refund: Refund, **changes: Any) -> SaidRefund:
    """WeChat's word about a refund that fits it, or one that differs as told."""
    payment = session().get_one(Payment, refund.payment_id)
    said = SaidRefund(
        refund.out_refund_no, payment.out_trade_no, payment.transaction_id or "", refund.fen, payment.total_fen,
        refund_id=f"5030{refund.id}",
    )  # fmt: skip
    return replace(said, **changes)


def pay(order: orders.Order, *, at: datetime = AT) -> Payment:
    """An order that is paid."""
    payment = begin(order, at=at)
    taken = orders.take_transaction(success(payment, success_time=at), why="notice", at=at)
    assert taken.outcome == "accepted"
    return payment


def refunds_of(payment: Payment) -> list[Refund]:
    query = select(Refund).where(Refund.payment_id == payment.id).order_by(Refund.id)
    return list(session().scalars(query.execution_options(populate_existing=True)))


def openid_of(person_id: int) -> str:
    found = people.openid(person_id, APPID)
    assert found is not None
    return found


LATE = timedelta(minutes=20)
