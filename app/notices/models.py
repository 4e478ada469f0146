"""Tables of notices: what a person is told, and how they want to be told beside the inbox."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column

QUIET_FROM, QUIET_UNTIL = 22, 8
"""Hours of Shanghai in which nobody is woken who hasn't chosen others."""


class Notice(Model):
    """One message to one person. ``kind`` is a stable code, the words are kept as they were said."""

    __tablename__ = "notices"
    __table_args__ = (
        UniqueConstraint("notice_key"),
        Index("ix_notices_person", "person_id", "id"),
        Index("ix_notices_unread", "person_id", postgresql_where=text("read_at is null")),
        Index("ix_notices_in_bulk", "created_at", postgresql_where=text("kind = 'challenge.prize'")),
    )

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


class NoticeSettings(Model):
    """A person's own choice: topics that stay in the inbox, and the hours of Shanghai without messages (the same hour
    twice: none). The inbox itself always gets everything."""

    __tablename__ = "notice_settings"
    __table_args__ = (CheckConstraint("quiet_from between 0 and 23 and quiet_until between 0 and 23", name="quiet"),)

    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    muted: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    quiet_from: Mapped[int] = mapped_column(server_default=text("22"))
    quiet_until: Mapped[int] = mapped_column(server_default=text("8"))
    changed_at: Mapped[datetime]
