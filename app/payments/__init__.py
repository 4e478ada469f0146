"""Payments: what a person pays by WeChat Pay, told to us as plain facts; every fen of it in the ledger.

A payment belongs to an order. This feature knows money and numbers; ``app.orders`` knows what they mean for the order.
"""

from app.payments import bills, differences, notices, refunds, shipping
from app.payments.facts import FundFact, RefundFact, TradeFact, TransactionFact
from app.payments.models import Payment, PaymentDifference, Refund
from app.payments.opening import (
    CASH_CLOSED,
    PAYMENT_CLOSING,
    Terms,
    begin_closing,
    end_unpaid,
    locked,
    looked,
    open_of,
    open_payment,
    payer_hash,
    prepaid,
    usable_prepay,
    words,
)
from app.payments.queries import due_payments, due_refunds, of_order, refunds_of_order, timeline
from app.payments.settling import PAID, accept, find, problem_of, stand

__all__ = [
    "CASH_CLOSED",
    "PAID",
    "PAYMENT_CLOSING",
    "FundFact",
    "Payment",
    "PaymentDifference",
    "Refund",
    "RefundFact",
    "Terms",
    "TradeFact",
    "TransactionFact",
    "accept",
    "begin_closing",
    "bills",
    "differences",
    "due_payments",
    "due_refunds",
    "end_unpaid",
    "find",
    "locked",
    "looked",
    "notices",
    "of_order",
    "open_of",
    "open_payment",
    "payer_hash",
    "prepaid",
    "problem_of",
    "refunds",
    "refunds_of_order",
    "shipping",
    "stand",
    "timeline",
    "usable_prepay",
    "words",
]
