"""Tables of orders: who took which item for how many credits, and which lots paid."""

from __future__ import annotations

from datetime import datetime

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


class Order(Model):
    """One order of one person. ``client_ref`` with the hash of the body makes a repeat harmless.

    With ``cash_fen`` the credits are held by ``transfer_id`` until the money is there or ``pay_until`` is over.
    ``settlement_fen``: what the merchant will be owed per piece, frozen at placing. ``closing_as``: what an unpaid
    order becomes as soon as WeChat says that its number can't be paid any more.
    """

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("person_id", "client_ref"),
        UniqueConstraint("program_id", "id"),
        ForeignKeyConstraint(["program_id", "item_id"], ["items.program_id", "items.id"]),
        CheckConstraint("quantity between 1 and 99", name="quantity"),
        CheckConstraint("credits > 0", name="credits"),
        CheckConstraint("cash_fen >= 0 and (cash_fen = 0) = (pay_until is null)", name="cash"),
        CheckConstraint(
            "state in ('placed','paying','paid','fulfilled','completed','timed_out','cancelled','refunding',"
            "'refunded')",
            name="state",
        ),
        CheckConstraint("cash_fen > 0 or state in ('paid','fulfilled','completed','refunded')", name="credits_only"),
        CheckConstraint(
            "closing_as is null or"
            " (closing_as in ('timed_out','cancelled') and state in ('placed','paying',closing_as))",
            name="closing",
        ),
        Index("ix_orders_item", "item_id"),
        Index("ix_orders_unpaid", "pay_until", postgresql_where=text("state in ('placed','paying')")),
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
    cash_fen: Mapped[int] = mapped_column(server_default=text("0"))
    settlement_fen: Mapped[int] = mapped_column(server_default=text("0"))
    state: Mapped[str] = mapped_column(Text)
    closing_as: Mapped[str | None] = mapped_column(Text)
    transfer_id: Mapped[int] = mapped_column(ForeignKey("transfers.id"))
    placed_at: Mapped[datetime]
    pay_until: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    fulfilled_at: Mapped[datetime | None]


class ItemPurchase(Model):
    """How many pieces of an item a person holds, under its limit (STK-3); the row is the guard of the limit."""

    __tablename__ = "item_purchases"
    __table_args__ = (CheckConstraint("pieces >= 0 and (most is null or pieces <= most)", name="within_limit"),)

    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    pieces: Mapped[int]
    most: Mapped[int | None]
