"""Outbox: what must follow a commit is a row of that commit. ``jobs/relay.py`` delivers it at least once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app import events
from app.db import Model, id_column, run


class OutboxEvent(Model):
    """One fact. ``published_at`` is set in the transaction in which all its listeners did their work."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_unpublished", "id", postgresql_where=text("published_at is null")),)

    id: Mapped[int] = id_column()
    program_id: Mapped[int | None]
    event: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    published_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    last_error: Mapped[str | None] = mapped_column(Text)


Fact = tuple[str, int | None, dict[str, Any]]


def publish(event: str, payload: dict[str, Any], *, program_id: int | None = None) -> None:
    """Put one fact into the outbox of the running transaction."""
    publish_many([(event, program_id, payload)])


def publish_many(facts: Iterable[Fact]) -> None:
    """Put many facts into the outbox with one statement. Raises ValueError for an event that app/events.py lacks."""
    rows = as_json(facts)
    if rows:
        run("select outbox_add(%(facts)s::jsonb)", {"facts": json.dumps(rows)})


def as_json(facts: Iterable[Fact]) -> list[dict[str, Any]]:
    """Facts as the database function ``outbox_add`` takes them. Raises ValueError for an unknown event."""
    rows = [{"event": event, "program_id": program_id, "payload": payload} for event, program_id, payload in facts]
    for row in rows:
        if row["event"] not in events.ALL:
            raise ValueError(f"unknown event {row['event']!r}")
    return rows
