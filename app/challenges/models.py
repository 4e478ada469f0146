"""Tables of challenges: the rules in versions, who takes part, what counts so far, the published result, who wins."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import BigInteger

from app.db import Model, id_column

STATES = ("draft", "live", "settling", "settled", "cancelled")


class Challenge(Model):
    """A challenge as it stands now. Amounts are in the measure's small unit: mg, metres, Wh/100 km, counts, days.

    ``closes_at`` is how long late data of its time count. ``reserve_id`` is the budget that holds the prizes,
    ``frozen_at`` the instant as of which the result was computed.
    """

    __tablename__ = "challenges"
    __table_args__ = (
        UniqueConstraint("program_id", "code"),
        UniqueConstraint("program_id", "id"),
        CheckConstraint("kind in ('goal','streak','race','team','unit')", name="kind"),
        CheckConstraint("state in ('draft','live','settling','settled','cancelled')", name="state"),
        CheckConstraint("measure in ('mg','metres','wh_per_100km','count','days')", name="measure"),
        CheckConstraint(
            "enrol_from < enrol_until and starts_at < ends_at and ends_at <= closes_at and enrol_until <= ends_at",
            name="times",
        ),
        CheckConstraint("capacity is null or enrolled between 0 and capacity", name="capacity"),
        CheckConstraint("on_reversal in ('keep','take_back')", name="on_reversal"),
        CheckConstraint("(kind = 'unit') = (unit_kind is not null)", name="unit_kind"),
        CheckConstraint(
            "(state in ('settling','settled')) = (frozen_at is not null and result_hash is not null)", name="frozen"
        ),
        ForeignKeyConstraint(["program_id", "budget_id"], ["budgets.program_id", "budgets.id"]),
        ForeignKeyConstraint(["program_id", "reserve_id"], ["budgets.program_id", "budgets.id"]),
        Index("ix_challenges_live", "program_id", "starts_at", postgresql_where=text("state = 'live'")),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    code: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default="draft")
    version: Mapped[int] = mapped_column(server_default=text("1"))
    name: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text)
    text_zh: Mapped[str] = mapped_column(Text)
    text_en: Mapped[str] = mapped_column(Text)
    measure: Mapped[str] = mapped_column(Text)
    scenario_ids: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    audience_units: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    audience_tags: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    least_level: Mapped[int] = mapped_column(server_default=text("0"))
    enrol_from: Mapped[datetime]
    enrol_until: Mapped[datetime]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    closes_at: Mapped[datetime]
    capacity: Mapped[int | None]
    enrolled: Mapped[int] = mapped_column(server_default=text("0"))
    per_day: Mapped[int | None]
    least_metres: Mapped[int] = mapped_column(server_default=text("0"))
    norms: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    unit_kind: Mapped[str | None] = mapped_column(Text)
    per_head: Mapped[bool] = mapped_column(server_default=text("false"))
    least_members: Mapped[int] = mapped_column(server_default=text("1"))
    on_reversal: Mapped[str] = mapped_column(Text, server_default="take_back")
    prizes: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'"))
    budget_id: Mapped[int | None]
    reserve_id: Mapped[int | None]
    reserved: Mapped[int] = mapped_column(server_default=text("0"))
    approval_id: Mapped[int | None] = mapped_column(ForeignKey("approvals.id"))
    launched_at: Mapped[datetime | None]
    frozen_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    result_hash: Mapped[str | None] = mapped_column(Text)
    cancel_reason: Mapped[str | None] = mapped_column(Text)


class ChallengeVersion(Model):
    """One version of a challenge's rules, as they were written (append-only)."""

    __tablename__ = "challenge_versions"

    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenges.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    definition: Mapped[dict[str, Any]]
    definition_hash: Mapped[bytes] = mapped_column(LargeBinary)
    made_by: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime]


class Enrolment(Model):
    """Who takes part, under which version: a person, or a team that ``person_id`` has entered."""

    __tablename__ = "enrolments"
    __table_args__ = (
        CheckConstraint("subject_kind in ('person','team')", name="subject_kind"),
        ForeignKeyConstraint(
            ["challenge_id", "version"], ["challenge_versions.challenge_id", "challenge_versions.version"]
        ),
        Index("ix_enrolments_subject", "subject_kind", "subject_id", "challenge_id"),
        Index("ix_enrolments_person", "person_id"),
    )

    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenges.id"), primary_key=True)
    subject_kind: Mapped[str] = mapped_column(Text, primary_key=True)
    subject_id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    version: Mapped[int]
    enrolled_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]


class ChallengePart(Model):
    """What one person has put in, for itself (``group_id`` is its own id) or for a team or org-unit."""

    __tablename__ = "challenge_parts"
    __table_args__ = (Index("ix_challenge_parts_person", "person_id", "challenge_id"),)

    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenges.id"), primary_key=True)
    group_id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[int]
    place: Mapped[int]
    reached_at: Mapped[datetime]


class ChallengeScore(Model):
    """The live standing of one who is ranked; ``rank_score`` is the one number that Redis sorts by."""

    __tablename__ = "challenge_scores"
    __table_args__ = (Index("ix_challenge_scores_rank", "challenge_id", "rank_score"),)

    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenges.id"), primary_key=True)
    subject_id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[int]
    place: Mapped[int]
    heads: Mapped[int]
    reached_at: Mapped[datetime]
    rank_score: Mapped[float] = mapped_column(DOUBLE_PRECISION)


class ChallengeResult(Model):
    """One line of the published result (append-only)."""

    __tablename__ = "challenge_results"
    __table_args__ = (UniqueConstraint("challenge_id", "rank"),)

    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenges.id"), primary_key=True)
    subject_id: Mapped[int] = mapped_column(primary_key=True)
    rank: Mapped[int]
    value: Mapped[int]
    place: Mapped[int]
    heads: Mapped[int]
    reached_at: Mapped[datetime]


class ChallengeWin(Model):
    """One prize of one person. States: due · paid · taken_back (its act was reversed) · lapsed (the person left)."""

    __tablename__ = "challenge_wins"
    __table_args__ = (
        CheckConstraint("state in ('due','paid','taken_back','lapsed')", name="state"),
        CheckConstraint("credits >= 0", name="credits"),
        CheckConstraint("state <> 'paid' or credits = 0 or award_id is not null", name="award"),
        Index("ix_challenge_wins_due", "challenge_id", "person_id", postgresql_where=text("state = 'due'")),
        Index("ix_challenge_wins_person", "person_id"),
    )

    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenges.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    prize_no: Mapped[int] = mapped_column(primary_key=True)
    subject_id: Mapped[int]
    value: Mapped[int]
    credits: Mapped[int]
    state: Mapped[str] = mapped_column(Text, server_default="due")
    award_id: Mapped[int | None] = mapped_column(ForeignKey("awards.id"))


class ChallengeCorrection(Model):
    """What changed for a person after the result was published, and what was done (append-only)."""

    __tablename__ = "challenge_corrections"
    __table_args__ = (
        CheckConstraint("effect in ('none','taken_back','paid')", name="effect"),
        Index("ix_challenge_corrections_challenge", "challenge_id", "person_id", "id"),
    )

    id: Mapped[int] = id_column()
    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenges.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    value_before: Mapped[int]
    value_after: Mapped[int]
    effect: Mapped[str] = mapped_column(Text)
    prize_no: Mapped[int | None]
    at: Mapped[datetime]
