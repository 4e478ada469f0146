"""Tables of the green game: what a program's grove offers, and each person's trees."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Grove(Model):
    """A program's grove. ``shapes``: code, names, mg that it needs, seasons in which it can be planted (none: always).

    A full-grown one can become a gift of ``gift_credits`` to ``project_id``, which ``budget_id`` pays.
    """

    __tablename__ = "groves"
    __table_args__ = (
        CheckConstraint(
            "gift_credits >= 0 and (gift_credits = 0) = (project_id is null)"
            " and (gift_credits = 0) = (budget_id is null)",
            name="gift",
        ),
        ForeignKeyConstraint(["program_id", "project_id"], ["welfare_projects.program_id", "welfare_projects.id"]),
        ForeignKeyConstraint(["program_id", "budget_id"], ["budgets.program_id", "budgets.id"]),
    )

    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"), primary_key=True)
    shapes: Mapped[list[Any]]
    starts_at: Mapped[datetime]
    project_id: Mapped[int | None]
    gift_credits: Mapped[int] = mapped_column(server_default=text("0"))
    budget_id: Mapped[int | None]
    updated_at: Mapped[datetime]
    updated_by: Mapped[str] = mapped_column(Text)


class Tree(Model):
    """One tree (or another shape) of a person; one grows at a time. What it needs is fixed when it is planted.

    ``season`` is when it was planted: the collection is sorted by it.
    """

    __tablename__ = "trees"
    __table_args__ = (
        UniqueConstraint("program_id", "person_id", "number"),
        UniqueConstraint("certificate_no"),
        CheckConstraint("needs_mg > 0", name="needs"),
        CheckConstraint("(full_at is null) = (certificate_no is null)", name="full"),
        CheckConstraint("gift_id is null or full_at is not null", name="gift"),
        Index("uq_trees_growing", "program_id", "person_id", unique=True, postgresql_where=text("full_at is null")),
        Index("uq_trees_gift", "gift_id", unique=True, postgresql_where=text("gift_id is not null")),
        Index("ix_trees_person", "person_id"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    number: Mapped[int]
    shape: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text)
    season: Mapped[str] = mapped_column(Text)
    needs_mg: Mapped[int]
    planted_at: Mapped[datetime]
    full_at: Mapped[datetime | None]
    certificate_no: Mapped[str | None] = mapped_column(Text)
    gift_id: Mapped[int | None] = mapped_column(ForeignKey("gifts.id"))
