"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from app.db import connection

COLUMNS: Mapping[str, str] = {"media.person_id": "erased"}
EXPORT: Mapping[str, str] = {
    "pictures": (
        "select id::text, name, purpose, width, height, state, uploaded_at from media"
        " where person_id = :person_id and removed_at is null order by id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing is lost."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """Remove the pictures: nobody sees them from now on; file and row go with the next sweep, within the hour."""
    statement = text(
        "update media set removed_at = :at, look_at = null where person_id = :person and removed_at is null"
    )
    connection().execute(statement, {"at": at, "person": person_id})
