"""Order shipping: money for physical goods stays frozen until WeChat is told that they were sent.

First attempt ten seconds after the payment or later; a payment still unknown then is no fault but a reason to wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import IntEnum
from typing import Any

from wechat.api import Api, Interface
from wechat.errors import BadRequest, WeChatUnavailable

BEIJING = timezone(timedelta(hours=8))


class Unchanged(BadRequest):
    """10060023: what was uploaded before is the same. A success."""


UPLOAD = Interface(
    "upload_shipping_info", "POST", "/wxa/sec/order/upload_shipping_info", again=True, kinds={10060023: Unchanged}
)
ORDER = Interface("get_order", "POST", "/wxa/sec/order/get_order", again=True)
MANAGED = Interface("is_trade_managed", "POST", "/wxa/sec/order/is_trade_managed", again=True)
MOST_PARCELS, LONGEST_ITEM = 15, 120


class Logistics(IntEnum):
    """How goods reach the buyer. A redemption at a merchant's counter is a pick-up."""

    EXPRESS = 1
    CITY = 2
    VIRTUAL = 3
    PICK_UP = 4


class OrderState(IntEnum):
    """Where an order stands at WeChat."""

    TO_BE_SHIPPED = 1
    SHIPPED = 2
    RECEIVED = 3
    COMPLETED = 4
    REFUNDED = 5
    SETTLEMENT_PENDING = 6


@dataclass(frozen=True, slots=True)
class Parcel:
    """One shipment. Express needs ``tracking_no`` and ``express_company`` (WeChat's code of the carrier).

    SF Express also needs ``contact``: the receiver's number, masked but for its last four digits.
    """

    item_desc: str
    tracking_no: str = field(default="", repr=False)
    express_company: str = ""
    contact: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ShippedOrder:
    """An order as the shipping side knows it. ``state`` is an OrderState, or a number that is new to us."""

    transaction_id: str
    state: int
    in_complaint: bool
    finished: bool
    finished_count: int
    paid_fen: int
    openid: str = field(repr=False)


def upload_shipping(
    api: Api, *, transaction_id: str, logistics: Logistics, parcels: Sequence[Parcel], openid: str, at: datetime,
    all_delivered: bool = True,
) -> None:  # fmt: skip
    """Tell WeChat that an order was sent, or can be picked up. ``at`` must rise with each upload of an order.

    Raises ValueError for unfit parcels; PaymentUnknown (again later), AlreadyShipped (treat as done, compare with
    ``shipped_order``), NotShippable (stop), OtherPayer (alarm), BadRequest (fix the data), Busy.
    """
    split = len(parcels) > 1
    content: dict[str, Any] = {
        "order_key": {"order_number_type": 2, "transaction_id": transaction_id},
        "logistics_type": int(logistics),
        "delivery_mode": 2 if split else 1,
        "shipping_list": [_parcel(parcel, logistics) for parcel in _checked(parcels, logistics)],
        "upload_time": at.astimezone(BEIJING).isoformat(timespec="milliseconds"),
        "payer": {"openid": openid},
    }
    if split:
        content["is_all_delivered"] = all_delivered
    try:
        api.call(UPLOAD, content)
    except Unchanged:
        return


def shipped_order(api: Api, *, transaction_id: str) -> ShippedOrder:
    """The order as the shipping side knows it. Raises PaymentUnknown, Busy, …"""
    order = api.call(ORDER, {"transaction_id": transaction_id}).get("order")
    said = order if isinstance(order, dict) else {}
    details = said.get("shipping")
    shipping = details if isinstance(details, dict) else {}
    state, paid = said.get("order_state"), said.get("paid_amount", 0)
    if type(state) is not int or type(paid) is not int or said.get("transaction_id", transaction_id) != transaction_id:
        raise WeChatUnavailable(ORDER.name, "NoOrder")
    count = shipping.get("finish_shipping_count", 0)
    return ShippedOrder(
        transaction_id=transaction_id,
        state=state,
        in_complaint=said.get("in_complaint") is True,
        finished=shipping.get("finish_shipping") is True,
        finished_count=count if type(count) is int else 0,
        paid_fen=paid,
        openid=str(said.get("openid", "")),
    )


def is_trade_managed(api: Api) -> bool:
    """Whether this mini-program's orders are under WeChat's management. If not, skip uploads and say so."""
    found = api.call(MANAGED, {"appid": api.appid}).get("is_trade_managed")
    if not isinstance(found, bool):
        raise WeChatUnavailable(MANAGED.name, "NoAnswer")
    return found


def _checked(parcels: Sequence[Parcel], logistics: Logistics) -> Sequence[Parcel]:
    most = MOST_PARCELS if logistics is Logistics.EXPRESS else 1
    if not 1 <= len(parcels) <= most:
        raise ValueError(f"{logistics.name.lower()} has 1 to {most} parcels")
    return parcels


def _parcel(parcel: Parcel, logistics: Logistics) -> dict[str, Any]:
    if not 0 < len(parcel.item_desc) <= LONGEST_ITEM:
        raise ValueError(f"a description of goods has 1 to {LONGEST_ITEM} characters")
    if logistics is not Logistics.EXPRESS:
        return {"item_desc": parcel.item_desc}
    if not (parcel.tracking_no and 0 < len(parcel.express_company) <= 128):
        raise ValueError("express needs a tracking number and the carrier's code")
    if parcel.express_company == "SF" and not parcel.contact:
        raise ValueError("SF Express needs the receiver's masked number")
    sent: dict[str, Any] = {
        "item_desc": parcel.item_desc,
        "tracking_no": parcel.tracking_no,
        "express_company": parcel.express_company,
    }
    if parcel.contact:
        sent["contact"] = {"receiver_contact": parcel.contact}
    return sent
