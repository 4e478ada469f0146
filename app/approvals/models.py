"""Table of approvals."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column

STATES = ("pending", "approved", "rejected", "executed")


class Approval(Model):
    """One request for a second person. ``action`` names the executor, ``payload`` is exactly what will run."""

    __tablename__ = "approvals"
    __table_args__ = (
        CheckConstraint("maker <> checker", name="four_eyes"),
        CheckConstraint("state in ('pending','approved','rejected','executed')", name="state"),
        CheckConstraint("state <> 'executed' or executed_hash = payload_hash", name="ran_what_was_approved"),
        CheckConstraint("state not in ('approved','executed') or checker is not null", name="has_checker"),
        Index("ix_approvals_open", "action", postgresql_where=text("state in ('pending','approved')")),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int | None]
    action: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]]
    payload_hash: Mapped[bytes] = mapped_column(LargeBinary)
    reason: Mapped[str] = mapped_column(Text)
    maker: Mapped[str] = mapped_column(Text)
    checker: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default="pending")
    asked_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    executed_at: Mapped[datetime | None]
    executed_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    decision_text: Mapped[str | None] = mapped_column(Text)
