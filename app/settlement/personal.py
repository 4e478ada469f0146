"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

COLUMNS: Mapping[str, str] = {
    "statements.accepted_by": "kept: who agreed to a statement for a merchant, under a pseudonym",
    "statement_disputes.person_id": "kept: who disputed a statement for a merchant, under a pseudonym",
}
EXPORT: Mapping[str, str] = {
    "statement_disputes": (
        "select s.period, d.line_no, d.words, d.state, d.answer, d.asked_at from statement_disputes d"
        " join statements s on s.id = d.statement_id where d.person_id = :person_id order by d.id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing is lost."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """Nothing here names a person: the pseudonym stays."""
