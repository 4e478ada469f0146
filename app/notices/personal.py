"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from app.db import connection

COLUMNS: Mapping[str, str] = {
    "notices.person_id": "erased",
    "notice_settings.person_id": "erased",
}
EXPORT: Mapping[str, str] = {
    "notices": (
        "select id::text, kind, zh, en, created_at, read_at from notices where person_id = :person_id order by id"
    ),
    "notice_settings": (
        "select muted, quiet_from, quiet_until, changed_at from notice_settings where person_id = :person_id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing is lost."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """Erase the inbox: its words are about the person."""
    for table in ("notices", "notice_settings"):
        connection().execute(text(f"delete from {table} where person_id = :id"), {"id": person_id})  # noqa: S608
