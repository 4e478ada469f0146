"""Reads of appeals."""

from __future__ import annotations

from typing import Any

from app.db import read
from app.errors import NOT_FOUND

_COLUMNS = (
    "a.id, a.kind, a.object_id, a.record_id, a.round, a.words, a.state, a.answer, a.asked_at, a.answer_due_at,"
    " a.answered_at, p.code as program"
)
_FROM = f"select {_COLUMNS} from appeals a join programs p on p.id = a.program_id where a.person_id = %(person)s"  # noqa: S608


def of_person(person_id: int, *, before: int | None, limit: int) -> list[Any]:
    """A person's appeals, newest first, below the cursor."""
    query = _FROM + " and a.id < %(before)s order by a.id desc limit %(limit)s"
    return read(query, {"person": person_id, "before": before or 2**63 - 1, "limit": limit})


def one(appeal_id: int, person_id: int) -> Any:
    """One of a person's appeals. Raises NOT_FOUND."""
    rows = read(_FROM + " and a.id = %(appeal)s", {"person": person_id, "appeal": appeal_id})
    if not rows:
        raise NOT_FOUND(appeal=str(appeal_id))
    return rows[0]


_OPEN = """
    select a.id, a.kind, a.object_id as object, a.round, a.asked_at as asked, a.answer_due_at as due,
           coalesce(r.state, '') as state, coalesce(r.reason_code, '') as reason, a.words
    from appeals a left join records r on r.id = a.record_id
    where a.state = 'open' and a.program_id = %(program)s order by a.answer_due_at, a.id limit %(limit)s
"""


def waiting(program_id: int, *, limit: int = 200) -> list[Any]:
    """A program's open appeals, by the day on which an answer is due."""
    return read(_OPEN, {"program": program_id, "limit": limit})
