"""Reads about pictures."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.db import read

_COLUMNS = "id, name, person_id, purpose, content_type, width, height, state, label, attempts, uploaded_at, decided_at"


def by_name(name: str) -> Any:
    """A picture that is not removed, or None."""
    query = f"select {_COLUMNS} from media where name = %(name)s and removed_at is null"  # noqa: S608
    return next(iter(read(query, {"name": name})), None)


def shown(medium_id: int, person_id: int) -> Any:
    """One of a person's pictures, or None."""
    query = f"select {_COLUMNS} from media where id = %(id)s and person_id = %(person)s and removed_at is null"  # noqa: S608
    return next(iter(read(query, {"id": medium_id, "person": person_id})), None)


def mine(person_id: int, *, limit: int = 50) -> list[Any]:
    """A person's pictures, newest first."""
    query = f"select {_COLUMNS} from media where person_id = %(person)s and removed_at is null order by id desc limit %(limit)s"  # noqa: E501, S608
    return read(query, {"person": person_id, "limit": limit})


def pending(medium_id: int) -> Any:
    """A picture that waits for its verdict, or None."""
    query = f"select {_COLUMNS} from media where id = %(id)s and state = 'pending' and removed_at is null"  # noqa: S608
    return next(iter(read(query, {"id": medium_id})), None)


def due(at: datetime, *, limit: int = 100) -> list[int]:
    """Pictures about which WeChat is to be asked (again), the longest waiting first."""
    query = (
        "select id from media where state = 'pending' and removed_at is null and look_at <= %(at)s"
        " order by look_at limit %(limit)s"
    )
    return [row.id for row in read(query, {"at": at, "limit": limit})]


def waiting(*, limit: int = 200) -> list[Any]:
    """What waits: for a person of ours first, then for WeChat."""
    query = (
        f"select {_COLUMNS} from media where state in ('pending','review') and removed_at is null"  # noqa: S608
        " order by state desc, id limit %(limit)s"
    )
    return read(query, {"limit": limit})


def gone(*, limit: int = 500) -> list[Any]:
    """Removed pictures whose files may still lie there."""
    return read("select id, name from media where removed_at is not null order by id limit %(limit)s", {"limit": limit})
