"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from app.db import connection

COLUMNS: Mapping[str, str] = {
    "records.person_id": "kept: the act that stands behind grams and credits, under a pseudonym",
    "claims.person_id": "kept: the same act can't be claimed a second time",
    "observations.person_id": "erased",
}
EXPORT: Mapping[str, str] = {
    "records": (
        "select r.id::text, p.code as program, s.code as scenario, o.code as source, r.reference,"
        " r.facts, r.occurred_at,"
        " r.ended_at, r.received_at, r.tier, r.state, r.reason_code, r.reason_zh, r.reason_en,"
        " d.inputs, d.raw_mg, d.counted_mg,"
        " d.credits_micro from records r join programs p on p.id = r.program_id join scenarios s on"
        " s.id = r.scenario_id"
        " join sources o on o.id = r.source_id left join reductions d on d.record_id = r.id"
        " where r.person_id = :person_id order by r.id"
    ),
    "observations": (
        "select day, fact, value, read_at from observations where person_id = :person_id order by day, id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing is lost."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """Erase open observations; acts and claims stay under the pseudonym."""
    connection().execute(text("delete from observations where person_id = :person_id"), {"person_id": person_id})
