"""What WeChat Pay says about payments and refunds, as plain facts. Amounts are whole fen, times are aware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

BEIJING = timezone(timedelta(hours=8))
PAID_STATES = ("SUCCESS", "REFUND")


class Malformed(ValueError):
    """A signed answer that lacks a field or has one of the wrong kind. The text names the field, never a value."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """One order as WeChat knows it. Compare our amount with ``total_fen``; coupons make ``payer_total_fen`` less.

    ``trade_state``: NOTPAY, SUCCESS, REFUND (a refund was started), CLOSED; treat others as not final.
    """

    appid: str
    mchid: str
    out_trade_no: str
    transaction_id: str
    trade_type: str
    trade_state: str
    total_fen: int
    payer_total_fen: int
    currency: str
    openid: str = field(repr=False)
    success_time: datetime | None
    attach: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Refund:
    """One refund. Accepted (PROCESSING) is not refunded: only SUCCESS is. ABNORMAL and CLOSED need an operator."""

    out_refund_no: str
    refund_id: str
    out_trade_no: str
    transaction_id: str
    status: str
    refund_fen: int
    total_fen: int
    payer_refund_fen: int
    success_time: datetime | None
    mchid: str = ""


def transaction_of(said: Mapping[str, Any]) -> Transaction:
    """The facts of a query's answer or a notice. Raises Malformed."""
    state = _text(said, "trade_state")
    amount = _object(said, "amount", needed=state in PAID_STATES)
    total = _fen(amount, "total") if amount else 0
    return Transaction(
        appid=_text(said, "appid"),
        mchid=_text(said, "mchid"),
        out_trade_no=_text(said, "out_trade_no"),
        transaction_id=_text(said, "transaction_id", needed=state in PAID_STATES),
        trade_type=_text(said, "trade_type", needed=False),
        trade_state=state,
        total_fen=total,
        payer_total_fen=_fen(amount, "payer_total", default=total),
        currency=_text(amount, "currency", needed=False) or "CNY",
        openid=_text(_object(said, "payer", needed=False), "openid", needed=False),
        success_time=_time(said, "success_time"),
        attach=_text(said, "attach", needed=False),
    )


def refund_of(said: Mapping[str, Any], *, mchid: str = "", state: str = "status") -> Refund:
    """The facts of a refund's answer; notices name the state ``refund_status``. Raises Malformed."""
    amount = _object(said, "amount")
    refund = _fen(amount, "refund")
    status = _text(said, state)
    return Refund(
        out_refund_no=_text(said, "out_refund_no"),
        refund_id=_text(said, "refund_id"),
        out_trade_no=_text(said, "out_trade_no"),
        transaction_id=_text(said, "transaction_id"),
        status=status,
        refund_fen=refund,
        total_fen=_fen(amount, "total"),
        payer_refund_fen=_fen(amount, "payer_refund", default=refund),
        success_time=_time(said, "success_time"),
        mchid=_text(said, "mchid", needed=False) or mchid,
    )


def rfc3339(at: datetime) -> str:
    """A time as WeChat Pay wants it: whole seconds, Beijing's offset."""
    if at.tzinfo is None:
        raise ValueError("a time without zone")
    return at.astimezone(BEIJING).isoformat(timespec="seconds")


def parse_time(text: str) -> datetime:
    """An aware time in UTC. Raises ValueError for anything without a zone."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time without zone")
    return at.astimezone(UTC)


def _text(said: Mapping[str, Any], name: str, *, needed: bool = True) -> str:
    value = said.get(name)
    if isinstance(value, str) and (value or not needed):
        return value
    if value is None and not needed:
        return ""
    raise Malformed(name)


def _object(said: Mapping[str, Any], name: str, *, needed: bool = True) -> Mapping[str, Any]:
    value = said.get(name)
    if isinstance(value, dict):
        return value
    if value is None and not needed:
        return {}
    raise Malformed(name)


def _fen(amount: Mapping[str, Any], name: str, *, default: int | None = None) -> int:
    value = amount.get(name)
    if value is None and default is not None:
        return default
    if type(value) is not int or value < 0:  # bool is an int to Python, but no amount
        raise Malformed(name)
    return value


def _time(said: Mapping[str, Any], name: str) -> datetime | None:
    text = _text(said, name, needed=False)
    if not text:
        return None
    try:
        return parse_time(text)
    except ValueError:
        raise Malformed(name) from None
