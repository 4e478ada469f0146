"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from app.db import read, run

COLUMNS: Mapping[str, str] = {
    "appeals.person_id": "kept: the figures of the public page; the words are erased",
}
EXPORT: Mapping[str, str] = {
    "appeals": (
        "select id::text, kind, object_id::text, record_id::text, words, state, answer, asked_at, answered_at"
        " from appeals where person_id = :person_id order by id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Appeals that nobody has answered yet end with the person."""
    query = "select id from appeals where person_id = %(person)s and state = 'open' order by id"
    return [{"what": "appeal", "id": str(row.id)} for row in read(query, {"person": person_id})]


def erase(person_id: int, at: datetime) -> None:
    """Erase the words; what is open ends, for nobody is left to be answered."""
    run(
        "update appeals set words = '', answer = null,"
        " answered_at = case when state = 'open' then %(at)s else answered_at end,"
        " answered_by = case when state = 'open' then 'system:deletion' else answered_by end,"
        " state = case when state = 'open' then 'refused' else state end where person_id = %(person)s",
        {"person": person_id, "at": at},
    )
