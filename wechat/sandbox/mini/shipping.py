"""Order shipping: money stays frozen until it is told what was shipped, and settles days later.

Payments come from host B's book. Numbers of single field errors lie in the documented ranges; which one stands for
which field is this sandbox's choice where no page tells.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wechat.sandbox.mini.calls import MiniCall, MiniRefusal
from wechat.sandbox.pay.book import Order

if TYPE_CHECKING:
    from wechat.sandbox.mini.service import Mini

UNKNOWN_SECONDS = 10
REMIND_SECONDS = 48 * 3600
SETTLE_DAYS = {1: 10, 2: 2, 3: 2, 4: 2}
EXPRESS, UNIFIED, SPLIT = 1, 1, 2
MOST_PARCELS, LONGEST_ITEM, LONGEST_NUMBER = 15, 120, 128
TO_SHIP, SHIPPED, RECEIVED, COMPLETED, REFUNDED, PENDING = 1, 2, 3, 4, 5, 6
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)")


def upload(call: MiniCall) -> dict[str, Any]:
    """``POST /wxa/sec/order/upload_shipping_info``."""
    content = call.content()
    known = (
        "order_key",
        "logistics_type",
        "delivery_mode",
        "is_all_delivered",
        "shipping_list",
        "upload_time",
        "payer",
    )
    call.fields(content, *known)
    with call.mini.box.book.lock:
        order = _order(call, content.get("order_key"))
        uploaded = _checked(content)
        if uploaded["openid"] != order.openid:
            raise MiniRefusal(10060031)
        _record(call, order, uploaded)
        told = dict(order.shipping)
    call.mini.follow_shipping(order, told)
    return {"errcode": 0, "errmsg": "ok"}


def _order(call: MiniCall, key: Any) -> Order:
    book = call.mini.box.book
    if not isinstance(key, dict) or key.get("order_number_type") not in (1, 2):
        raise MiniRefusal(10060014)
    if key["order_number_type"] == 2:
        if not key.get("transaction_id"):
            raise MiniRefusal(268485195)
        number = book.by_transaction.get(str(key["transaction_id"]), "")
    else:
        if not key.get("mchid") or not key.get("out_trade_no"):
            raise MiniRefusal(268485194)
        number = str(key["out_trade_no"]) if key["mchid"] == book.mchid else ""
    order = book.order(number)
    if order is None or order.paid_at is None or call.now < order.paid_at + UNKNOWN_SECONDS:
        raise MiniRefusal(10060001)
    return order


def _checked(content: dict[str, Any]) -> dict[str, Any]:
    """The upload with each field judged. Raises MiniRefusal."""
    kind, mode, parcels = content.get("logistics_type"), content.get("delivery_mode"), content.get("shipping_list")
    if kind not in SETTLE_DAYS:
        raise MiniRefusal(10060005)
    if mode not in (UNIFIED, SPLIT):
        raise MiniRefusal(268485224)
    if mode == SPLIT and kind != EXPRESS:
        raise MiniRefusal(10060006)
    if mode == SPLIT and not isinstance(content.get("is_all_delivered"), bool):
        raise MiniRefusal(10060007)
    if not isinstance(parcels, list) or not parcels:
        raise MiniRefusal(10060020)
    if len(parcels) > (MOST_PARCELS if mode == SPLIT else 1):
        raise MiniRefusal(10060024)
    for parcel in parcels:
        _parcel(parcel, express=kind == EXPRESS)
    moment, payer = content.get("upload_time"), content.get("payer")
    if not isinstance(moment, str) or not _MOMENT.fullmatch(moment):
        raise MiniRefusal(268485216)
    if not isinstance(payer, dict) or not payer.get("openid"):
        raise MiniRefusal(268485228)
    return {
        "kind": kind,
        "mode": mode,
        "all": bool(content.get("is_all_delivered", True)),
        "parcels": parcels,
        "moment": datetime.fromisoformat(moment).timestamp(),
        "openid": payer["openid"],
    }


def _parcel(parcel: Any, *, express: bool) -> None:
    if not isinstance(parcel, dict) or not isinstance(parcel.get("item_desc"), str) or not parcel["item_desc"]:
        raise MiniRefusal(10060008)
    if len(parcel["item_desc"]) > LONGEST_ITEM:
        raise MiniRefusal(10060009)
    if not express:
        return
    company, number = parcel.get("express_company"), parcel.get("tracking_no")
    if not isinstance(company, str) or not 0 < len(company) <= LONGEST_NUMBER:
        raise MiniRefusal(10060025)
    if not isinstance(number, str) or not 0 < len(number) <= LONGEST_NUMBER:
        raise MiniRefusal(10060026)
    contact = parcel.get("contact", {})
    masked = [contact.get(name) for name in ("consignor_contact", "receiver_contact") if contact.get(name)]
    if company == "SF" and not (masked and all(re.fullmatch(r"[\d+\-*]*\*+\d{4}", str(one)) for one in masked)):
        raise MiniRefusal(10060014)


def _record(call: MiniCall, order: Order, uploaded: dict[str, Any]) -> None:
    """First upload, further parcels of a split one, or the one chance to ship again."""
    kept = order.shipping
    if order.state == "REFUND" and call.mini.box.book.refunded(order) >= order.total_fen:
        raise MiniRefusal(10060004)
    if state_of(call.mini, order) in (RECEIVED, COMPLETED, PENDING):
        raise MiniRefusal(10060002)
    if kept and uploaded["moment"] <= kept["moment"]:
        raise MiniRefusal(268485216)
    content = {name: uploaded[name] for name in ("kind", "mode", "all", "parcels")}
    if kept and content == {name: kept[name] for name in content}:
        raise MiniRefusal(10060023)
    goes_on = kept and kept["mode"] == uploaded["mode"] == SPLIT and not kept["all"]
    if kept and not goes_on:
        if kept["again"]:
            raise MiniRefusal(10060003)
        uploaded = {**uploaded, "again": True}
    counted = {"count": kept.get("count", 0) + 1, "again": kept.get("again", False), "shipped_at": call.now}
    order.shipping = {**kept, **counted, **uploaded}


def state_of(mini: Mini, order: Order) -> int:
    """``order_state`` at this moment of business time."""
    kept, now = order.shipping, mini.state.now()
    if mini.box.book.refunded(order) >= order.total_fen:
        return REFUNDED
    if not kept or not kept["all"]:
        return TO_SHIP
    confirmed = kept.get("confirmed_at")
    settles = kept["shipped_at"] + SETTLE_DAYS[kept["kind"]] * 86400
    if confirmed is not None or now >= settles:
        return COMPLETED
    return SHIPPED


def get_order(call: MiniCall) -> dict[str, Any]:
    """``POST /wxa/sec/order/get_order``."""
    content = call.content()
    call.fields(content, "transaction_id", "merchant_id", "merchant_trade_no", "sub_merchant_id")
    if content.get("transaction_id"):
        key = {"order_number_type": 2, "transaction_id": content["transaction_id"]}
    else:
        key = {"order_number_type": 1, "mchid": content.get("merchant_id")}
        key["out_trade_no"] = content.get("merchant_trade_no")
    with call.mini.box.book.lock:
        order = _order(call, key)
        return {"errcode": 0, "errmsg": "ok", "order": _shown(call, order)}


def _shown(call: MiniCall, order: Order) -> dict[str, Any]:
    assert order.paid_at is not None
    kept = order.shipping
    shipping = {
        "delivery_mode": kept.get("mode", 0),
        "logistics_type": kept.get("kind", 0),
        "finish_shipping": bool(kept) and kept["all"],
        "finish_shipping_count": 0 if not kept or not kept["all"] else 2 if kept["again"] else 1,
        "shipping_list": kept.get("parcels", []),
        "goods_desc": str(order.request["description"]),
    }
    return {
        "transaction_id": order.transaction_id,
        "merchant_trade_no": order.number,
        "merchant_id": call.mini.box.book.mchid,
        "description": str(order.request["description"]),
        "paid_amount": order.total_fen,
        "openid": order.openid,
        "trade_create_time": int(order.created),
        "pay_time": int(order.paid_at),
        "order_state": state_of(call.mini, order),
        "in_complaint": False,
        "shipping": shipping,
    }


def is_trade_managed(call: MiniCall) -> dict[str, Any]:
    """``POST /wxa/sec/order/is_trade_managed``."""
    content = call.content(40097)
    if not content.get("appid"):
        raise MiniRefusal(40097)
    if content["appid"] != call.state.appid:
        raise MiniRefusal(40013)
    return {"errcode": 0, "errmsg": "ok", "is_trade_managed": call.mini.switches.trade_managed}


def confirmed(call: MiniCall) -> dict[str, Any]:
    """``POST /wxa/sec/order/notify_confirm_receive``: reminds the user; express only, once per order."""
    content = call.content()
    key = {"order_number_type": 2, "transaction_id": content.get("transaction_id")}
    if not content.get("transaction_id"):
        key = {"order_number_type": 1, "mchid": content.get("merchant_id")}
        key["out_trade_no"] = content.get("merchant_trade_no")
    with call.mini.box.book.lock:
        order = _order(call, key)
        kept, received = order.shipping, content.get("received_time")
        if not kept or kept["kind"] != EXPRESS:
            raise MiniRefusal(10060028)
        if kept.get("reminded"):
            raise MiniRefusal(10060029)
        if not isinstance(received, int) or received < kept["shipped_at"] - 1:
            raise MiniRefusal(10060030)
        kept["reminded"] = True
    return {"errcode": 0, "errmsg": "ok"}


def jump_path(call: MiniCall) -> dict[str, Any]:
    """``POST /wxa/sec/order/set_msg_jump_path``."""
    content = call.content()
    call.fields(content, "path")
    if not isinstance(content.get("path"), str) or not content["path"]:
        raise MiniRefusal(40097)
    return {"errcode": 0, "errmsg": "ok"}
