"""Table of items: what credits can become. Stock is three counters that always sum to the total (STK-1)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Item(Model):
    """One thing on offer. ``settlement_fen`` is what the sponsors owe the merchant per piece; it may not exceed
    what its credits are worth. ``price_fen`` is what the person pays by WeChat Pay, for real goods and services only.
    """

    __tablename__ = "items"
    __table_args__ = (
        UniqueConstraint("program_id", "code"),
        UniqueConstraint("program_id", "id"),
        ForeignKeyConstraint(["program_id", "merchant_id"], ["merchants.program_id", "merchants.id"]),
        CheckConstraint("kind in ('voucher','parcel','service')", name="kind"),
        CheckConstraint("price_credits > 0 and price_fen >= 0 and settlement_fen >= 0", name="price"),
        CheckConstraint("price_fen = 0 or kind in ('parcel','service')", name="cash_kinds"),
        CheckConstraint("available >= 0 and reserved >= 0 and sold >= 0", name="stock"),
        CheckConstraint("total = available + reserved + sold", name="stock_adds_up"),
        CheckConstraint("state in ('draft','on_sale','off_sale')", name="state"),
        CheckConstraint("valid_days between 1 and 730", name="valid_days"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    code: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    merchant_id: Mapped[int]
    sponsor_id: Mapped[int | None] = mapped_column(ForeignKey("sponsors.id"))
    name: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text, server_default="")
    text_zh: Mapped[str] = mapped_column(Text, server_default="")
    text_en: Mapped[str] = mapped_column(Text, server_default="")
    picture: Mapped[str] = mapped_column(Text, server_default="")
    price_credits: Mapped[int]
    price_fen: Mapped[int] = mapped_column(server_default=text("0"))
    settlement_fen: Mapped[int]
    total: Mapped[int]
    available: Mapped[int]
    reserved: Mapped[int] = mapped_column(server_default=text("0"))
    sold: Mapped[int] = mapped_column(server_default=text("0"))
    per_person: Mapped[int | None]
    valid_days: Mapped[int] = mapped_column(server_default=text("90"))
    sale_from: Mapped[datetime | None]
    sale_until: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(Text, server_default="draft")
