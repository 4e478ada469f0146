"""Compare what WeChat says with what was ordered, and accept it once; what differs never is (section 6.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import psycopg

from app import ledger
from app.db import run
from app.payments.facts import TransactionFact
from app.payments.opening import payer_hash

PAID = ("SUCCESS", "REFUND")  # a started refund says that it was paid
CLOCKS_DIFFER = timedelta(minutes=5)

_FIND = """
    select id, subject_ref, appid, mchid, payer_hash, out_trade_no, total_fen, state, transaction_id from payments
    where out_trade_no = %(number)s
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


_LOCK = "select * from payment_lock(%(id)s)"
_ACCEPT = "select payment_accept(%(facts)s::jsonb, %(at)s)"


def stand(payment_id: int) -> Any:
    """A payment and its order as they stand, both locked under the person's wallet."""
    return run(_LOCK, {"id": payment_id})[0]


def accept(
    payment_id: int,
    fact: TransactionFact,
    *,
    late: bool,
    why: str,
    at: datetime,
    order: Mapping[str, Any] | None = None,
) -> None:
    """WeChat has the money of a payment that :func:`stand` has locked: book it, with what it means for its ``order``;
    or as money that came too late."""
    success = fact.success_time
    facts = {
        "payment": payment_id,
        "late": late,
        "transaction": fact.transaction_id,
        "payer_total": fact.payer_total_fen,
        "success_at": None if success is None else success.isoformat(),
        "why": why,
        **(order or {}),
    }
    try:
        run(_ACCEPT, {"facts": json.dumps(facts), "at": at})
    except psycopg.Error as error:
        raise ledger.refusal(error) from error
