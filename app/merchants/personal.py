"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from app.db import connection

COLUMNS: Mapping[str, str] = {
    "staff.person_id": "kept: who worked in a shop when, by pseudonym; the work ends",
    "merchant_applications.person_id": "kept: who asked for a business, by pseudonym; its phone number is erased",
    "merchant_applications.phone_sealed": "erased",
    "staff_invitations.made_by": "kept: who let somebody scan, by pseudonym",
    "staff_invitations.used_by": "kept: who took the job, by pseudonym",
}
EXPORT: Mapping[str, str] = {
    "work": (
        "select m.code as merchant, h.name as shop, s.role, s.active_from, s.active_until from staff s"
        " join shops h on h.id = s.shop_id join merchants m on m.id = h.merchant_id where"
        " s.person_id = :person_id order by s.id"
    ),
    "merchant_applications": (
        "select name, licence_no, state, reason, asked_at, decided_at from merchant_applications"
        " where person_id = :person_id order by id"
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
    connection().execute(
        text("update merchant_applications set phone_sealed = null where person_id = :person_id"),
        {"person_id": person_id},
    )
