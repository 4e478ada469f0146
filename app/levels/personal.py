"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from app.db import run

COLUMNS: Mapping[str, str] = {
    "person_levels.person_id": "erased",
    "level_changes.person_id": "kept: a log under a pseudonym",
    "level_bonuses.person_id": "kept: belongs to the ledger's awards",
    "person_badges.person_id": "erased",
}
EXPORT: Mapping[str, str] = {
    "levels": (
        "select p.code as program, l.level, l.mg, l.since from person_levels l join programs p on p.id = l.program_id"
        " where l.person_id = :person_id order by p.code"
    ),
    "level_changes": (
        "select p.code as program, c.from_level, c.to_level, c.mg, c.cause, c.at from level_changes c"
        " join programs p on p.id = c.program_id where c.person_id = :person_id order by c.id"
    ),
    "badges": (
        "select p.code as program, b.badge, b.earned_at from person_badges b join programs p on p.id = b.program_id"
        " where b.person_id = :person_id order by b.earned_at, b.badge"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Badges are lost."""
    query = "select count(*) as n from person_badges where person_id = %(person)s"
    badges = int(run(query, {"person": person_id})[0].n)
    return [{"what": "badges", "count": badges}] if badges else []


def erase(person_id: int, at: datetime) -> None:
    """Level and badges go; the log and the awards stay under the pseudonym."""
    for table in ("person_levels", "person_badges"):
        run(f"delete from {table} where person_id = %(person)s", {"person": person_id})  # noqa: S608 - our own names
