"""Orders: a person takes an item for credits, or credits and money; how it reaches the person, and what comes back."""

from app.mall.stock import PERSON_LIMIT
from app.orders import addresses, bookings, cart, invoices, parcels
from app.orders.addresses import ADDRESS_NOT_SERVED, TOO_MANY_ADDRESSES, Place
from app.orders.bookings import BOOKING_CLOSED, NO_SLOTS_HERE, SLOT_FULL, SLOT_NEEDED
from app.orders.cart import CART_FULL, check_out
from app.orders.invoices import NOTHING_TO_INVOICE
from app.orders.models import Order
from app.orders.parcels import ADDRESS_NEEDED, NO_ADDRESS_HERE, SHIPPED_ALREADY
from app.orders.paying import (
    NOTHING_TO_PAY,
    ORDER_TIMED_OUT,
    Taken,
    begin_end,
    begin_payment,
    due_to_end,
    end_unpaid,
    is_due,
    refund_by_bank,
    take_refund,
    take_transaction,
)
from app.orders.placing import POOL_EMPTY, PRICE_CHANGED, Placed, Wish, place
from app.orders.queries import STATE_GROUPS, address_of, appid, line, of_person, of_transfers
from app.orders.returning import NOT_REFUNDABLE, refund, refund_again, refund_expired, refund_part

__all__ = [
    "ADDRESS_NEEDED", "ADDRESS_NOT_SERVED", "BOOKING_CLOSED", "CART_FULL", "NOTHING_TO_INVOICE", "NOTHING_TO_PAY",
    "NOT_REFUNDABLE", "NO_ADDRESS_HERE", "NO_SLOTS_HERE", "ORDER_TIMED_OUT", "PERSON_LIMIT", "POOL_EMPTY",
    "PRICE_CHANGED", "SHIPPED_ALREADY", "SLOT_FULL", "SLOT_NEEDED", "STATE_GROUPS", "TOO_MANY_ADDRESSES", "Order",
    "Place", "Placed", "Taken", "Wish", "address_of", "addresses", "appid", "begin_end", "begin_payment",
    "bookings", "cart", "check_out", "due_to_end", "end_unpaid", "invoices", "is_due", "line", "of_person",
    "of_transfers", "parcels", "place", "refund", "refund_again", "refund_by_bank", "refund_expired",
    "refund_part", "take_refund", "take_transaction",
]  # fmt: skip
