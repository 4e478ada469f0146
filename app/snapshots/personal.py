"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from app.db import run

COLUMNS: Mapping[str, str] = {
    "snapshots.person_id": "kept: the act behind credits, under a pseudonym; the photo and the note are erased",
}
EXPORT: Mapping[str, str] = {
    "snapshots": (
        "select id::text, record_id::text, scenario, note, taken_at, sent_at from snapshots"
        " where person_id = :person_id order by id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing beyond the acts."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """Erase the note and the link to the photo, which goes with the person's pictures."""
    run("update snapshots set note = '', medium_id = null, thinned_at = coalesce(thinned_at, %(at)s)"
        " where person_id = %(person)s", {"person": person_id, "at": at})  # fmt: skip
