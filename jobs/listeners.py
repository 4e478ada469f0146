"""Who listens to what: the one table. A new listener is a line here and a function in the feature it serves.

A listener gets the events of one claimed batch that it hasn't applied before, in the order of their ids, inside the
relay's transaction. It touches PostgreSQL and Redis only, never the network beyond. It may see an event again after a
crash (its inbox row and its rows in PostgreSQL vanish together), so what it writes to Redis is absolute: it reads the
present value and sets it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One fact from the outbox."""

    id: int
    event: str
    program_id: int | None
    payload: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Listener:
    """`name` is its inbox key: renaming one makes it hear old events again. `events` are names of app/events.py."""

    name: str
    events: frozenset[str]
    apply: Callable[[Sequence[Event]], None]


LISTENERS: tuple[Listener, ...] = ()
