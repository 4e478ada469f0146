"""Every fen of a payment in the ledger: WeChat's clearing account, the order's money, what must go back, fees.

Like ``bank``, the account ``wechat`` is the world outside: what stands there for us counts negative. What comes in is
booked by the database function ``payment_accept``.
"""

from __future__ import annotations

from datetime import datetime

from app import ledger
from app.db import run
from app.ledger import Draft
from app.payments.models import Payment, Refund
from app.units import FEN

CLEARING, ORDER_MONEY, REFUND_DUE, FEES = "wechat", "order_money", "refund_due", "payment_fees"
BANK = "bank"


def set_aside(payment: Payment, out_refund_no: str, fen: int, *, at: datetime) -> int:
    """What is to be refunded leaves the order's money. Raises INSUFFICIENT."""
    money, due = _accounts(payment, ORDER_MONEY, REFUND_DUE)
    return _post(payment, "refund.ask", out_refund_no, [(money, -fen), (due, fen)], at)


def pay_back(payment: Payment, refund: Refund, *, at: datetime) -> int:
    """A refund has reached the payer."""
    due, clearing = _accounts(payment, REFUND_DUE, CLEARING)
    return _post(payment, "refund.end", refund.out_refund_no, [(due, -refund.fen), (clearing, refund.fen)], at)


def pay_by_bank(payment: Payment, refund: Refund, *, at: datetime) -> int:
    """A refund was paid out of our account at the bank, which like ``wechat`` counts negative what stands there."""
    (due,) = _accounts(payment, REFUND_DUE)
    bank = ledger.account(program_id=payment.program_id, asset=FEN, kind=BANK)
    return _post(payment, "refund.transfer", refund.out_refund_no, [(due, -refund.fen), (bank, refund.fen)], at)


def keep(payment: Payment, refund: Refund, *, at: datetime) -> int:
    """A refund was closed without a payment: its money is the order's again."""
    draft = ledger.reversal_of(refund.transfer_id, reason="refund.end", source_ref=refund.out_refund_no)
    return ledger.post([draft], at=at)[0].transfer_id


def take_fees(*, program_id: int, mchid: str, fen: int, key: str, at: datetime) -> int:
    """WeChat's fees, taken out of what stands there for us. ``fen`` may be negative: fees come back with refunds."""
    found = ledger.accounts([(program_id, FEN, CLEARING, mchid), (program_id, FEN, FEES, mchid)])
    clearing, fees = found[program_id, FEN, CLEARING, mchid], found[program_id, FEN, FEES, mchid]
    draft = Draft(program_id, "payment.fees", key, [(fees, -fen), (clearing, fen)])
    return ledger.post([draft], at=at)[0].transfer_id


def waiting(payment: Payment) -> int:
    """What of a payment is still the order's: not gone back, and not owed to the merchant yet (fen)."""
    (money,) = _accounts(payment, ORDER_MONEY)
    return int(run("select balance from accounts where id = %(account)s", {"account": money})[0].balance)


def _accounts(payment: Payment, *kinds: str) -> list[int]:
    owners = {CLEARING: payment.mchid, ORDER_MONEY: f"payment:{payment.id}", REFUND_DUE: f"payment:{payment.id}"}
    keys = [(payment.program_id, FEN, kind, owners[kind]) for kind in kinds]
    found = ledger.accounts(keys)
    return [found[key] for key in keys]


def _post(payment: Payment, reason: str, source_ref: str, legs: list[tuple[int, int]], at: datetime) -> int:
    return ledger.post([Draft(payment.program_id, reason, source_ref, legs)], at=at)[0].transfer_id
