"""Tables of levels and badges: the rules in versions, who stands where, each change, each bonus."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class LevelSet(Model):
    """One version of a program's levels and badges (append-only); the newest effective one is in force.

    ``levels``: number, code, names, mg (grams of twelve months in mg), boost_bps, bonus credits, privileges.
    ``badges``: code, names, rule (acts, days, mg, streak, prizes, level), least, scenario.
    """

    __tablename__ = "level_sets"
    __table_args__ = (ForeignKeyConstraint(["program_id", "budget_id"], ["budgets.program_id", "budgets.id"]),)

    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    levels: Mapped[list[Any]]
    badges: Mapped[list[Any]]
    budget_id: Mapped[int | None]
    effective_at: Mapped[datetime]
    approval_id: Mapped[int | None] = mapped_column(ForeignKey("approvals.id"))
    made_by: Mapped[str] = mapped_column(Text)


class PersonLevel(Model):
    """Where a person stands; ``mg`` as last computed. Memberships carry the level too, for the mall's audiences."""

    __tablename__ = "person_levels"
    __table_args__ = (
        CheckConstraint("level >= 0 and mg >= 0", name="amounts"),
        Index("ix_person_levels_person", "person_id"),
    )

    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    level: Mapped[int]
    mg: Mapped[int]
    since: Mapped[datetime]


class LevelChange(Model):
    """One step up or down (append-only). ``cause``: earned · aged (the twelve months moved on) · reversed · rules."""

    __tablename__ = "level_changes"
    __table_args__ = (
        CheckConstraint("cause in ('earned','aged','reversed','rules')", name="cause"),
        CheckConstraint("from_level <> to_level", name="moves"),
        Index("ix_level_changes_person", "person_id", "program_id", "id"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    from_level: Mapped[int]
    to_level: Mapped[int]
    mg: Mapped[int]
    cause: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]


class LevelBonus(Model):
    """A level's bonus of a person: at most one stands; taken back with its acts, it can be earned again."""

    __tablename__ = "level_bonuses"
    __table_args__ = (
        Index(
            "uq_level_bonuses_standing",
            "program_id",
            "person_id",
            "level",
            unique=True,
            postgresql_where=text("not taken_back"),
        ),
        Index("ix_level_bonuses_person", "person_id"),
    )

    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    level: Mapped[int] = mapped_column(primary_key=True)
    round: Mapped[int] = mapped_column(primary_key=True)
    award_id: Mapped[int] = mapped_column(ForeignKey("awards.id"))
    taken_back: Mapped[bool] = mapped_column(server_default=text("false"))


class PersonBadge(Model):
    """A badge that a person has earned; it goes with the acts that it came from."""

    __tablename__ = "person_badges"
    __table_args__ = (Index("ix_person_badges_person", "person_id"),)

    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    badge: Mapped[str] = mapped_column(Text, primary_key=True)
    earned_at: Mapped[datetime]
