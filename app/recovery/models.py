"""Table of recoveries."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Recovery(Model):
    """A new identity (``claimant_id``) asks for the account (``person_id``) whose bound number it has proven.

    From ``ripe_at`` on an operator may ask a second one to hand it over; until then the owner can object.
    """

    __tablename__ = "recoveries"
    __table_args__ = (
        CheckConstraint("state in ('waiting','objected','refused','done')", name="state"),
        CheckConstraint("person_id <> claimant_id", name="two"),
        Index("uq_recoveries_open", "person_id", unique=True, postgresql_where=text("state = 'waiting'")),
        Index("ix_recoveries_claimant", "claimant_id"),
    )

    id: Mapped[int] = id_column()
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    claimant_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    number_hash: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(Text, server_default="waiting")
    asked_at: Mapped[datetime]
    ripe_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None] = mapped_column(Text)
    words: Mapped[str | None] = mapped_column(Text)
