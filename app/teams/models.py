"""Tables of teams: who stands together, in a challenge or on a board among friends."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column

KINDS = ("team", "group")
MOST = {"team": 5, "group": 50}
"""Seats. Five with the one who shares is WeChat's rule for teams formed by sharing (its rules of operation, 5.1.8)."""


class Team(Model):
    """A team (for challenges) or a friends' group (for boards) of one program, which people enter by a code.

    ``name`` is empty until its check has passed; :func:`app.teams.shown_name` says what to show.
    """

    __tablename__ = "teams"
    __table_args__ = (
        UniqueConstraint("id", "program_id", "kind"),
        CheckConstraint("kind in ('team','group')", name="kind"),
        CheckConstraint("size_most between 2 and case kind when 'team' then 5 else 50 end", name="size_most"),
        Index("uq_teams_code", "code", unique=True, postgresql_where=text("closed_at is null")),
        Index("ix_teams_program", "program_id", "id"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    kind: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text, server_default="")
    captain_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    code: Mapped[str] = mapped_column(Text)
    size_most: Mapped[int]
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class TeamMember(Model):
    """One person's time in a team, ``[joined_at, left_at)``. A seat is taken by one at a time, so a team is never
    larger than its seats, under any race; and nobody is in two teams of a program at once (friends' groups: many)."""

    __tablename__ = "team_members"
    __table_args__ = (
        ForeignKeyConstraint(["team_id", "program_id", "kind"], ["teams.id", "teams.program_id", "teams.kind"]),
        CheckConstraint("seat between 1 and case kind when 'team' then 5 else 50 end", name="seat"),
        CheckConstraint("left_at is null or left_at >= joined_at", name="span"),
        Index("uq_team_members_seat", "team_id", "seat", unique=True, postgresql_where=text("left_at is null")),
        Index("uq_team_members_open", "team_id", "person_id", unique=True, postgresql_where=text("left_at is null")),
        Index(
            "uq_team_members_one_team",
            "program_id",
            "person_id",
            unique=True,
            postgresql_where=text("left_at is null and kind = 'team'"),
        ),
        Index("ix_team_members_person", "person_id", "id"),
    )

    id: Mapped[int] = id_column()
    team_id: Mapped[int]
    program_id: Mapped[int]
    kind: Mapped[str] = mapped_column(Text)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    seat: Mapped[int]
    joined_at: Mapped[datetime]
    left_at: Mapped[datetime | None]
