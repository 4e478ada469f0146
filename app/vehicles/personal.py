"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from app.db import connection

COLUMNS: Mapping[str, str] = {
    "vehicle_bindings.person_id": "kept: ended; the same kilometres can't be claimed by a later holder",
}
EXPORT: Mapping[str, str] = {
    "vehicles": (
        "select v.hint, v.fuel, v.model_class, b.bound_at, b.unbound_at from vehicle_bindings b"
        " join vehicles v on v.id = b.vehicle_id where b.person_id = :person_id order by b.id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Vehicles that are unbound."""
    statement = text(
        "select 'vehicle' as what, v.hint as name from vehicle_bindings b join vehicles v on v.id ="
        " b.vehicle_id"
        " where b.person_id = :person_id and b.unbound_at is null order by b.id"
    )
    return [dict(row) for row in connection().execute(statement, {"person_id": person_id, "at": at}).mappings()]


def erase(person_id: int, at: datetime) -> None:
    """Unbind the vehicles."""
    connection().execute(
        text(
            "update vehicle_bindings set unbound_at = greatest(:at, bound_at) where person_id ="
            " :person_id and unbound_at is null"
        ),
        {"person_id": person_id, "at": at},
    )
