"""Payments over time: looks, closings, refunds and uploads when they are due; the bill of yesterday.

Each is queued for its moment with the row that wants it. The sweep of every minute finds whatever the queue has lost:
what is due stands in the tables, not in the queue.
"""

from __future__ import annotations

from datetime import date, timedelta

import structlog

import till
from app import orders
from app.clock import business_day, now
from app.db import transaction
from app.payments import bills, notices
from till import kept_bills
from wechat.pay import errors as pay

log = structlog.get_logger("jobs")


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
    """Everything about payments that is due; answers how much it was."""
    return till.sweep()


def reconcile() -> int:
    """Yesterday's bills against our books, after ten in the morning, and those of days that were missed; answers how
    many differences there are.

    It runs three times: a bill may come late, and what a query has mended is seen to agree. What was kept long enough
    goes: old bills, notices that nobody could ever read.
    """
    desk = till.find()
    if desk is None:
        return 0
    today = business_day(now())
    with transaction():
        notices.forget_bodies(now())
    kept_bills.forget(desk.bills, today)
    yesterday = today - timedelta(days=1)
    with transaction():
        days = bills.missed(desk.mchid, before=yesterday)
    if days:
        log.warning("bills_missed", count=len(days))
    return sum(_reconcile(desk, day) for day in [*days, yesterday])


def _reconcile(desk: till.Desk, day: date) -> int:
    """One day; what WeChat can't give now doesn't hold up the others."""
    try:
        return sum(report.differences for report in till.reconcile(desk, day))
    except pay.StatementCreating:
        log.warning("bill_is_late", kind="trade")
    except pay.PayError as error:
        log.error("bill_failed", kind=type(error).__name__, code=error.code)
    return 0
