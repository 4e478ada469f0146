"""Table of appeals: a person objects to a decision about an act, a post or a comment, and somebody answers."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Appeal(Model):
    """One objection. ``round`` 2 is the second look that somebody else gives a refused appeal; there is no third.

    ``record_id`` says once more what ``object_id`` says where the object is a record, so that the database holds it.
    ``late_told_at``: the answer was not there in time, and the person was told.
    """

    __tablename__ = "appeals"
    __table_args__ = (
        CheckConstraint("state in ('open','granted','refused')", name="state"),
        CheckConstraint("(kind = 'record') = (record_id is not null)", name="record"),
        CheckConstraint("record_id is null or record_id = object_id", name="object"),
        CheckConstraint("(state = 'open') = (answered_at is null)", name="answered"),
        Index("uq_appeals_open", "kind", "object_id", unique=True, postgresql_where=text("state = 'open'")),
        UniqueConstraint("kind", "object_id", "round"),
        Index("ix_appeals_person", "person_id", "id"),
        Index("ix_appeals_due", "answer_due_at", postgresql_where=text("state = 'open'")),
    )

    id: Mapped[int] = id_column()
    kind: Mapped[str] = mapped_column(Text, server_default="record")
    object_id: Mapped[int]
    record_id: Mapped[int | None] = mapped_column(ForeignKey("records.id"))
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    round: Mapped[int] = mapped_column(server_default=text("1"))
    words: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default="open")
    answer: Mapped[str | None] = mapped_column(Text)
    asked_at: Mapped[datetime]
    answer_due_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[str | None] = mapped_column(Text)
    late_told_at: Mapped[datetime | None]
