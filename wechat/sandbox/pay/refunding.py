"""Refunds: asked for, under way, ended."""

from __future__ import annotations

from typing import Any

from wechat.sandbox.pay import shapes
from wechat.sandbox.pay.book import Book, Order, Refund
from wechat.sandbox.pay.fields import AMOUNT_CNY, REFUND_NUMBER, group, notify_url, one_of, rows, text, whole
from wechat.sandbox.pay.refusals import RESOURCE_UNKNOWN, PayRefusal, invalid

MOST_REFUNDS = 50
YEAR_SECONDS = 365 * 86400
ENDINGS = ("SUCCESS", "ABNORMAL", "CLOSED")
_GOODS = {
    "merchant_goods_id": text(32),
    "wechatpay_goods_id": text(32),
    "goods_name": text(256),
    "unit_price": whole(0),
    "refund_amount": whole(0),
    "refund_quantity": whole(1),
}
_FROM = group({"account": one_of("AVAILABLE", "UNAVAILABLE"), "amount": whole(1)}, ("account", "amount"))
_REFUND = group(
    {
        "transaction_id": text(32),
        "out_trade_no": text(32, r"[0-9A-Za-z_\-|*]+", 6),
        "out_refund_no": REFUND_NUMBER,
        "reason": text(80),
        "notify_url": notify_url,
        "funds_account": one_of("AVAILABLE", "UNSETTLED"),
        "amount": group(
            {"refund": whole(1), "total": whole(1), "currency": AMOUNT_CNY, "from": rows(_FROM, 10)},
            ("refund", "total", "currency"),
        ),
        "goods_detail": rows(group(_GOODS, ("merchant_goods_id", "unit_price", "refund_amount")), 1000),
    },
    ("out_refund_no", "amount"),
)


def refund(book: Book, body: dict[str, Any], account_gone: Any) -> tuple[Refund, bool]:
    """Accept a refund, or answer the same one again. The flag says whether it is new. Raises PayRefusal."""
    _REFUND("", body)
    with book.lock:
        order = _order(book, body)
        known = book.refunds.get(body["out_refund_no"])
        if known is not None:
            if known.request != body:
                raise invalid("请求参数与首次退款请求不一致", 268498688)
            return known, False
        fen = body["amount"]["refund"]
        _allowed(book, order, fen, body["amount"]["total"])
        if account_gone(order.openid):
            raise PayRefusal(403, "USER_ACCOUNT_ABNORMAL", "用户账号异常或注销")
        if book.balance_fen < fen:
            raise PayRefusal(403, "NOT_ENOUGH", "商户余额不足")
        return _accepted(book, order, body, fen), True


def _order(book: Book, body: dict[str, Any]) -> Order:
    if "transaction_id" not in body and "out_trade_no" not in body:
        raise invalid("transaction_id和out_trade_no不能同时为空")
    number = book.by_transaction.get(body["transaction_id"], "") if "transaction_id" in body else body["out_trade_no"]
    order = book.order(number)
    if order is None or order.paid_at is None:
        raise PayRefusal(*RESOURCE_UNKNOWN)
    if body.get("out_trade_no", number) != number:
        raise invalid("transaction_id和out_trade_no不匹配")
    return order


def _allowed(book: Book, order: Order, fen: int, total: int) -> None:
    assert order.paid_at is not None
    if total != order.total_fen:
        raise invalid("订单金额与原订单不一致")
    if len(order.refunds) >= MOST_REFUNDS:
        raise invalid("一笔订单最多支持50次部分退款")
    if book.clock.now() > order.paid_at + YEAR_SECONDS:
        raise invalid("订单已超过可退款的最大期限")
    if book.refunded(order) + fen > total:
        raise invalid("退款总金额超过订单金额")


def _accepted(book: Book, order: Order, body: dict[str, Any], fen: int) -> Refund:
    payer = (2 * fen * order.payer_fen + order.total_fen) // (2 * order.total_fen)
    number, now = body["out_refund_no"], book.clock.now()
    entry = Refund(number, body, order.number, book.new_number("5030", 29), now, fen, payer)
    book.refunds[number] = entry
    order.refunds.append(number)
    order.state = "REFUND"
    book.move(now, "REFUND", order.number, number, -fen)
    fee = book.fee(fen)
    if fee:
        book.move(now, "FEE", order.number, number, fee)
    return entry


def end(book: Book, number: str, status: str, at: float, *, by_hand: bool = False) -> Refund | None:
    """A refund under way comes to its end; None when it is over already. A closed one gives the money back.

    An abnormal one doesn't get well by itself: somebody of the merchant must act (``by_hand``).
    """
    with book.lock:
        entry = book.refunds[number]
        if entry.status != "PROCESSING" and not (by_hand and entry.status == "ABNORMAL" and status == "SUCCESS"):
            return None
        entry.status, entry.ended_at = status, at
        if status == "CLOSED":
            book.move(at, "REFUND_RETURN", entry.order, number, entry.refund_fen)
            if book.fee(entry.refund_fen):
                book.move(at, "FEE", entry.order, number, -book.fee(entry.refund_fen))
        return entry


def query(book: Book, number: str) -> dict[str, Any]:
    """Raises PayRefusal 404."""
    with book.lock:
        entry = book.refunds.get(number)
        if entry is None:
            raise PayRefusal(*RESOURCE_UNKNOWN)
        return shapes.refund(book, entry)
