"""The cash desk (收银台): what the user does, and what ``wx.requestPayment`` says to the mini-program then."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wechat.sandbox import crypto
from wechat.sandbox.pay import shapes
from wechat.sandbox.pay.book import PAYABLE, PREPAY_SECONDS, Order

if TYPE_CHECKING:
    from wechat.sandbox.box import Sandbox

OK, CANCEL = "requestPayment:ok", "requestPayment:fail cancel"
ACTS = ("pay", "cancel", "wrong_password", "insufficient", "trap")
PARAMETERS = ("timeStamp", "nonceStr", "package", "signType", "paySign")


class DeskRefusal(Exception):
    """The cash desk doesn't open, or the payment doesn't go through; the text is what the user sees."""

    def __init__(self, text: str, why: str = "") -> None:
        super().__init__(text)
        self.text, self.why = text, why


@dataclass(frozen=True)
class Opened:
    """A cash desk that opened for an order."""

    order: str
    description: str
    total_fen: int


def call_up(box: Sandbox, parameters: dict[str, Any], openid: str) -> Opened:
    """Check the call-up parameters as the real cash desk does. Raises DeskRefusal with WeChat's words."""
    for name in PARAMETERS:
        if not isinstance(parameters.get(name), str) or not parameters[name]:
            raise DeskRefusal("调用支付JSAPI缺少参数：" + name, "each of the five parameters is a string")
    if set(parameters) - {*PARAMETERS, "appId"}:
        raise DeskRefusal("支付参数错误", "unknown parameters")
    if parameters["signType"] != "RSA" or not re.fullmatch(r"\d{10}", parameters["timeStamp"]):
        raise DeskRefusal("支付验证签名失败", "signType must be RSA, timeStamp a string of seconds")
    package = parameters["package"]
    if not package.startswith("prepay_id=") or len(parameters["nonceStr"]) > 32:
        raise DeskRefusal("支付参数错误", "package must be prepay_id=…, nonceStr at most 32 characters")
    order = box.order(box.book.by_prepay.get(package.removeprefix("prepay_id="), ""))
    appid = order.appid if order else box.identity.appid
    message = crypto.lines(appid, parameters["timeStamp"], parameters["nonceStr"], package)
    if not crypto.signed_by(box.identity.merchant_key, parameters["paySign"], message):
        raise DeskRefusal("支付验证签名失败", "paySign isn't the merchant's signature over these four lines")
    return _open(box, package.removeprefix("prepay_id="), openid)


def _open(box: Sandbox, prepay_id: str, openid: str) -> Opened:
    with box.book.lock:
        order = box.book.order(box.book.by_prepay.get(prepay_id, ""))
        if order is None:
            raise DeskRefusal("预支付交易会话标识无效", "prepay_id unknown")
        if box.clock.now() >= order.prepay_ids[prepay_id] + PREPAY_SECONDS:
            raise DeskRefusal("该订单已失效", "prepay_id is older than two hours")
        if order.openid != openid:
            raise DeskRefusal("下单账号与支付账号不一致", "the order is another user's")
        _payable(box, order)
        return Opened(order.number, str(order.request["description"]), order.total_fen)


def _payable(box: Sandbox, order: Order) -> None:
    if order.paid_at is not None:
        raise DeskRefusal("该订单已支付", "paid before")
    if order.state != PAYABLE:
        raise DeskRefusal("该订单已关闭", "closed")
    if box.clock.now() >= order.expires:
        raise DeskRefusal("该订单已失效", "past time_expire")


def act(box: Sandbox, number: str, what: str, *, coupon_fen: int = 0) -> str:
    """The user's decision; what ``wx.requestPayment`` answers. Raises DeskRefusal, ValueError for no such act."""
    if what not in ACTS:
        raise ValueError(f"act must be one of {', '.join(ACTS)}")
    if what == "cancel":
        return CANCEL
    if what == "trap":
        return OK
    with box.book.lock:
        order = _found(box, number)
        _payable(box, order)
        if what == "wrong_password":
            raise DeskRefusal("支付密码错误", "the order stays unpaid")
        if what == "insufficient":
            raise DeskRefusal("余额不足", "the order stays unpaid")
        _pay(box, order, box.clock.now(), coupon_fen)
    return OK


def begin(box: Sandbox, number: str, seconds: float, *, coupon_fen: int = 0, anyway: bool = False) -> None:
    """Begin to pay now, finish after that many business seconds: after the expiry too, as begun payments may.
    ``anyway``: even when the order was closed meanwhile (a payment that crosses the closing on its way)."""
    with box.book.lock:
        order = _found(box, number)
        if not anyway:
            _payable(box, order)
        order.begun = True
    box.agenda.at(box.clock.now() + seconds, lambda due: _finish(box, order, due, coupon_fen, anyway))


def pay_anyway(box: Sandbox, number: str, *, coupon_fen: int = 0) -> None:
    """Pay an unpaid order whatever its state: closed or expired. For the test of money that comes too late."""
    with box.book.lock:
        order = _found(box, number)
        if order.paid_at is not None:
            raise DeskRefusal("该订单已支付", "paid before")
        _pay(box, order, box.clock.now(), coupon_fen)


def _finish(box: Sandbox, order: Order, due: float, coupon_fen: int, anyway: bool) -> None:
    with box.book.lock:
        if order.paid_at is None and (anyway or order.state == PAYABLE):
            _pay(box, order, due, coupon_fen)


def _pay(box: Sandbox, order: Order, at: float, coupon_fen: int) -> None:
    if not 0 <= coupon_fen <= order.total_fen:
        raise ValueError("coupon_fen must be between zero and the amount")
    box.book.succeed(order, at, coupon_fen)
    resource = shapes.transaction(box.book, order)
    box.notices.announce("TRANSACTION.SUCCESS", order.number, order.number, resource, order.notify_url, at)
    box.mini.paid(order, at)


def _found(box: Sandbox, number: str) -> Order:
    order = box.book.order(number)
    if order is None:
        raise DeskRefusal("订单不存在", "no such out_trade_no")
    return order
