"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from app.db import connection

COLUMNS: Mapping[str, str] = {
    "codes.person_id": "kept: what we owe a merchant names the code; its text is erased",
    "redemptions.staff_person_id": "kept: a merchant's statement says which clerk scanned, by pseudonym",
    "shop_devices.person_id": "kept: whose till a list came from, by pseudonym; its key ends",
}
EXPORT: Mapping[str, str] = {
    "codes": (
        "select id::text, title, state, valid_from, valid_until from codes where person_id = :person_id order by id"
    ),
    "scans": (
        "select id::text, redeemed_at, undone_at from redemptions where staff_person_id = :person_id order by id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Codes that were not used yet."""
    statement = text(
        "select 'code' as what, title as name from codes where person_id = :person_id and state ="
        " 'issued' and valid_until > :at"
        " order by id"
    )
    return [dict(row) for row in connection().execute(statement, {"person_id": person_id, "at": at}).mappings()]


def erase(person_id: int, at: datetime) -> None:
    """Erase the readable form of the codes; an unused one expires and its money returns."""
    connection().execute(
        text("update codes set code_sealed = ''::bytea where person_id = :person_id"), {"person_id": person_id}
    )
    connection().execute(
        text("update shop_devices set ends_at = least(ends_at, :at) where person_id = :person_id"),
        {"person_id": person_id, "at": at},
    )
