"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from app.db import connection

COLUMNS: Mapping[str, str] = {"tickets.person_id": "erased"}
EXPORT: Mapping[str, str] = {
    "tickets": (
        "select t.id::text, l.author = 'person' as mine, l.body, l.said_at"
        " from tickets t join ticket_lines l on l.ticket_id = t.id"
        " where t.person_id = :person_id order by l.id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing is lost."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """Erase the conversations, theirs and ours."""
    values = {"id": person_id}
    mine = "select id from tickets where person_id = :id"
    connection().execute(text(f"delete from ticket_lines where ticket_id in ({mine})"), values)  # noqa: S608
    connection().execute(text("delete from tickets where person_id = :id"), values)
