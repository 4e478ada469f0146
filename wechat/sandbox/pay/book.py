"""What this WeChat knows of payments: orders, refunds, and each movement of the merchant's money."""

from __future__ import annotations

import itertools
import secrets
import threading
from dataclasses import dataclass, field
from typing import Any

from wechat.sandbox.clock import Clock, beijing

PREPAY_SECONDS = 2 * 3600
ORDER_SECONDS = 7 * 86400
PAYABLE = "NOTPAY"


@dataclass
class Order:
    """One ``out_trade_no``. Times are business seconds; amounts are fen."""

    number: str
    request: dict[str, Any]
    openid: str
    created: float
    expires: float
    state: str = PAYABLE
    transaction_id: str = ""
    paid_at: float | None = None
    coupon_fen: int = 0
    begun: bool = False
    prepay_ids: dict[str, float] = field(default_factory=dict)
    refunds: list[str] = field(default_factory=list)
    shipping: dict[str, Any] = field(default_factory=dict)

    @property
    def total_fen(self) -> int:
        return int(self.request["amount"]["total"])

    @property
    def appid(self) -> str:
        return str(self.request["appid"])

    @property
    def payer_fen(self) -> int:
        return self.total_fen - self.coupon_fen

    @property
    def notify_url(self) -> str:
        return str(self.request["notify_url"])


@dataclass
class Refund:
    """One ``out_refund_no``."""

    number: str
    request: dict[str, Any]
    order: str
    refund_id: str
    created: float
    refund_fen: int
    payer_fen: int
    status: str = "PROCESSING"
    ended_at: float | None = None
    ending: str = ""


@dataclass(frozen=True)
class Move:
    """A movement of the merchant's balance: income is positive. ``fee`` is in fen."""

    at: float
    kind: str
    order: str
    refund: str
    fen: int
    number: str


@dataclass
class Book:
    """Everything of payments behind one lock. ``balance_fen`` bounds refunds; it starts with money of its own."""

    clock: Clock
    mchid: str
    appid: str
    balance_fen: int = 10_000_000_00
    fee_rate_ppm: int = 6_000
    orders: dict[str, Order] = field(default_factory=dict)
    by_transaction: dict[str, str] = field(default_factory=dict)
    by_prepay: dict[str, str] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    appids: set[str] = field(default_factory=set)
    _numbers: Any = field(default_factory=lambda: itertools.count(secrets.randbelow(10**6)))

    def __post_init__(self) -> None:
        self.appids.add(self.appid)

    def order(self, number: str) -> Order | None:
        """The order as it stands now: unpaid ones are closed by WeChat after seven days."""
        found = self.orders.get(number)
        if found is not None and found.state == PAYABLE and self.clock.now() >= found.created + ORDER_SECONDS:
            found.state = "CLOSED"
        return found

    def new_number(self, prefix: str, length: int) -> str:
        """A number in WeChat's manner: prefix, day, counter; never the same twice."""
        body = f"{beijing(self.clock.now()):%Y%m%d}{next(self._numbers):010d}"
        return prefix + body[-(length - len(prefix)) :].rjust(length - len(prefix), "0")

    def new_prepay_id(self, order: Order) -> str:
        now = self.clock.now()
        made = f"wx{beijing(now):%d%H%M%S%f}{next(self._numbers):010d}".ljust(28, "0") + secrets.token_hex(4)
        order.prepay_ids[made] = now
        self.by_prepay[made] = order.number
        return made

    def succeed(self, order: Order, at: float, coupon_fen: int = 0) -> None:
        """Money arrives: the order is paid and the merchant's balance grows, less the fee. The lock is held."""
        order.state, order.paid_at, order.coupon_fen, order.begun = "SUCCESS", at, coupon_fen, False
        order.transaction_id = self.new_number("4200", 28)
        self.by_transaction[order.transaction_id] = order.number
        self.move(at, "PAYMENT", order.number, "", order.total_fen)
        fee = self.fee(order.total_fen)
        if fee:
            self.move(at, "FEE", order.number, "", -fee)

    def fee(self, fen: int) -> int:
        """WeChat's fee in whole fen, half up."""
        return (fen * self.fee_rate_ppm + 500_000) // 1_000_000

    def move(self, at: float, kind: str, order: str, refund: str, fen: int) -> None:
        self.balance_fen += fen
        self.moves.append(Move(at, kind, order, refund, fen, self.new_number("1000", 28)))

    def refunded(self, order: Order) -> int:
        """Fen of refunds that are done or under way."""
        standing = (self.refunds[number] for number in order.refunds)
        return sum(refund.refund_fen for refund in standing if refund.status != "CLOSED")
