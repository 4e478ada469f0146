"""What WeChat's order management says about the goods of our payments: shipped, received, settled, or not shipped yet.

Money is WeChat's to release: after it has heard of the shipping and the receipt is confirmed (wechat.md 3.10). These
events say when; nothing here moves money. What they find undone becomes a difference, for a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from app.clock import business_day
from app.db import run
from app.payments import differences

SETTLEMENT, UNSHIPPED = "trade_manage_order_settlement", "trade_manage_remind_shipping"
CONTROLLED = ("wxa_trade_controlled", "trade_manage_remind_access_api")
NOT_MANAGED = "not_managed"
"""The note of a shipment that WeChat did not want to hear of."""
FROZEN_FOR = timedelta(days=15)
_FIND = """
    select p.id, p.mchid, p.program_id, p.out_trade_no, p.refunded_fen = p.total_fen as refunded, s.id as shipment_id,
           s.state
    from payments p left join shipments s on s.payment_id = p.id
    where p.out_trade_no = %(number)s or (p.transaction_id = %(transaction)s and %(number)s = '')
    for no key update of p
"""
_NOTE = """
    update shipments set received_at = coalesce(received_at, %(received)s::timestamptz),
      settled_at = coalesce(settled_at, %(settled)s::timestamptz),
      reminded_at = coalesce(%(reminded)s::timestamptz, reminded_at),
      sent_at = coalesce(sent_at, case when %(told)s then %(at)s end),
      state = case when %(told)s then 'sent' else state end,
      next_try_at = case when %(told)s then null
                         when %(reminded)s::timestamptz is not null and state = 'due' then %(at)s else next_try_at end,
      problem = case when %(told)s then 'told' else problem end
    where id = %(id)s
"""
# What was not told because nobody wanted to hear it, and may be frozen now.
_AGAIN = """
    update shipments s set state = 'due', problem = null, sent_at = null, tries = 0, next_try_at = %(at)s
    from payments p where p.id = s.payment_id and p.appid = %(appid)s and s.state = 'sent'
      and s.problem = %(problem)s and s.sent_at > %(since)s returning s.id
"""


def heard(*, kind: str, appid: str, facts: Mapping[str, Any], at: datetime) -> None:
    """Record one trade event; again changes nothing. Unknown kinds are left alone. Locks: payment, shipment."""
    if kind in CONTROLLED:
        _controlled(kind, appid, str(facts.get("merchant_id", "")), at)
        return
    if kind not in (SETTLEMENT, UNSHIPPED):
        return
    number, transaction = str(facts.get("merchant_trade_no", "")), str(facts.get("transaction_id", ""))
    rows = run(_FIND, {"number": number, "transaction": transaction})
    if not rows:
        found = differences.Found("trade_unknown", number or transaction, theirs=kind)
        differences.note([found], mchid=str(facts.get("merchant_id", "")), at=at)
        return
    _about(rows[0], kind, facts, at)


def _about(payment: Any, kind: str, facts: Mapping[str, Any], at: datetime) -> None:
    shipped = kind == SETTLEMENT and moment(facts.get("shipped_time")) is not None
    if payment.shipment_id is not None:
        values = {
            "id": payment.shipment_id,
            "received": moment(facts.get("confirm_receive_time")),
            "settled": moment(facts.get("settlement_time")),
            "reminded": at if kind == UNSHIPPED else None,
            # A parcel whose number we don't know stays with us: somebody has typed it in WeChat's console.
            "told": shipped and payment.state in ("due", "given_up"),
            "at": at,
        }
        run(_NOTE, values)
    if payment.refunded:
        return
    if kind == UNSHIPPED and payment.state != "due":
        _difference(payment, "shipping_reminded", payment.state or "none", at)
    elif shipped and payment.state == "waiting":
        _difference(payment, "shipping_elsewhere", "told to WeChat by somebody else", at)


def _controlled(kind: str, appid: str, mchid: str, at: datetime) -> None:
    """From now on WeChat wants to hear of every order: tell what it did not want to hear before."""
    values = {"at": at, "appid": appid, "problem": NOT_MANAGED, "since": at - FROZEN_FOR}
    again = len(run(_AGAIN, values))
    found = differences.Found(
        "trade_controlled", f"{appid}:{business_day(at)}", ours=f"{again} told again", theirs=kind
    )
    differences.note([found], mchid=mchid, at=at)


def _difference(payment: Any, kind: str, theirs: str, at: datetime) -> None:
    found = differences.Found(
        kind, payment.out_trade_no, program_id=payment.program_id, payment_id=payment.id, theirs=theirs
    )
    differences.note([found], mchid=payment.mchid, at=at)


def moment(said: Any) -> datetime | None:
    """A time as these events write it: seconds since 1970, or RFC 3339. None for anything else."""
    text = str(said or "")
    try:
        return datetime.fromtimestamp(int(text), UTC) if text.isdigit() and int(text) else datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
