"""Tables of merchants: who is owed, their shops, and who may scan for them."""

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
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Merchant(Model):
    """A business that redeems. What we owe it stands on its fen account ``payable``."""

    __tablename__ = "merchants"
    __table_args__ = (
        UniqueConstraint("program_id", "code"),
        UniqueConstraint("program_id", "id"),
        CheckConstraint("state in ('active','paused','leaving','left')", name="state"),
        Index("ix_merchants_group", "program_id", "group_code", postgresql_where=text("group_code is not null")),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    code: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text, server_default="")
    state: Mapped[str] = mapped_column(Text, server_default="active")
    payable_account_id: Mapped[int]
    group_code: Mapped[str | None] = mapped_column(Text)
    pause_reason: Mapped[str | None] = mapped_column(Text)
    paused_by: Mapped[str | None] = mapped_column(Text)
    licence_no: Mapped[str] = mapped_column(Text, server_default="")
    leaving_at: Mapped[datetime | None]
    left_at: Mapped[datetime | None]


class Shop(Model):
    """One place of a merchant where codes are scanned. ``lat_e6`` and ``lng_e6`` are millionths of a degree."""

    __tablename__ = "shops"
    __table_args__ = (
        UniqueConstraint("program_id", "id"),
        UniqueConstraint("merchant_id", "name"),
        ForeignKeyConstraint(["program_id", "merchant_id"], ["merchants.program_id", "merchants.id"]),
        CheckConstraint(
            "(lat_e6 is null) = (lng_e6 is null) and lat_e6 between -90000000 and 90000000"
            " and lng_e6 between -180000000 and 180000000",
            name="place",
        ),
        CheckConstraint("daily_quota > 0", name="quota"),
        CheckConstraint("state in ('open','paused','closed')", name="state"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int]
    merchant_id: Mapped[int]
    name: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text, server_default="")
    lat_e6: Mapped[int | None]
    lng_e6: Mapped[int | None]
    opening_hours: Mapped[str] = mapped_column(Text, server_default="")
    phone: Mapped[str] = mapped_column(Text, server_default="")
    daily_quota: Mapped[int | None]
    state: Mapped[str] = mapped_column(Text, server_default="open")
    pause_reason: Mapped[str | None] = mapped_column(Text)
    paused_by: Mapped[str | None] = mapped_column(Text)


class Staff(Model):
    """A person who works in a shop for a time, as clerk, manager or owner."""

    __tablename__ = "staff"
    __table_args__ = (
        CheckConstraint("role in ('clerk','manager','owner')", name="role"),
        Index(
            "uq_staff_active",
            "shop_id",
            "person_id",
            unique=True,
            postgresql_where=text("active_until is null"),
        ),
        Index("ix_staff_person", "person_id"),
    )

    id: Mapped[int] = id_column()
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    role: Mapped[str] = mapped_column(Text)
    active_from: Mapped[datetime]
    active_until: Mapped[datetime | None]


class Application(Model):
    """A citizen asks to become a merchant of a program, with the shops that it has."""

    __tablename__ = "merchant_applications"
    __table_args__ = (
        CheckConstraint("state in ('submitted','approved','refused','withdrawn')", name="state"),
        CheckConstraint("(state = 'submitted') = (decided_at is null)", name="decided"),
        CheckConstraint("(state = 'approved') = (merchant_id is not null)", name="approved"),
        Index(
            "uq_merchant_applications_open",
            "program_id",
            "licence_no",
            unique=True,
            postgresql_where=text("state in ('submitted','approved')"),
        ),
        Index("ix_merchant_applications_person", "person_id"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    name: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text, server_default="")
    licence_no: Mapped[str] = mapped_column(Text)
    phone_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    shops: Mapped[list[Any]]
    state: Mapped[str] = mapped_column(Text, server_default="submitted")
    reason: Mapped[str] = mapped_column(Text, server_default="")
    merchant_id: Mapped[int | None] = mapped_column(ForeignKey("merchants.id"))
    asked_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(Text)


class Invitation(Model):
    """A code by which a person takes a job in a shop: once, for some hours. Only its keyed hash is kept."""

    __tablename__ = "staff_invitations"
    __table_args__ = (
        UniqueConstraint("token_hash"),
        CheckConstraint("role in ('clerk','manager','owner')", name="role"),
        CheckConstraint("(used_by is null) = (used_at is null)", name="used"),
    )

    id: Mapped[int] = id_column()
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"))
    role: Mapped[str] = mapped_column(Text)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary)
    made_by: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_by: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))
    used_at: Mapped[datetime | None]
