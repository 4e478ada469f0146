"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from app.db import connection

COLUMNS: Mapping[str, str] = {"phones.person_id": "erased"}
# The number itself is sealed: the person sees it masked (GET /me/phone), and the copy says that there is one.
EXPORT: Mapping[str, str] = {
    "phone": "select true as bound, bound_at from phones where person_id = :person_id and unbound_at is null",
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing is lost."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """Erase the number, sealed and hashed."""
    connection().execute(text("delete from phones where person_id = :person_id"), {"person_id": person_id})
