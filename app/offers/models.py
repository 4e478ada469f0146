"""Table of offers: what a merchant would like to sell for credits, before it is an item."""

from __future__ import annotations

from datetime import date, datetime, time

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Text,
    Time,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Offer(Model):
    """A draft of a merchant. ``settlement_fen`` is what it wants for a code (all its uses). Approved, it is an
    item; it never changes any more, a better one is a new offer."""

    __tablename__ = "offers"
    __table_args__ = (
        CheckConstraint("pieces > 0 and price_credits > 0 and settlement_fen >= 0 and per_person > 0", name="amounts"),
        CheckConstraint("uses between 1 and 100 and valid_days between 1 and 730", name="uses"),
        CheckConstraint("(opens is null) = (closes is null) and opens <> closes", name="hours"),
        CheckConstraint("state in ('draft','submitted','approved','refused','withdrawn')", name="state"),
        CheckConstraint("(state = 'approved') = (item_id is not null)", name="approved"),
        ForeignKeyConstraint(["program_id", "merchant_id"], ["merchants.program_id", "merchants.id"]),
        Index("ix_offers_merchant", "merchant_id", "id"),
        Index("ix_offers_submitted", "submitted_at", postgresql_where=text("state = 'submitted'")),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int]
    merchant_id: Mapped[int]
    made_by: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    name: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text, server_default="")
    text_zh: Mapped[str] = mapped_column(Text, server_default="")
    text_en: Mapped[str] = mapped_column(Text, server_default="")
    picture: Mapped[str] = mapped_column(Text, server_default="")
    pieces: Mapped[int]
    price_credits: Mapped[int]
    settlement_fen: Mapped[int]
    uses: Mapped[int] = mapped_column(server_default=text("1"))
    per_person: Mapped[int | None]
    valid_days: Mapped[int] = mapped_column(server_default=text("90"))
    shop_ids: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    weekdays: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    opens: Mapped[time | None] = mapped_column(Time)
    closes: Mapped[time | None] = mapped_column(Time)
    blackout_days: Mapped[list[date]] = mapped_column(ARRAY(Date), server_default=text("'{}'"))
    state: Mapped[str] = mapped_column(Text, server_default="draft")
    reason: Mapped[str] = mapped_column(Text, server_default="")
    item_id: Mapped[int | None] = mapped_column(ForeignKey("items.id"))
    made_at: Mapped[datetime]
    submitted_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(Text)
