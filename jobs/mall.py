"""The mall over time: announced pieces, turns on waiting lists, parcels and bookings whose time is over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TypeVar

import structlog

from app import later, mall, orders
from app.clock import now
from app.db import retrying, transaction
from app.errors import Refusal
from app.payments import refunds

T = TypeVar("T")
log = structlog.get_logger("jobs")
AGAIN = timedelta(seconds=90)


def offer(item_id: int) -> int:
    """Give those who wait for an item their turn; answers how many were offered a piece."""
    return _alone(lambda: len(mall.offer(item_id=item_id, at=now())))


def tell_low(item_id: int) -> int:
    """Tell whoever can restock an item that little is left."""
    return _alone(lambda: mall.tell_low(item_id=item_id, at=now()))


def refund_expired(order_id: int) -> int:
    """Money for codes that ended unused goes back; a minute later when another refund of the order is under way."""
    try:
        return _alone(lambda: int(orders.refund_expired(order_id=order_id, at=now()) is not None))
    except Refusal as refusal:
        if refusal.code != refunds.REFUND_UNDERWAY.code:
            raise
    soon = now() + AGAIN
    _alone(lambda: later.defer(later.EXPIRED_MONEY, key=f"expired:{order_id}", at=soon, order_id=order_id))
    return 0


def sweep() -> int:
    """Everything about the mall that is due; answers how much it was. What is due stands in the tables."""
    restocked = _alone(lambda: len(mall.add_due(at=now())))
    lapsed = _alone(lambda: mall.lapse(at=now()))
    _each(mall.to_offer(now()), offer)
    received = _each(orders.parcels.arrived(now()), _receive)
    booked = _each(orders.bookings.over(now()), _close)
    return restocked + lapsed + received + booked


def forget() -> None:
    """Addresses of parcels that arrived long ago are forgotten."""
    with transaction():
        orders.parcels.forget(now())


def _receive(order_id: int) -> None:
    _alone(lambda: orders.parcels.receive(order_id=order_id, by="system:time", at=now()))


def _close(order_id: int) -> None:
    _alone(lambda: orders.bookings.close(order_id, now()))


def _each(ids: Iterable[int], work: Callable[[int], object]) -> int:
    """One order or item, one transaction: one that is refused waits for the next sweep and stops no other."""
    count = 0
    for one in ids:
        try:
            work(one)
        except Refusal as refusal:
            log.warning("sweep_refused", code=refusal.code, work=work.__name__, id=one)
        else:
            count += 1
    return count


def _alone(command: Callable[[], T]) -> T:
    def once() -> T:
        with transaction():
            return command()

    return retrying(once)
