"""Offers: merchants draft what they would like to sell, an operator approves it into an item, or says why not."""

from app.offers.actions import (
    MERCHANT_CANNOT_OFFER,
    OFFER_SETTLED,
    approve,
    draft,
    refuse,
    revise,
    submit,
    withdraw,
    withdraw_all,
)
from app.offers.models import Offer
from app.offers.queries import of_merchant, offer, waiting

__all__ = [
    "MERCHANT_CANNOT_OFFER", "OFFER_SETTLED", "Offer", "approve", "draft", "of_merchant", "offer", "refuse", "revise",
    "submit", "waiting", "withdraw", "withdraw_all",
]  # fmt: skip
