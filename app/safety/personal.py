"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from app.db import connection

COLUMNS: Mapping[str, str] = {"text_checks.person_id": "erased"}
EXPORT: Mapping[str, str] = {
    "texts": (
        "select id::text, kind, body, state, asked_at, decided_at from text_checks"
        " where person_id = :person_id order by id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing is lost."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """Erase the texts: they are the person's own words."""
    connection().execute(text("delete from text_checks where person_id = :person_id"), {"person_id": person_id})
