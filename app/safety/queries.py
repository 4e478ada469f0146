"""Reads about text checks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.db import read

_OPEN = (
    "select id, body, state, asked_at from text_checks"
    " where kind = %(kind)s and object_id = %(object)s and state in ('pending','review')"
)
_PENDING = (
    "select id, kind, object_id, person_id, body, attempts from text_checks where id = %(id)s and state = 'pending'"
)
_DUE = "select id from text_checks where state = 'pending' and look_at <= %(at)s order by look_at limit %(limit)s"
_WAITING = (
    "select id, kind, object_id, person_id, body, state, label, asked_at, attempts from text_checks"
    " where state in ('pending','review') order by state desc, id limit %(limit)s"
)


def open_of(kind: str, object_id: int) -> Any:
    """The text of an object that waits for its verdict, or None."""
    return next(iter(read(_OPEN, {"kind": kind, "object": object_id})), None)


def pending(check_id: int) -> Any:
    """A check that nobody has decided, or None."""
    return next(iter(read(_PENDING, {"id": check_id})), None)


def due(at: datetime, *, limit: int = 100) -> list[int]:
    """Checks to be asked now, the longest waiting first."""
    return [row.id for row in read(_DUE, {"at": at, "limit": limit})]


def waiting(*, limit: int = 200) -> list[Any]:
    """What waits: for a person of ours first, then for WeChat."""
    return read(_WAITING, {"limit": limit})
