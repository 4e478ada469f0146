"""Tables of orders: who took which item for how many credits, and which lots paid."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, LargeBinary, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Order(Model):
    """One order of one person. ``client_ref`` with the hash of the body makes a repeat harmless."""

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("person_id", "client_ref"),
        UniqueConstraint("program_id", "id"),
        ForeignKeyConstraint(["program_id", "item_id"], ["items.program_id", "items.id"]),
        CheckConstraint("quantity between 1 and 99", name="quantity"),
        CheckConstraint("credits > 0", name="credits"),
        CheckConstraint("state in ('paid','fulfilled','cancelled','refunded')", name="state"),
        Index("ix_orders_item", "item_id"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    wallet_id: Mapped[int] = mapped_column(ForeignKey("wallets.id"))
    item_id: Mapped[int]
    client_ref: Mapped[str] = mapped_column(Text)
    body_hash: Mapped[bytes] = mapped_column(LargeBinary)
    quantity: Mapped[int]
    credits: Mapped[int]
    state: Mapped[str] = mapped_column(Text)
    transfer_id: Mapped[int] = mapped_column(ForeignKey("transfers.id"))
    placed_at: Mapped[datetime]
    fulfilled_at: Mapped[datetime | None]


class ItemPurchase(Model):
    """How many pieces of an item a person holds, under its limit (STK-3); the row is the guard of the limit."""

    __tablename__ = "item_purchases"
    __table_args__ = (CheckConstraint("pieces >= 0 and (most is null or pieces <= most)", name="within_limit"),)

    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    pieces: Mapped[int]
    most: Mapped[int | None]
