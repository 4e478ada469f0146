"""Reads: the payment of an order with its refunds, and what is due for a look."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.db import read

_OF_ORDER = """
    select id, out_trade_no, state, total_fen, payer_total_fen, refunded_fen, time_expire, success_at, looked_at
    from payments where subject_kind = 'order' and subject_ref = %(order)s
    order by (state = 'paid') desc, id desc limit 1
"""
_REFUNDS = """
    select r.out_refund_no, r.fen, r.state, r.asked_at, r.success_at from refunds r
    join payments p on p.id = r.payment_id
    where p.subject_kind = 'order' and p.subject_ref = %(order)s order by r.id
"""
_STEPS = """
    select s.payment_id, s.from_state, s.to_state, s.why, s.at from payment_steps s
    where s.payment_id = %(payment)s order by s.id
"""
_DUE_PAYMENTS = """
    select id from payments where next_look_at <= %(at)s and state in ('created','waiting','closing')
    order by next_look_at limit %(limit)s
"""
_DUE_REFUNDS = "select id from refunds where next_look_at <= %(at)s order by next_look_at limit %(limit)s"


def of_order(order_id: int) -> Any | None:
    """The payment of an order that counts: the accepted one, else the newest."""
    rows = read(_OF_ORDER, {"order": order_id})
    return rows[0] if rows else None


def refunds_of_order(order_id: int) -> list[Any]:
    """All refunds of an order, also of money that came too late, oldest first."""
    return read(_REFUNDS, {"order": order_id})


def timeline(payment_id: int) -> list[Any]:
    """A payment's life, step by step."""
    return read(_STEPS, {"payment": payment_id})


def due_payments(at: datetime, limit: int = 200) -> list[int]:
    """Payments that WeChat should be asked about now."""
    return [row.id for row in read(_DUE_PAYMENTS, {"at": at, "limit": limit})]


def due_refunds(at: datetime, limit: int = 200) -> list[int]:
    """Refunds that WeChat should be asked for or about now."""
    return [row.id for row in read(_DUE_REFUNDS, {"at": at, "limit": limit})]
