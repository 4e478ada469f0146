"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from app.db import run
from app.mall import wants

COLUMNS: Mapping[str, str] = {
    "favourites.person_id": "erased",
    "waitlist.person_id": "erased",
}
EXPORT: Mapping[str, str] = {
    "favourites": (
        "select i.code as item, f.added_at from favourites f join items i on i.id = f.item_id"
        " where f.person_id = :person_id order by f.item_id"
    ),
    "waitlist": (
        "select i.code as item, w.state, w.joined_at, w.offer_until from waitlist w join items i on i.id = w.item_id"
        " where w.person_id = :person_id order by w.item_id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing of worth is lost."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """A place in a line goes to the next; what was kept in sight is forgotten."""
    query = "select item_id from waitlist where person_id = %(person)s and state in ('waiting', 'offered')"
    for row in run(query, {"person": person_id}):
        wants.leave(person_id=person_id, item_id=row.item_id)
    run("delete from waitlist where person_id = %(person)s", {"person": person_id})
    run("delete from favourites where person_id = %(person)s", {"person": person_id})
