"""Prepay, query and close."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from wechat.sandbox.pay import shapes
from wechat.sandbox.pay.book import ORDER_SECONDS, PAYABLE, Book, Order
from wechat.sandbox.pay.fields import AMOUNT_CNY, FLAG, ORDER_NUMBER, group, moment, notify_url, rows, text, whole
from wechat.sandbox.pay.refusals import ORDER_UNKNOWN, PayRefusal, invalid, wrong_field

EARLIEST_SECONDS, LATEST_SECONDS = 60, 90 * 86400
_GOODS = {
    "merchant_goods_id": text(32),
    "wechatpay_goods_id": text(32),
    "goods_name": text(256),
    "quantity": whole(1),
    "unit_price": whole(0),
}
_DETAIL = {
    "cost_price": whole(0),
    "invoice_id": text(32),
    "goods_detail": rows(group(_GOODS, ("merchant_goods_id", "quantity", "unit_price")), 6000),
}
_STORE = {"id": text(32), "name": text(256), "area_code": text(32), "address": text(512)}
_SCENE = {"payer_client_ip": text(45), "device_id": text(32), "store_info": group(_STORE, ("id",))}
_PREPAY = group(
    {
        "appid": text(32),
        "mchid": text(32),
        "description": text(127),
        "out_trade_no": ORDER_NUMBER,
        "time_expire": moment,
        "attach": text(128, shortest=0),
        "notify_url": notify_url,
        "goods_tag": text(32),
        "support_fapiao": FLAG,
        "amount": group({"total": whole(1), "currency": AMOUNT_CNY}, ("total",)),
        "payer": group({"openid": text(128)}, ("openid",)),
        "detail": group(_DETAIL),
        "scene_info": group(_SCENE, ("payer_client_ip",)),
        "settle_info": group({"profit_sharing": FLAG}),
    },
    ("appid", "mchid", "description", "out_trade_no", "notify_url", "amount", "payer"),
)
_CLOSE = group({"mchid": text(32)}, ("mchid",))


def prepay(book: Book, body: dict[str, Any], known_openid: Any) -> dict[str, Any]:
    """Open an order, or repeat one with the very same content. Raises PayRefusal."""
    _PREPAY("", body)
    _same_merchant(book, body["mchid"])
    if body["appid"] not in book.appids:
        raise PayRefusal(400, "APPID_MCHID_NOT_MATCH", "appid和mchid不匹配", 268445527)
    openid = body["payer"]["openid"]
    if not known_openid(body["appid"], openid):
        raise wrong_field("/payer/openid", openid, "无效的openid")
    with book.lock:
        order = book.order(body["out_trade_no"])
        if order is None:
            order = book.orders[body["out_trade_no"]] = _opened(book, body)
        else:
            _repeatable(book, order, body)
        return {"prepay_id": book.new_prepay_id(order)}


def _opened(book: Book, body: dict[str, Any]) -> Order:
    now = book.clock.now()
    wanted = body.get("time_expire")
    expires = now + ORDER_SECONDS if wanted is None else datetime.fromisoformat(wanted).timestamp()
    expires = min(max(expires, now + EARLIEST_SECONDS), now + LATEST_SECONDS)
    return Order(body["out_trade_no"], body, body["payer"]["openid"], now, expires)


def _repeatable(book: Book, order: Order, body: dict[str, Any]) -> None:
    same = order.request == body
    if order.paid_at is not None:
        if not same:
            raise PayRefusal(403, "OUT_TRADE_NO_USED", "商户订单号重复", 268498689)
        raise invalid("该订单已支付", 268498689)
    if order.state != PAYABLE or book.clock.now() >= order.expires:
        raise invalid("该订单已失效，请更换商户订单号后重新下单", 268447914)
    if not same:
        raise invalid("请求重入时，参数与首次请求时不一致", 268498688)


def query(book: Book, number: str, mchid: str, *, by_transaction: bool = False) -> dict[str, Any]:
    """The order as it stands. Raises PayRefusal 404."""
    _same_merchant(book, mchid, location="query")
    with book.lock:
        order = book.order(book.by_transaction.get(number, "") if by_transaction else number)
        if order is None:
            raise PayRefusal(*ORDER_UNKNOWN)
        return shapes.transaction(book, order)


def close(book: Book, number: str, body: dict[str, Any], paid_code: str = "ORDER_PAID") -> None:
    """End an unpaid order; may be repeated. ``paid_code``: sources spell it ORDER_PAID and ORDERPAID."""
    _CLOSE("", body)
    _same_merchant(book, body["mchid"])
    with book.lock:
        order = book.order(number)
        if order is None:
            raise PayRefusal(*ORDER_UNKNOWN)
        if order.paid_at is not None:
            raise PayRefusal(400, paid_code, "该订单已支付，不能关单", 268449538)
        order.state = "CLOSED"


def _same_merchant(book: Book, mchid: str, location: str = "body") -> None:
    if mchid != book.mchid:
        raise wrong_field("mchid", mchid, "商户号与签名的商户号不一致", location=location, number=268447843)
