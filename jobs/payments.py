"""Payments over time: looks, closings, refunds and uploads when they are due; the bill of yesterday.

Each is queued for its moment with the row that wants it. The sweep of every minute finds whatever the queue has lost:
what is due stands in the tables, not in the queue.
"""

from __future__ import annotations

import time
from datetime import timedelta

import structlog

import till
from app import orders, payments
from app.clock import business_day, now
from app.db import transaction
from app.payments import shipping
from wechat.pay import errors as pay

log = structlog.get_logger("jobs")
SWEEP_SECONDS = 45.0


def look(payment_id: int) -> None:
    """Ask WeChat how a payment stands."""
    desk = till.find()
    if desk is not None:
        till.look(desk, payment_id)


def refund(refund_id: int) -> None:
    """Ask WeChat for a refund, or how it stands."""
    desk = till.find()
    if desk is not None:
        till.work_refund(desk, refund_id)


def end_order(order_id: int) -> None:
    """The time to pay an order is over."""
    if orders.is_due(order_id, now()):
        till.end_order(till.find(), order_id=order_id, become="timed_out")


def sweep() -> int:
    """Everything about payments that is due, oldest first, for most of a minute; answers how much it was."""
    total, until = 0, time.monotonic() + SWEEP_SECONDS
    while done := _sweep_once():
        total += done
        if time.monotonic() > until:
            break
    return total


def _sweep_once() -> int:
    desk, at = till.find(), now()
    with transaction():
        ends = orders.due_to_end(at)
    for order_id, become in ends:
        till.end_order(desk, order_id=order_id, become=become)
    if desk is None:
        return 0
    with transaction():
        looks, backs, ships = payments.due_payments(at), payments.due_refunds(at), shipping.due(at)
    for payment_id in looks:
        till.look(desk, payment_id)
    for refund_id in backs:
        till.work_refund(desk, refund_id)
    for shipment_id in ships:
        till.upload(desk, shipment_id)
    return len(looks) + len(backs) + len(ships)


def reconcile() -> int:
    """Yesterday's bills against our books, after ten in the morning; answers how many differences there are.

    It runs three times: a bill may come late, and what a query has mended is seen to agree.
    """
    desk = till.find()
    if desk is None:
        return 0
    day = business_day(now()) - timedelta(days=1)
    try:
        return sum(report.differences for report in till.reconcile(desk, day))
    except pay.StatementCreating:
        log.warning("bill_is_late", kind="trade")
        return 0
