"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from app.db import connection

COLUMNS: Mapping[str, str] = {
    "recoveries.person_id": "kept: who was given whose account must stay provable; the number's hash is erased",
    "recoveries.claimant_id": "kept: as above",
}
EXPORT: Mapping[str, str] = {
    "recoveries": (
        "select id::text, state, asked_at, ripe_at, ended_at from recoveries"
        " where person_id = :person_id or claimant_id = :person_id order by id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing is lost."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """End what is open, and forget by which number it was."""
    values = {"id": person_id, "at": at}
    connection().execute(
        text(
            "update recoveries set state = case when state = 'waiting' then 'refused' else state end,"
            " ended_at = coalesce(ended_at, :at), number_hash = '' where person_id = :id or claimant_id = :id"
        ),
        values,
    )
