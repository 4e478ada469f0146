"""Tables of green consumption: products that count as low-carbon, and venues with a sign."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Product(Model):
    """An item of a merchant that counts as low-carbon: each redemption is an act of ``scenario`` with ``facts``."""

    __tablename__ = "green_products"
    __table_args__ = (
        CheckConstraint("state in ('submitted','approved','refused','revoked')", name="state"),
        ForeignKeyConstraint(["program_id", "item_id"], ["items.program_id", "items.id"]),
        ForeignKeyConstraint(["program_id", "merchant_id"], ["merchants.program_id", "merchants.id"]),
        Index(
            "uq_green_products_live",
            "item_id",
            unique=True,
            postgresql_where=text("state in ('submitted','approved')"),
        ),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int]
    merchant_id: Mapped[int]
    item_id: Mapped[int]
    scenario: Mapped[str] = mapped_column(Text)
    facts: Mapped[dict[str, Any]]
    certificate_ref: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default="submitted")
    reason: Mapped[str] = mapped_column(Text, server_default="")
    asked_by: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    asked_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(Text)


class Venue(Model):
    """A certified place with a printed sign. With a place, only who stands within ``radius_m`` of it may scan."""

    __tablename__ = "green_venues"
    __table_args__ = (
        UniqueConstraint("program_id", "code"),
        CheckConstraint("state in ('certified','revoked')", name="state"),
        CheckConstraint("(lat_e6 is null) = (lng_e6 is null) and (radius_m is null) = (lat_e6 is null)", name="place"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    shop_id: Mapped[int | None] = mapped_column(ForeignKey("shops.id"))
    code: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text, server_default="")
    scenario: Mapped[str] = mapped_column(Text)
    facts: Mapped[dict[str, Any]]
    certificate_ref: Mapped[str] = mapped_column(Text)
    lat_e6: Mapped[int | None]
    lng_e6: Mapped[int | None]
    radius_m: Mapped[int | None]
    scene_id: Mapped[int | None] = mapped_column(ForeignKey("scenes.id"))
    state: Mapped[str] = mapped_column(Text, server_default="certified")
    reason: Mapped[str] = mapped_column(Text, server_default="")
    made_by: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
