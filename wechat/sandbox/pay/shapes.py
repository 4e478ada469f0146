"""The JSON that WeChat answers and announces, built from the book."""

from __future__ import annotations

from typing import Any

from wechat.sandbox.clock import rfc3339
from wechat.sandbox.pay.book import Book, Order, Refund

STATES = {"SUCCESS": "支付成功", "REFUND": "转入退款", "NOTPAY": "订单未支付", "CLOSED": "订单已关闭"}
ACCOUNT = "招商银行信用卡0403"


def transaction(book: Book, order: Order) -> dict[str, Any]:
    """An order as the query answers it and as the notice carries it."""
    body: dict[str, Any] = {"appid": order.appid, "mchid": book.mchid, "out_trade_no": order.number}
    paid = order.paid_at is not None
    if paid:
        body |= {"transaction_id": order.transaction_id, "trade_type": "JSAPI"}
    body |= {"trade_state": order.state, "trade_state_desc": STATES[order.state], "promotion_detail": []}
    body["attach"] = order.request.get("attach", "")
    amount: dict[str, Any] = {"total": order.total_fen, "currency": "CNY"}
    if paid:
        assert order.paid_at is not None
        body |= {"bank_type": "OTHERS", "success_time": rfc3339(order.paid_at)}
        amount |= {"payer_total": order.payer_fen, "payer_currency": "CNY"}
    if paid and order.coupon_fen:
        body["promotion_detail"] = [
            {
                "coupon_id": f"{order.transaction_id[-9:]}",
                "name": "沙箱立减",
                "scope": "GLOBAL",
                "type": "CASH",
                "amount": order.coupon_fen,
                "wechatpay_contribute": order.coupon_fen,
                "merchant_contribute": 0,
                "other_contribute": 0,
                "currency": "CNY",
            }
        ]
    return {**body, "payer": {"openid": order.openid}, "amount": amount}


def refund(book: Book, entry: Refund) -> dict[str, Any]:
    """A refund as the call and its query answer it."""
    order = book.orders[entry.order]
    body: dict[str, Any] = {
        "refund_id": entry.refund_id,
        "out_refund_no": entry.number,
        "transaction_id": order.transaction_id,
        "out_trade_no": order.number,
        "channel": "ORIGINAL",
        "user_received_account": ACCOUNT,
        "create_time": rfc3339(entry.created),
        "status": entry.status,
        "funds_account": "UNSETTLED",
        "amount": {
            "total": order.total_fen,
            "refund": entry.refund_fen,
            "payer_total": order.payer_fen,
            "payer_refund": entry.payer_fen,
            "settlement_refund": entry.refund_fen,
            "settlement_total": order.total_fen,
            "discount_refund": entry.refund_fen - entry.payer_fen,
            "refund_fee": book.fee(entry.refund_fen),
            "currency": "CNY",
        },
    }
    if entry.status == "SUCCESS" and entry.ended_at is not None:
        body["success_time"] = rfc3339(entry.ended_at)
    return body


def refund_notice(book: Book, entry: Refund) -> dict[str, Any]:
    """A refund as its notice carries it: other names than in the query."""
    order = book.orders[entry.order]
    body: dict[str, Any] = {
        "mchid": book.mchid,
        "out_trade_no": order.number,
        "transaction_id": order.transaction_id,
        "out_refund_no": entry.number,
        "refund_id": entry.refund_id,
        "refund_status": entry.status,
        "user_received_account": ACCOUNT,
        "amount": {
            "total": order.total_fen,
            "refund": entry.refund_fen,
            "payer_total": order.payer_fen,
            "payer_refund": entry.payer_fen,
        },
    }
    if entry.status == "SUCCESS" and entry.ended_at is not None:
        body["success_time"] = rfc3339(entry.ended_at)
    return body
