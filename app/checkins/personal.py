"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from app.db import connection

COLUMNS: Mapping[str, str] = {
    "check_ins.person_id": "kept: what the credits of a day were paid for, under a pseudonym",
    "check_in_milestones.person_id": "kept: what a bonus was paid for, under a pseudonym",
    "check_in_cards.person_id": "erased",
    "check_in_streaks.person_id": "erased",
    "check_in_reminders.person_id": "erased",
}
EXPORT: Mapping[str, str] = {
    "check_ins": (
        "select p.code as program, c.day, c.kind, c.checked_at, c.record_id::text from check_ins c"
        " join programs p on p.id = c.program_id where c.person_id = :person_id order by c.id"
    ),
    "check_in_streaks": (
        "select p.code as program, s.length, s.first_day, s.last_day, s.longest, s.total, s.cards"
        " from check_in_streaks s join programs p on p.id = s.program_id where s.person_id = :person_id order by p.code"
    ),
    "check_in_milestones": (
        "select p.code as program, m.name, m.days, m.day, m.credits from check_in_milestones m"
        " join programs p on p.id = m.program_id where m.person_id = :person_id order by m.id"
    ),
    "check_in_cards": (
        "select p.code as program, c.kind, c.day, c.at from check_in_cards c join programs p on p.id = c.program_id"
        " where c.person_id = :person_id order by c.id"
    ),
    "check_in_reminders": (
        "select p.code as program, r.minute from check_in_reminders r join programs p on p.id = r.program_id"
        " where r.person_id = :person_id order by p.code"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing is lost that the wallet does not name."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """Erase streaks, cards and reminders; days and milestones stay under the pseudonym beside their records."""
    for table in ("check_in_reminders", "check_in_cards", "check_in_streaks"):
        connection().execute(text(f"delete from {table} where person_id = :person_id"), {"person_id": person_id})  # noqa: S608
