"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from app.db import run

COLUMNS: Mapping[str, str] = {"survey_voters.person_id": "erased"}
EXPORT: Mapping[str, str] = {
    "surveys": (
        "select s.code, s.name from survey_voters v join surveys s on s.id = v.survey_id"
        " where v.person_id = :person_id order by s.id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing is lost."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """Forget that the person has answered."""
    run("delete from survey_voters where person_id = %(person)s", {"person": person_id})
