"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

COLUMNS: Mapping[str, str] = {
    "offers.made_by": "kept: who drafted what a merchant sells, by pseudonym",
}
EXPORT: Mapping[str, str] = {
    "offers": "select id::text, name, state, made_at from offers where made_by = :person_id order by id",
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing: offers are the merchant's."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """Nothing to erase: an offer says nothing about who drafted it but the pseudonym."""
