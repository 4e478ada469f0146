"""What is due about payments stands in the tables, not in the queue; the sweep finds it, also when a job was lost."""

from __future__ import annotations

import time

from app import orders, payments
from app.clock import now
from app.db import transaction
from app.payments import shipping
from till.calls import end_order, look, work_refund
from till.desk import find
from till.shipping import upload

SWEEP_SECONDS = 45.0


def sweep() -> int:
    """Everything about payments that is due, oldest first, for most of a minute; answers how much it was."""
    total, until = 0, time.monotonic() + SWEEP_SECONDS
    while done := _sweep_once():
        total += done
        if time.monotonic() > until:
            break
    return total


def _sweep_once() -> int:
    desk, at = find(), now()
    with transaction():
        ends = orders.due_to_end(at)
    for order_id, become in ends:
        end_order(desk, order_id=order_id, become=become)
    if desk is None:
        return 0
    with transaction():
        looks, backs, ships = payments.due_payments(at), payments.due_refunds(at), shipping.due(at)
    for payment_id in looks:
        look(desk, payment_id)
    for refund_id in backs:
        work_refund(desk, refund_id)
    for shipment_id in ships:
        upload(desk, shipment_id)
    return len(looks) + len(backs) + len(ships)
