"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

COLUMNS: Mapping[str, str] = {
    "scores.subject_id": "kept: the person leaves the boards",
    "final_ranks.subject_id": "kept: a frozen board never changes; the line is shown no more",
}
EXPORT: Mapping[str, str] = {
    "scores": (
        "select p.code as program, s.period_kind, s.period_key, s.mg, s.credits from scores s"
        " join programs p on p.id = s.program_id where s.subject_kind = 'person' and s.subject_id = :person_id"
        " order by p.code, s.period_kind, s.period_key"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing is lost."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """Nothing here names a person: the pseudonym stays."""
