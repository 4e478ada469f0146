"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from app.db import connection

COLUMNS: Mapping[str, str] = {
    "account_bindings.person_id": "erased",
}
EXPORT: Mapping[str, str] = {
    "bound_accounts": (
        "select s.code as source, b.hint, b.bound_at, b.unbound_at from account_bindings b"
        " join sources s on s.id = b.source_id where b.person_id = :person_id order by b.id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Accounts at partners that are unbound."""
    statement = text(
        "select 'bound_account' as what, s.code as source, b.hint as name from account_bindings b"
        " join sources s on s.id = b.source_id where b.person_id = :person_id and b.unbound_at is"
        " null order by b.id"
    )
    return [dict(row) for row in connection().execute(statement, {"person_id": person_id, "at": at}).mappings()]


def erase(person_id: int, at: datetime) -> None:
    """Unbind and forget the accounts at partners."""
    connection().execute(text("delete from account_bindings where person_id = :person_id"), {"person_id": person_id})
