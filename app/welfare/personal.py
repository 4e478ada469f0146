"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

COLUMNS: Mapping[str, str] = {
    "gifts.person_id": "kept: the project's money trail, under a pseudonym",
    "gram_gifts.person_id": "kept: whose grams neutralise an event, under a pseudonym",
}
EXPORT: Mapping[str, str] = {
    "gifts": (
        "select g.id::text, w.code as project, g.credits, g.certificate_no, g.given_at from gifts g"
        " join welfare_projects w on w.id = g.project_id where g.person_id = :person_id order by g.id"
    ),
    "gram_gifts": (
        "select g.id::text, e.code as event, g.mg, g.certificate_no, g.given_at from gram_gifts g"
        " join neutral_events e on e.id = g.event_id where g.person_id = :person_id order by g.id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing is lost."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """Nothing here names a person: the pseudonym stays."""
