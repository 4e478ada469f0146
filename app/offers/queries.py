"""Reads of offers."""

from __future__ import annotations

from sqlalchemy import select

from app.db import session
from app.errors import NOT_FOUND
from app.offers.models import Offer


def of_merchant(merchant_id: int, *, before: int | None, limit: int) -> list[Offer]:
    """A merchant's offers, newest first, below the cursor."""
    query = select(Offer).where(Offer.merchant_id == merchant_id, Offer.id < (before or 2**63 - 1))
    return list(session().scalars(query.order_by(Offer.id.desc()).limit(limit)))


def offer(offer_id: int, merchant_id: int | None = None) -> Offer:
    """One offer, of this merchant where one is named. Raises NOT_FOUND."""
    found = session().get(Offer, offer_id)
    if found is None or merchant_id not in (None, found.merchant_id):
        raise NOT_FOUND(offer=str(offer_id))
    return found


def waiting(program_id: int) -> list[Offer]:
    """What waits for an operator, longest first."""
    query = select(Offer).where(Offer.program_id == program_id, Offer.state == "submitted")
    return list(session().scalars(query.order_by(Offer.submitted_at, Offer.id)))
