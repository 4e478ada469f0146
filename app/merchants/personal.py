"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from app.db import connection

COLUMNS: Mapping[str, str] = {
    "staff.person_id": "kept: who worked in a shop when, by pseudonym; the work ends",
}
EXPORT: Mapping[str, str] = {
    "work": (
        "select m.code as merchant, h.name as shop, s.role, s.active_from, s.active_until from staff s"
        " join shops h on h.id = s.shop_id join merchants m on m.id = h.merchant_id where"
        " s.person_id = :person_id order by s.id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """The right to scan for a shop."""
    statement = text(
        "select 'work' as what, m.code as merchant, h.name as name from staff s join shops h on h.id"
        " = s.shop_id"
        " join merchants m on m.id = h.merchant_id where s.person_id = :person_id and s.active_until"
        " is null order by s.id"
    )
    return [dict(row) for row in connection().execute(statement, {"person_id": person_id, "at": at}).mappings()]


def erase(person_id: int, at: datetime) -> None:
    """End the work in shops."""
    connection().execute(
        text(
            "update staff set active_until = greatest(:at, active_from) where person_id = :person_id"
            " and active_until is null"
        ),
        {"person_id": person_id, "at": at},
    )
