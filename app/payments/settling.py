"""Compare what WeChat says with what was ordered, and accept it once; what differs never is (section 6.2)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from app.db import run
from app.payments import money
from app.payments.facts import TransactionFact
from app.payments.models import Payment
from app.payments.opening import payer_hash, step

PAID = ("SUCCESS", "REFUND")  # a started refund says that it was paid
CLOCKS_DIFFER = timedelta(minutes=5)

_FIND = """
    select id, subject_ref, person_id, program_id, appid, mchid, payer_hash, out_trade_no, total_fen, state,
           transaction_id, looked_at
    from payments where out_trade_no = %(number)s
"""


def find(out_trade_no: str) -> Any | None:
    """The payment of a number, not locked."""
    rows = run(_FIND, {"number": out_trade_no})
    return rows[0] if rows else None


def problem_of(payment: Any, fact: TransactionFact, *, at: datetime) -> str | None:
    """In which respect a paid transaction is not the one that was ordered; None when it is."""
    if fact.mchid != payment.mchid:
        return "mchid"
    if fact.appid != payment.appid:
        return "appid"
    if fact.out_trade_no != payment.out_trade_no:
        return "number"
    if fact.currency != "CNY":
        return "currency"
    if fact.total_fen != payment.total_fen:
        return "amount"
    if payer_hash(fact.appid, fact.openid) != bytes(payment.payer_hash):
        return "payer"
    if not fact.transaction_id or payment.transaction_id not in (None, fact.transaction_id):
        return "transaction"
    if fact.success_time is None or fact.success_time > at + CLOCKS_DIFFER:
        return "time"
    return None


def accept(payment: Payment, fact: TransactionFact, *, late: bool, why: str, at: datetime) -> None:
    """WeChat has the money of a locked payment: book it, as paid for its subject or as one that came too late."""
    payment.transaction_id = fact.transaction_id
    payment.payer_total_fen = fact.payer_total_fen
    payment.success_at = fact.success_time
    payment.transfer_id = money.take_in(payment, at=at)
    payment.next_look_at = None
    step(payment, "late" if late else "paid", why, at)
