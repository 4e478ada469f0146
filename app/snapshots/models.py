"""Table of snapshots: the photo behind an act that a person of ours has to look at."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Snapshot(Model):
    """A photo of a green moment. What became of it is its record's state: held until somebody has looked.

    ``fingerprint`` is of what the picture looks like (64 bits), so that the same one is known when it is cropped,
    saved anew or sent by somebody else; ``similar_to`` names the nearest earlier one. The photo goes ``thinned_at``.
    """

    __tablename__ = "snapshots"
    __table_args__ = (
        UniqueConstraint("person_id", "client_ref"),
        UniqueConstraint("record_id"),
        CheckConstraint("(similar_to is null) = (distance is null)", name="similar"),
        Index("ix_snapshots_program", "program_id", "id"),
        Index("ix_snapshots_medium", "medium_id"),
        Index("ix_snapshots_sent", "sent_at"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    record_id: Mapped[int] = mapped_column(ForeignKey("records.id"))
    client_ref: Mapped[str] = mapped_column(Text)
    scenario: Mapped[str] = mapped_column(Text)
    medium_id: Mapped[int | None] = mapped_column(ForeignKey("media.id", ondelete="SET NULL"))
    fingerprint: Mapped[int]
    similar_to: Mapped[int | None] = mapped_column(ForeignKey("snapshots.id"))
    distance: Mapped[int | None]
    note: Mapped[str] = mapped_column(Text, server_default="")
    taken_at: Mapped[datetime]
    sent_at: Mapped[datetime]
    thinned_at: Mapped[datetime | None]
