"""Tables of orders: who took which item for how many credits, and how it reaches the person."""

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
        CheckConstraint("refunded_pieces between 0 and quantity", name="refunded_pieces"),
        CheckConstraint("state not in ('refunding','refunded') or refunded_pieces = quantity", name="refunded_whole"),
        Index("ix_orders_item", "item_id"),
        Index("ix_orders_person", "person_id", "id"),
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
    period_key: Mapped[str] = mapped_column(Text, server_default="")
    refunded_pieces: Mapped[int] = mapped_column(server_default=text("0"))
    state: Mapped[str] = mapped_column(Text)
    closing_as: Mapped[str | None] = mapped_column(Text)
    transfer_id: Mapped[int] = mapped_column(ForeignKey("transfers.id"))
    placed_at: Mapped[datetime]
    pay_until: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    fulfilled_at: Mapped[datetime | None]


class ItemPurchase(Model):
    """How many pieces of an item a person holds, under its limit (STK-3); the row is the guard of the limit.

    ``period_key`` is empty for the limit over all time, else the day, week, month or season that the order was placed.
    """

    __tablename__ = "item_purchases"
    __table_args__ = (CheckConstraint("pieces >= 0 and (most is null or pieces <= most)", name="within_limit"),)

    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    period_key: Mapped[str] = mapped_column(Text, primary_key=True, server_default="")
    pieces: Mapped[int]
    most: Mapped[int | None]


class Address(Model):
    """Where a person wants parcels. What names somebody is sealed; the province is plain, for items that don't go
    everywhere."""

    __tablename__ = "addresses"
    __table_args__ = (Index("ix_addresses_person", "person_id", "id"),)

    id: Mapped[int] = id_column()
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    province: Mapped[str] = mapped_column(Text)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    is_default: Mapped[bool] = mapped_column(server_default=text("false"))
    changed_at: Mapped[datetime]


class CartLine(Model):
    """What a person means to take, at the price seen when it was put in."""

    __tablename__ = "cart_lines"
    __table_args__ = (CheckConstraint("quantity between 1 and 99", name="quantity"),)

    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    quantity: Mapped[int]
    price_credits: Mapped[int]
    price_fen: Mapped[int]
    added_at: Mapped[datetime]


class Parcel(Model):
    """The parcel of an order: where it goes, by whom, how far it is. The address is forgotten a while after arrival."""

    __tablename__ = "parcels"
    __table_args__ = (
        CheckConstraint("state in ('waiting','shipped','received','lost','cancelled')", name="state"),
        CheckConstraint("state in ('waiting','cancelled') or tracking_no is not null", name="tracking"),
        Index("ix_parcels_open", "shipped_at", postgresql_where=text("state = 'shipped'")),
    )

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    province: Mapped[str] = mapped_column(Text)
    address_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(Text, server_default="waiting")
    carrier: Mapped[str | None] = mapped_column(Text)
    tracking_no: Mapped[str | None] = mapped_column(Text)
    shipped_at: Mapped[datetime | None]
    received_at: Mapped[datetime | None]


class Booking(Model):
    """An order's time for its service."""

    __tablename__ = "bookings"
    __table_args__ = (
        CheckConstraint("state in ('booked','cancelled','attended','no_show')", name="state"),
        Index("ix_bookings_slot", "slot_id"),
    )

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    slot_id: Mapped[int] = mapped_column(ForeignKey("service_slots.id"))
    pieces: Mapped[int]
    state: Mapped[str] = mapped_column(Text, server_default="booked")
    booked_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class InvoiceRequest(Model):
    """A request for an e-invoice over the money that an order cost. Title, tax number and address are sealed."""

    __tablename__ = "invoice_requests"
    __table_args__ = (
        CheckConstraint("state in ('asked','issued','refused')", name="state"),
        CheckConstraint("(state = 'issued') = (number is not null)", name="number"),
    )

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    fen: Mapped[int]
    state: Mapped[str] = mapped_column(Text, server_default="asked")
    number: Mapped[str | None] = mapped_column(Text)
    words: Mapped[str] = mapped_column(Text, server_default="")
    asked_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
