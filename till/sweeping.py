"""What is due about payments stands in the tables, not in the queue; the sweep finds it, also when a job was lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from app import orders, payments
from app.clock import now
from app.db import transaction
from app.payments import shipping
from till.calls import end_order, look, work_refund
from till.desk import find
from till.shipping import upload

SWEEP_SECONDS = 45.0


def sweep() -> int:
    """Everything about payments that is due, oldest first, for most of a minute; answers how much it was.

    A WeChat that hangs must not hold the sweep for longer: what is left is due in the next one.
    """
    total, until = 0, time.monotonic() + SWEEP_SECONDS
    while time.monotonic() < until:
        work = _due()
        for one in work:
            one()
            total += 1
            if time.monotonic() >= until:
                return total
        if not work:
            break
    return total


def _due() -> list[Callable[[], None]]:
    """What is due now, as calls."""
    desk, at = find(), now()
    with transaction():
        ends = orders.due_to_end(at)
    found: list[Callable[[], None]] = [
        partial(end_order, desk, order_id=order_id, become=become) for order_id, become in ends
    ]
    if desk is None:
        for call in found:
            call()
        return []
    with transaction():
        looks, backs, ships = payments.due_payments(at), payments.due_refunds(at), shipping.due(at)
    found += [partial(look, desk, payment_id) for payment_id in looks]
    found += [partial(work_refund, desk, refund_id) for refund_id in backs]
    return found + [partial(upload, desk, shipment_id) for shipment_id in ships]
