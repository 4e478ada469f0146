"""Tables of leaderboards: scores (the truth), and the frozen result of closed periods.

``subject_kind``: ``person``, ``unit`` (an org-unit of any level, districts included), ``team``. One row holds both
metrics; the rank score that Redis gets is the value plus a fraction that is larger the earlier it was reached (ties by
who was first), so that PostgreSQL and Redis have one and the same order.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model


class Score(Model):
    """Grams (mg) and credits earned of one subject in one period."""

    __tablename__ = "scores"
    __table_args__ = (
        CheckConstraint("subject_kind in ('person','unit','team')", name="subject_kind"),
        CheckConstraint("period_kind in ('day','week','month','season','all')", name="period_kind"),
        Index("ix_scores_mg", "program_id", "subject_kind", "period_kind", "period_key", "mg_rank"),
        Index("ix_scores_credits", "program_id", "subject_kind", "period_kind", "period_key", "credits_rank"),
    )

    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"), primary_key=True)
    subject_kind: Mapped[str] = mapped_column(Text, primary_key=True)
    period_kind: Mapped[str] = mapped_column(Text, primary_key=True)
    period_key: Mapped[str] = mapped_column(Text, primary_key=True)
    subject_id: Mapped[int] = mapped_column(primary_key=True)
    mg: Mapped[int]
    mg_reached_at: Mapped[datetime]
    mg_rank: Mapped[float]
    credits: Mapped[int]
    credits_reached_at: Mapped[datetime]
    credits_rank: Mapped[float]


class ClosedBoard(Model):
    """A board whose period is over and whose result is frozen."""

    __tablename__ = "closed_boards"

    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"), primary_key=True)
    subject_kind: Mapped[str] = mapped_column(Text, primary_key=True)
    metric: Mapped[str] = mapped_column(Text, primary_key=True)
    period_kind: Mapped[str] = mapped_column(Text, primary_key=True)
    period_key: Mapped[str] = mapped_column(Text, primary_key=True)
    subjects: Mapped[int]
    frozen_at: Mapped[datetime]


class FinalRank(Model):
    """One line of a frozen board; never changes (append-only)."""

    __tablename__ = "final_ranks"
    __table_args__ = (
        Index(
            "uq_final_ranks_rank",
            "program_id",
            "subject_kind",
            "metric",
            "period_kind",
            "period_key",
            "rank",
            unique=True,
        ),
    )

    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"), primary_key=True)
    subject_kind: Mapped[str] = mapped_column(Text, primary_key=True)
    metric: Mapped[str] = mapped_column(Text, primary_key=True)
    period_kind: Mapped[str] = mapped_column(Text, primary_key=True)
    period_key: Mapped[str] = mapped_column(Text, primary_key=True)
    subject_id: Mapped[int] = mapped_column(primary_key=True)
    rank: Mapped[int]
    score: Mapped[int]
    reached_at: Mapped[datetime]
