"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

COLUMNS: Mapping[str, str] = {
    "green_products.asked_by": "kept: who registered a merchant's product, by pseudonym",
}
EXPORT: Mapping[str, str] = {
    "green_products": (
        "select id::text, scenario, certificate_ref, state, asked_at from green_products where asked_by = :person_id"
        " order by id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing: products are the merchant's; what signs earned is among the records."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """Nothing to erase: a product says nothing about who registered it but the pseudonym."""
