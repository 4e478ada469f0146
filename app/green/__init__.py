"""Green consumption: low-carbon products that merchants sell, and signs at certified venues, earn by their scenario."""

from app.green.models import Product, Venue
from app.green.products import (
    PRODUCT_KNOWN,
    approve,
    earn,
    of_merchant,
    refuse,
    register,
    revoke,
    to_earn,
    waiting,
)
from app.green.venues import (
    VENUE_PLACE_NEEDED,
    VENUE_REVOKED,
    VENUE_TOO_FAR,
    Scanned,
    certify,
    revoke_venue,
    scan,
    venue_of,
    venues,
)

__all__ = [
    "PRODUCT_KNOWN", "VENUE_PLACE_NEEDED", "VENUE_REVOKED", "VENUE_TOO_FAR", "Product", "Scanned", "Venue", "approve",
    "certify", "earn", "of_merchant", "refuse", "register", "revoke", "revoke_venue", "scan", "to_earn", "venue_of",
    "venues", "waiting",
]  # fmt: skip
