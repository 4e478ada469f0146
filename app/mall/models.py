"""Tables of the mall: items, their stock and its log, pools of third-party codes, what people want and wait for."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    ARRAY,
    BigInteger,
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


class Category(Model):
    """A shelf of the mall, in the order that its program wants."""

    __tablename__ = "item_categories"
    __table_args__ = (UniqueConstraint("program_id", "code"), UniqueConstraint("program_id", "id"))

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    code: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text, server_default="")
    position: Mapped[int] = mapped_column(server_default=text("0"))


class Item(Model):
    """One thing on offer. ``settlement_fen`` is what the sponsors owe the merchant per piece; it may not exceed
    what its credits are worth. ``price_fen`` is what the person pays by WeChat Pay, for real goods and services only.

    Stock is three counters that always sum to the total (STK-1); a trigger writes each movement down. The audience is
    everybody of the program, or who is in one of ``audience_units`` (or below), has one of ``audience_tags``, and is
    of ``least_level`` or above. ``uses``: how often one code may be redeemed. ``on_expiry``, ``extend_days`` and
    ``no_show`` are told before buying.
    """

    __tablename__ = "items"
    __table_args__ = (
        UniqueConstraint("program_id", "code"),
        UniqueConstraint("program_id", "id"),
        ForeignKeyConstraint(["program_id", "merchant_id"], ["merchants.program_id", "merchants.id"]),
        ForeignKeyConstraint(["program_id", "category_id"], ["item_categories.program_id", "item_categories.id"]),
        ForeignKeyConstraint(["program_id", "project_id"], ["welfare_projects.program_id", "welfare_projects.id"]),
        CheckConstraint("kind in ('voucher','code_pool','parcel','service','donation')", name="kind"),
        CheckConstraint("price_credits > 0 and price_fen >= 0 and settlement_fen >= 0", name="price"),
        CheckConstraint("price_fen = 0 or kind in ('parcel','service')", name="cash_kinds"),
        CheckConstraint("(kind = 'donation') = (project_id is not null)", name="donation_project"),
        CheckConstraint("(kind = 'donation') = (merchant_id is null)", name="donation_merchant"),
        CheckConstraint("available >= 0 and reserved >= 0 and sold >= 0", name="stock"),
        CheckConstraint("total = available + reserved + sold", name="stock_adds_up"),
        CheckConstraint("state in ('draft','on_sale','off_sale')", name="state"),
        CheckConstraint("valid_days between 1 and 730", name="valid_days"),
        CheckConstraint("uses between 1 and 100", name="uses"),
        CheckConstraint("(per_period is null) = (period_kind is null) and per_period > 0", name="per_period"),
        CheckConstraint("period_kind in ('day','week','month','season')", name="period_kind"),
        CheckConstraint("on_expiry in ('return','forfeit') and extend_days between 0 and 365", name="ending"),
        CheckConstraint("no_show in ('kept','spent')", name="no_show"),
        Index("ix_items_shelf", "program_id", "state", "id"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    code: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    category_id: Mapped[int | None]
    merchant_id: Mapped[int | None]
    project_id: Mapped[int | None]
    sponsor_id: Mapped[int | None] = mapped_column(ForeignKey("sponsors.id"))
    name: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text, server_default="")
    text_zh: Mapped[str] = mapped_column(Text, server_default="")
    text_en: Mapped[str] = mapped_column(Text, server_default="")
    picture: Mapped[str] = mapped_column(Text, server_default="")
    price_credits: Mapped[int]
    price_fen: Mapped[int] = mapped_column(server_default=text("0"))
    settlement_fen: Mapped[int]
    uses: Mapped[int] = mapped_column(server_default=text("1"))
    total: Mapped[int]
    available: Mapped[int]
    reserved: Mapped[int] = mapped_column(server_default=text("0"))
    sold: Mapped[int] = mapped_column(server_default=text("0"))
    low_at: Mapped[int | None]
    per_person: Mapped[int | None]
    per_period: Mapped[int | None]
    period_kind: Mapped[str | None] = mapped_column(Text)
    valid_days: Mapped[int] = mapped_column(server_default=text("90"))
    on_expiry: Mapped[str] = mapped_column(Text, server_default="return")
    extend_days: Mapped[int] = mapped_column(server_default=text("0"))
    no_show: Mapped[str] = mapped_column(Text, server_default="kept")
    refundable: Mapped[bool] = mapped_column(server_default=text("true"))
    sale_from: Mapped[datetime | None]
    sale_until: Mapped[datetime | None]
    audience_units: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    audience_tags: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    least_level: Mapped[int] = mapped_column(server_default=text("0"))
    provinces: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    state: Mapped[str] = mapped_column(Text, server_default="draft")


class StockMovement(Model):
    """One change of an item's counters, written by a trigger: nobody moves stock without a line. ``why`` names the
    order, the restock or the operator."""

    __tablename__ = "stock_movements"
    __table_args__ = (Index("ix_stock_movements_item", "item_id", "id"),)

    id: Mapped[int] = id_column()
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    available: Mapped[int]
    reserved: Mapped[int]
    sold: Mapped[int]
    why: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class Restock(Model):
    """Pieces that come at an announced time."""

    __tablename__ = "restocks"
    __table_args__ = (
        UniqueConstraint("item_id", "due_at"),
        CheckConstraint("pieces > 0", name="pieces"),
        Index("ix_restocks_due", "due_at", postgresql_where=text("done_at is null")),
    )

    id: Mapped[int] = id_column()
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    pieces: Mapped[int]
    due_at: Mapped[datetime]
    asked_by: Mapped[str] = mapped_column(Text)
    done_at: Mapped[datetime | None]


class PoolCode(Model):
    """A third party's code: sealed, unique in its pool, handed out once to one order."""

    __tablename__ = "pool_codes"
    __table_args__ = (
        UniqueConstraint("item_id", "code_hash"),
        Index("ix_pool_codes_free", "item_id", "id", postgresql_where=text("order_id is null")),
        Index("ix_pool_codes_order", "order_id"),
    )

    id: Mapped[int] = id_column()
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    code_hash: Mapped[bytes] = mapped_column(LargeBinary)
    code_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    order_id: Mapped[int | None]
    imported_at: Mapped[datetime]
    handed_at: Mapped[datetime | None]


class Favourite(Model):
    """An item that a person keeps in sight."""

    __tablename__ = "favourites"

    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    added_at: Mapped[datetime]


class Waiting(Model):
    """A place in the line for a sold-out item. An offer holds one piece until ``offer_until``.

    ``wins`` counts what the person got of this item by waiting: a second win comes after all first ones.
    """

    __tablename__ = "waitlist"
    __table_args__ = (
        CheckConstraint("state in ('waiting','offered','taken','left')", name="state"),
        CheckConstraint("(state = 'offered') = (offer_until is not null)", name="offer"),
        Index("ix_waitlist_turn", "item_id", "wins", "joined_at", postgresql_where=text("state = 'waiting'")),
        Index("ix_waitlist_offers", "offer_until", postgresql_where=text("state = 'offered'")),
    )

    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    state: Mapped[str] = mapped_column(Text)
    wins: Mapped[int] = mapped_column(server_default=text("0"))
    joined_at: Mapped[datetime]
    offer_until: Mapped[datetime | None]


class Slot(Model):
    """A time at which a service can be booked. ``taken`` is guarded by the row itself."""

    __tablename__ = "service_slots"
    __table_args__ = (
        UniqueConstraint("item_id", "starts_at"),
        CheckConstraint("ends_at > starts_at", name="times"),
        CheckConstraint("capacity > 0 and taken between 0 and capacity", name="capacity"),
    )

    id: Mapped[int] = id_column()
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    capacity: Mapped[int]
    taken: Mapped[int] = mapped_column(server_default=text("0"))
