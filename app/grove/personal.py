"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from app.db import run

COLUMNS: Mapping[str, str] = {
    "trees.person_id": "kept: a certificate can be checked and names a pseudonym; growing ones are erased",
}
EXPORT: Mapping[str, str] = {
    "trees": (
        "select p.code as program, t.shape, t.season, t.needs_mg, t.planted_at, t.full_at, t.certificate_no"
        " from trees t join programs p on p.id = t.program_id where t.person_id = :person_id order by t.id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Trees are lost."""
    count = int(run("select count(*) as n from trees where person_id = %(person)s", {"person": person_id})[0].n)
    return [{"what": "trees", "count": count}] if count else []


def erase(person_id: int, at: datetime) -> None:
    """Growing trees go; a certificate can still be checked and names nobody."""
    run("delete from trees where person_id = %(person)s and full_at is null", {"person": person_id})
