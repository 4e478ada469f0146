"""Notices: what a person is told, in the applet's inbox. One natural key each, so a crash never tells twice."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Text, UniqueConstraint, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from app import later
from app.db import Model, connection, id_column, read, session

# Kinds that are told in WeChat too, to whom allows it; app/messages/templates.py says how.
ALSO_BY_MESSAGE = frozenset(
    {
        *("record.held", "record.rejected", "record.reversed", "appeal.granted", "appeal.refused"),
        *("award.paid", "award.manual", "credits.expiring", "code.expiring"),
        *("order.shipped", "order.refunding", "order.refunded", "order.late", "order.timed_out"),
        *("recovery.asked", "recovery.done", "ticket.answered"),
        *("check-in.reminder", "gathering.place", "gathering.changed", "gathering.cancelled"),
    }
)


class Notice(Model):
    """One message to one person. ``kind`` is a stable code, the words are kept as they were said."""

    __tablename__ = "notices"
    __table_args__ = (UniqueConstraint("notice_key"), Index("ix_notices_person", "person_id", "id"))

    id: Mapped[int] = id_column()
    notice_key: Mapped[str] = mapped_column(Text)
    program_id: Mapped[int | None]
    person_id: Mapped[int]
    kind: Mapped[str] = mapped_column(Text)
    zh: Mapped[str] = mapped_column(Text)
    en: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    read_at: Mapped[datetime | None]


def tell(
    *,
    key: str,
    person_id: int,
    kind: str,
    zh: str,
    en: str,
    at: datetime,
    program_id: int | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """Tell a person something, once per ``key`` (for example ``record:41:reversed``)."""
    row = {
        "notice_key": key,
        "program_id": program_id,
        "person_id": person_id,
        "kind": kind,
        "zh": zh,
        "en": en,
        "details": details or {},
        "created_at": at,
    }
    new = insert(Notice).values(row).on_conflict_do_nothing().returning(Notice.id)
    notice_id = connection().execute(new).scalar_one_or_none()
    if notice_id is not None and kind in ALSO_BY_MESSAGE:
        # One after the other for one person: WeChat refuses two at once (43108).
        later.defer(later.MESSAGE, lock=f"message:{person_id}", notice_id=notice_id)


_OF_PERSON = (
    "select id, kind, zh, en, details, created_at, read_at from notices"
    " where person_id = %(person_id)s and id < %(before)s order by id desc limit %(limit)s"
)


def of_person(person_id: int, *, before: int | None, limit: int) -> list[Any]:
    """A person's notices, newest first, below the cursor ``before``: rows with the columns of Notice."""
    return read(_OF_PERSON, {"person_id": person_id, "before": before or 2**63 - 1, "limit": limit})


def mark_read(*, person_id: int, up_to: int, at: datetime) -> None:
    """Mark a person's notices up to an id as read."""
    unread = (Notice.person_id == person_id, Notice.id <= up_to, Notice.read_at.is_(None))
    session().execute(update(Notice).where(*unread).values(read_at=at))
