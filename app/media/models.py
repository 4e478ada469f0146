"""Tables of uploaded pictures and of verdicts that came before anybody knew what they are about."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column

PURPOSES = ("avatar", "photo")


class Medium(Model):
    """One picture. Seen by its owner alone until it has passed. ``name`` is random and the file's name."""

    __tablename__ = "media"
    __table_args__ = (
        UniqueConstraint("name"),
        CheckConstraint("state in ('pending','review','pass','risky','failed')", name="state"),
        CheckConstraint("purpose in ('avatar','photo')", name="purpose"),
        Index("ix_media_person", "person_id", "id"),
        Index("ix_media_trace", "trace_id"),
        Index("ix_media_due", "look_at", postgresql_where=text("state = 'pending'")),
    )

    id: Mapped[int] = id_column()
    name: Mapped[str] = mapped_column(Text)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    purpose: Mapped[str] = mapped_column(Text)
    content_type: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int]
    width: Mapped[int]
    height: Mapped[int]
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(Text, server_default="pending")
    label: Mapped[int | None]
    trace_id: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    look_at: Mapped[datetime | None]
    uploaded_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(Text)
    removed_at: Mapped[datetime | None]


class MediaVerdict(Model):
    """A verdict as pushed, by WeChat's trace id."""

    __tablename__ = "media_verdicts"

    trace_id: Mapped[str] = mapped_column(Text, primary_key=True)
    suggest: Mapped[str] = mapped_column(Text)
    label: Mapped[int]
    errcode: Mapped[int]
    received_at: Mapped[datetime]
