"""Table of text checks."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class TextCheck(Model):
    """One text on its way to be seen by others. ``kind`` and ``object_id`` name what it is for (a person's nickname).

    At most one per object is open. ``look_at`` is when it is to be asked (again); None while its author has to come
    back first. ``trace_id`` is WeChat's, kept with the verdict.
    """

    __tablename__ = "text_checks"
    __table_args__ = (
        CheckConstraint("state in ('pending','review','pass','risky','replaced')", name="state"),
        Index(
            "uq_text_checks_open",
            "kind",
            "object_id",
            unique=True,
            postgresql_where=text("state in ('pending','review')"),
        ),
        Index("ix_text_checks_due", "look_at", postgresql_where=text("state = 'pending'")),
        Index("ix_text_checks_person", "person_id"),
    )

    id: Mapped[int] = id_column()
    kind: Mapped[str] = mapped_column(Text)
    object_id: Mapped[int]
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    body: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default="pending")
    label: Mapped[int | None]
    trace_id: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    look_at: Mapped[datetime | None]
    asked_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(Text)
