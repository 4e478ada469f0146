"""Tables of programs: the tenant, its terms versions, its org-units, and who belongs to it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column

KINDS = ("enterprise", "community", "city")


class Program(Model):
    """A tenant: an enterprise, a community or a city with its own scenarios, rates, budgets, mall and boards.

    ``wechat_appid`` names its own mini-program; None: it lives in the main one.
    """

    __tablename__ = "programs"
    __table_args__ = (
        CheckConstraint("kind in ('enterprise','community','city')", name="kind"),
        CheckConstraint("state in ('active','retired')", name="state"),
        CheckConstraint("settlement_period in ('week','month','season')", name="settlement_period"),
        CheckConstraint("redeem_until > no_awards_from", name="window"),
    )

    id: Mapped[int] = id_column()
    code: Mapped[str] = mapped_column(Text, unique=True)
    kind: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text)
    region: Mapped[str] = mapped_column(Text)
    starts_on: Mapped[date] = mapped_column(Date)
    state: Mapped[str] = mapped_column(Text, server_default="active")
    retired_at: Mapped[datetime | None]
    joining: Mapped[str] = mapped_column(Text, server_default="open")
    demo: Mapped[bool] = mapped_column(server_default=text("false"))
    intro: Mapped[str] = mapped_column(Text, server_default="")
    intro_en: Mapped[str] = mapped_column(Text, server_default="")
    wechat_appid: Mapped[str | None] = mapped_column(Text)
    settlement_period: Mapped[str] = mapped_column(Text, server_default="month")
    no_awards_from: Mapped[datetime | None]
    redeem_until: Mapped[datetime | None]


class Terms(Model):
    """One immutable version of a program's promise: rates, shares, price, expiry, and the text people agree to.

    ``tier_bps`` is the share of credits per evidence tier in basis points; ``price_fen`` is what 1,000 credits cost a
    sponsor; ``lot_months`` after arrival a lot expires, at the end of the day, month, season or year (``lot_rule``).
    ``floor_fen`` is the least that 1,000 credits buy: nothing may be offered for less.
    """

    __tablename__ = "terms"
    __table_args__ = (
        UniqueConstraint("program_id", "version"),
        UniqueConstraint("program_id", "id"),
        CheckConstraint("credits_per_kg between 1 and 100000", name="rate"),
        CheckConstraint("price_fen between 1 and 10000000", name="price"),
        CheckConstraint("lot_months between 1 and 120", name="lot_months"),
        CheckConstraint("floor_fen between 0 and price_fen", name="floor"),
        CheckConstraint("lot_rule in ('day','month','season','year')", name="lot_rule"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    version: Mapped[int]
    effective_at: Mapped[datetime]
    credits_per_kg: Mapped[int]
    price_fen: Mapped[int]
    tier_bps: Mapped[dict[str, Any]]
    multiplier_cap_bps: Mapped[int]
    lot_months: Mapped[int]
    floor_fen: Mapped[int] = mapped_column(server_default=text("0"))
    lot_rule: Mapped[str] = mapped_column(Text, server_default="season")
    daily_credits_cap: Mapped[int | None]
    text_zh: Mapped[str] = mapped_column(Text)
    text_en: Mapped[str] = mapped_column(Text)
    text_hash: Mapped[bytes] = mapped_column(LargeBinary)


class OrgUnit(Model):
    """A department, neighbourhood or district. ``path`` holds the ids from the root: ``/3/17/``."""

    __tablename__ = "org_units"
    __table_args__ = (
        UniqueConstraint("program_id", "code"),
        UniqueConstraint("program_id", "id"),
        ForeignKeyConstraint(["program_id", "parent_id"], ["org_units.program_id", "org_units.id"]),
        Index("ix_org_units_path", "program_id", "path", postgresql_ops={"path": "text_pattern_ops"}),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    parent_id: Mapped[int | None]
    kind: Mapped[str] = mapped_column(Text)
    code: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text, server_default="")
    path: Mapped[str] = mapped_column(Text, server_default="/")


class Membership(Model):
    """One person in one program. ``rank`` is the person's own order: the first program that offers an act pays it.
    ``level`` and ``tags`` say what the person may see in the mall."""

    __tablename__ = "memberships"
    __table_args__ = (
        UniqueConstraint("program_id", "person_id"),
        CheckConstraint("state in ('pending','active','left','refused')", name="state"),
        ForeignKeyConstraint(["program_id", "org_unit_id"], ["org_units.program_id", "org_units.id"]),
        Index("ix_memberships_person", "person_id", "rank"),
        Index("ix_memberships_org_unit", "org_unit_id"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    org_unit_id: Mapped[int | None]
    state: Mapped[str] = mapped_column(Text)
    rank: Mapped[int]
    level: Mapped[int] = mapped_column(server_default=text("0"))
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    joined_by: Mapped[str] = mapped_column(Text)
    joined_at: Mapped[datetime | None]
    left_at: Mapped[datetime | None]


class Invitation(Model):
    """A code that lets people join, into an org-unit where one is named."""

    __tablename__ = "invitations"
    __table_args__ = (
        CheckConstraint("uses_left >= 0", name="uses_left"),
        ForeignKeyConstraint(["program_id", "org_unit_id"], ["org_units.program_id", "org_units.id"]),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    org_unit_id: Mapped[int | None]
    code: Mapped[str] = mapped_column(Text, unique=True)
    uses_left: Mapped[int]
    expires_at: Mapped[datetime]


class RosterEntry(Model):
    """One line of an employer's or neighbourhood's roster. The number and the PIN are kept as keyed hashes only."""

    __tablename__ = "roster_entries"
    __table_args__ = (
        UniqueConstraint("program_id", "number_hash"),
        ForeignKeyConstraint(["program_id", "org_unit_id"], ["org_units.program_id", "org_units.id"]),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    org_unit_id: Mapped[int | None]
    number_hash: Mapped[bytes] = mapped_column(LargeBinary)
    pin_hash: Mapped[bytes] = mapped_column(LargeBinary)
    claimed_by: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))
    claimed_at: Mapped[datetime | None]
