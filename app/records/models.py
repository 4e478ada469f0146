"""Tables of records: the act as received, its claim on what physically happened, its reduction."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Computed,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import TSTZRANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column

STATES = ("counted", "held", "rejected", "reversed", "superseded", "duplicate", "mirrored")


class Record(Model):
    """One act of one person at one time from one source, kept as received.

    States: counted · held (waits for a person) · rejected · reversed · superseded (a revision replaced it) ·
    duplicate (another record claims the same act) · mirrored (counted and paid in another program of the person).
    """

    __tablename__ = "records"
    __table_args__ = (
        UniqueConstraint("source_id", "reference", "program_id"),
        ForeignKeyConstraint(["program_id", "scenario_id"], ["scenarios.program_id", "scenarios.id"]),
        CheckConstraint(
            "state in ('counted','held','rejected','reversed','superseded','duplicate','mirrored')", name="state"
        ),
        CheckConstraint("tier in ('A','B','C','D','E')", name="tier"),
        CheckConstraint("ended_at >= occurred_at", name="span"),
        CheckConstraint("state in ('counted','mirrored') or reason_code is not null", name="says_why"),
        Index("ix_records_person", "person_id", "id"),
        Index("ix_records_program_day", "program_id", "local_date"),
        Index("ix_records_held", "program_id", "id", postgresql_where=text("state = 'held'")),
        Index("ix_records_primary", "primary_id", postgresql_where=text("primary_id is not null")),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int]
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    scenario_id: Mapped[int]
    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"))
    reference: Mapped[str] = mapped_column(Text)
    facts: Mapped[dict[str, Any]]
    facts_hash: Mapped[bytes] = mapped_column(LargeBinary)
    subject: Mapped[str | None] = mapped_column(Text)
    occurred_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    local_date: Mapped[date] = mapped_column(
        Date, Computed("((occurred_at at time zone 'Asia/Shanghai')::date)", persisted=True)
    )
    received_at: Mapped[datetime]
    tier: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    reason_code: Mapped[str | None] = mapped_column(Text)
    reason_zh: Mapped[str | None] = mapped_column(Text)
    reason_en: Mapped[str | None] = mapped_column(Text)
    org_unit_id: Mapped[int | None]
    primary_id: Mapped[int | None] = mapped_column(ForeignKey("records.id"))
    supersedes_id: Mapped[int | None] = mapped_column(ForeignKey("records.id"))
    import_id: Mapped[int | None]


class Claim(Model):
    """A live claim on what physically happened. Over all programs, no two live claims of one subject overlap (MET-2).

    ``subject_key`` is a 64-bit hash of kind and subject (vehicle, person on a trip, meter): the EXCLUDE constraint
    needs a range and the core has no GiST class for text.
    """

    __tablename__ = "claims"
    __table_args__ = (
        ExcludeConstraint(
            (text("int8range(subject_key, subject_key, '[]')"), "&&"),
            ("during", "&&"),
            name="ex_claims_one_act_one_claim",
            using="gist",
            where=text("live"),
        ),
        Index("ix_claims_record", "record_id"),
        Index("ix_claims_person", "person_id"),
    )

    id: Mapped[int] = id_column()
    record_id: Mapped[int] = mapped_column(ForeignKey("records.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    kind: Mapped[str] = mapped_column(Text)
    subject_key: Mapped[int]
    during: Mapped[Range[datetime]] = mapped_column(TSTZRANGE)
    tier: Mapped[str] = mapped_column(Text)
    live: Mapped[bool] = mapped_column(server_default=text("true"))


class Reduction(Model):
    """What one record avoided under one methodology version: inputs, parameters, version and result, recomputable.

    ``raw_mg`` is as computed (it may be negative), ``counted_mg`` is zero or more. A credit-only method has
    ``credits_micro`` instead and no milligrams.
    """

    __tablename__ = "reductions"
    __table_args__ = (
        UniqueConstraint("record_id"),
        CheckConstraint("counted_mg = greatest(raw_mg, 0)", name="counted"),
        CheckConstraint("credits_micro >= 0", name="credits_micro"),
        CheckConstraint("credits_micro = 0 or raw_mg = 0", name="grams_or_credits"),
    )

    id: Mapped[int] = id_column()
    record_id: Mapped[int] = mapped_column(ForeignKey("records.id"))
    version_id: Mapped[int] = mapped_column(ForeignKey("methodology_versions.id"))
    region: Mapped[str] = mapped_column(Text)
    inputs: Mapped[dict[str, Any]]
    parameters: Mapped[dict[str, Any]]
    raw_mg: Mapped[int]
    counted_mg: Mapped[int]
    credits_micro: Mapped[int]
    transfer_id: Mapped[int | None] = mapped_column(ForeignKey("transfers.id"))
    reversed_at: Mapped[datetime | None]


class ConflictingRecord(Model):
    """The same reference with other facts: refused, the first stays, this is kept for review."""

    __tablename__ = "conflicting_records"

    id: Mapped[int] = id_column()
    record_id: Mapped[int] = mapped_column(ForeignKey("records.id"))
    facts: Mapped[dict[str, Any]]
    facts_hash: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime]
    reviewed_at: Mapped[datetime | None]
    __table_args__ = (UniqueConstraint("record_id", "facts_hash"),)


class Observation(Model):
    """A growing day (steps, odometer): provisional and replaceable; its record is made when the day has closed."""

    __tablename__ = "observations"
    __table_args__ = (
        UniqueConstraint("scenario_id", "source_id", "person_id", "subject", "day"),
        Index("ix_observations_open", "day", postgresql_where=text("settled_value is distinct from value")),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    scenario_id: Mapped[int] = mapped_column(ForeignKey("scenarios.id"))
    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    subject: Mapped[str] = mapped_column(Text, server_default="")
    day: Mapped[date] = mapped_column(Date)
    fact: Mapped[str] = mapped_column(Text)
    value: Mapped[str] = mapped_column(Text)
    read_at: Mapped[datetime]
    settled_value: Mapped[str | None] = mapped_column(Text)
    revision: Mapped[int] = mapped_column(server_default=text("0"))
    record_id: Mapped[int | None] = mapped_column(ForeignKey("records.id"))


class RetiredGrams(Model):
    """How much of a record's grams is given away. ``returned_at``: the record was taken back."""

    __tablename__ = "retired_grams"
    __table_args__ = (
        CheckConstraint("mg > 0", name="mg"),
        Index("ix_retired_grams_record", "record_id"),
    )

    transfer_id: Mapped[int] = mapped_column(ForeignKey("transfers.id"), primary_key=True)
    record_id: Mapped[int] = mapped_column(ForeignKey("records.id"), primary_key=True)
    mg: Mapped[int]
    returned_at: Mapped[datetime | None]
