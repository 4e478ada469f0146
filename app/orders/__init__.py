"""Orders: a person takes an item for credits, or for credits and money; what is paid has codes for a merchant."""

from app.orders.models import Order
from app.orders.paying import (
    NOTHING_TO_PAY,
    ORDER_TIMED_OUT,
    Taken,
    begin_end,
    begin_payment,
    due_to_end,
    end_unpaid,
    is_due,
    refund,
    refund_again,
    refund_part,
    take_refund,
    take_transaction,
)
from app.orders.placing import PERSON_LIMIT, PRICE_CHANGED, Placed, place
from app.orders.queries import appid, line, of_person, of_transfers

__all__ = [
    "NOTHING_TO_PAY",
    "ORDER_TIMED_OUT",
    "PERSON_LIMIT",
    "PRICE_CHANGED",
    "Order",
    "Placed",
    "Taken",
    "appid",
    "begin_end",
    "begin_payment",
    "due_to_end",
    "end_unpaid",
    "is_due",
    "line",
    "of_person",
    "of_transfers",
    "place",
    "refund",
    "refund_again",
    "refund_part",
    "take_refund",
    "take_transaction",
]
