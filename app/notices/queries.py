"""Reads of notices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app import clock
from app.db import read
from app.notices.kinds import ESSENTIAL, TOPICS, firsts_of, topic_of
from app.notices.models import QUIET_FROM, QUIET_UNTIL

_OF_PERSON = """
    select id, kind, zh, en, details, created_at, read_at from notices
    where person_id = %(person_id)s and id < %(before)s
      and (%(firsts)s::text[] is null or split_part(kind, '.', 1) = any (%(firsts)s::text[]))
      and (not %(unread)s or read_at is null)
    order by id desc limit %(limit)s
"""


def of_person(
    person_id: int, *, before: int | None, limit: int, topic: str | None = None, unread: bool = False
) -> list[Any]:
    """A person's notices, newest first, below the cursor ``before``: rows with the columns of Notice."""
    values = {"person_id": person_id, "before": before or 2**63 - 1, "limit": limit, "unread": unread}
    return read(_OF_PERSON, {**values, "firsts": firsts_of(topic) if topic else None})


def unread(person_id: int) -> dict[str, int]:
    """How many notices a person has not read, by topic; topics without any are left out."""
    query = "select kind, count(*) as n from notices where person_id = %(person)s and read_at is null group by kind"
    found: dict[str, int] = {}
    for row in read(query, {"person": person_id}):
        topic = topic_of(row.kind)
        found[topic] = found.get(topic, 0) + row.n
    return {topic: found[topic] for topic in TOPICS if topic in found}


@dataclass(frozen=True, slots=True)
class Choice:
    """How a person wants to be told beside the inbox."""

    muted: tuple[str, ...] = ()
    quiet_from: int = QUIET_FROM
    quiet_until: int = QUIET_UNTIL

    def wants(self, kind: str) -> bool:
        """Whether a notice of this kind may be told by message."""
        topic = topic_of(kind)
        return topic in ESSENTIAL or topic not in self.muted

    def after_quiet(self, at: datetime) -> datetime:
        """The moment itself, or the end of the quiet hours that it lies in (Shanghai, half-open)."""
        local = at.astimezone(clock.SHANGHAI)
        if not self._quiet(local.hour):
            return at
        day = local.date()
        if self.quiet_from > self.quiet_until and local.hour >= self.quiet_from:
            day += timedelta(days=1)
        return clock.day_start(day) + timedelta(hours=self.quiet_until)

    def _quiet(self, hour: int) -> bool:
        if self.quiet_from <= self.quiet_until:
            return self.quiet_from <= hour < self.quiet_until
        return hour >= self.quiet_from or hour < self.quiet_until


def choice(person_id: int) -> Choice:
    """A person's choice, or the usual one."""
    query = "select muted, quiet_from, quiet_until from notice_settings where person_id = %(person)s"
    rows = read(query, {"person": person_id})
    return Choice(tuple(rows[0].muted), rows[0].quiet_from, rows[0].quiet_until) if rows else Choice()
