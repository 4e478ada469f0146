"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from app.db import connection

COLUMNS: Mapping[str, str] = {
    "message_quotas.person_id": "erased",
    "message_deliveries.person_id": "erased",
}
EXPORT: Mapping[str, str] = {
    "messages": (
        "select template, data, state, created_at, ended_at from message_deliveries"
        " where person_id = :person_id order by id"
    ),
    "message_quotas": (
        "select appid, template_id, remaining, changed_at from message_quotas where person_id = :person_id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing is lost."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """Erase what was told and what is allowed."""
    for table in ("message_quotas", "message_deliveries"):
        connection().execute(text(f"delete from {table} where person_id = :id"), {"id": person_id})  # noqa: S608
