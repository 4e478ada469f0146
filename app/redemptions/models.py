"""Tables of redemptions: codes that a merchant scans, and the scans. One live redemption a code, whatever the race."""

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


class Code(Model):
    """A promise that a merchant fulfils. Looked up by keyed hash, shown again from its sealed form.

    ``settlement_fen`` and the shop's merchant are frozen here when the code is issued.
    """

    __tablename__ = "codes"
    __table_args__ = (
        UniqueConstraint("code_hash"),
        UniqueConstraint("program_id", "id"),
        ForeignKeyConstraint(["program_id", "merchant_id"], ["merchants.program_id", "merchants.id"]),
        CheckConstraint("state in ('issued','redeemed','expired','refunded','void')", name="state"),
        CheckConstraint("valid_until > valid_from", name="validity"),
        CheckConstraint("settlement_fen >= 0", name="settlement"),
        Index("ix_codes_order", "order_id"),
        Index("ix_codes_person", "person_id", "id"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    merchant_id: Mapped[int]
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    order_id: Mapped[int]
    title: Mapped[str] = mapped_column(Text)
    title_en: Mapped[str] = mapped_column(Text, server_default="")
    code_hash: Mapped[bytes] = mapped_column(LargeBinary)
    code_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    settlement_fen: Mapped[int]
    state: Mapped[str] = mapped_column(Text, server_default="issued")
    valid_from: Mapped[datetime]
    valid_until: Mapped[datetime]


class CodeFunding(Model):
    """Which budget's credits stand behind a code, and what it draws of that budget's money at redemption.

    ``credits`` were spent from a lot at ``price_fen``; ``draw_fen`` is this budget's part of the settlement price.
    """

    __tablename__ = "code_fundings"
    __table_args__ = (
        CheckConstraint("credits > 0 and draw_fen >= 0", name="amounts"),
        CheckConstraint("draw_fen * 1000 <= credits * price_fen", name="covered"),
    )

    code_id: Mapped[int] = mapped_column(ForeignKey("codes.id"), primary_key=True)
    lot_id: Mapped[int] = mapped_column(ForeignKey("lots.id"), primary_key=True)
    budget_id: Mapped[int] = mapped_column(ForeignKey("budgets.id"))
    price_fen: Mapped[int]
    credits: Mapped[int]
    draw_fen: Mapped[int]


class Redemption(Model):
    """One scan that spent a code. (staff, scan_id) is its natural key: a lost answer can be asked again."""

    __tablename__ = "redemptions"
    __table_args__ = (
        UniqueConstraint("staff_person_id", "scan_id"),
        Index("uq_redemptions_live", "code_id", unique=True, postgresql_where=text("undone_at is null")),
        ForeignKeyConstraint(["program_id", "code_id"], ["codes.program_id", "codes.id"]),
        ForeignKeyConstraint(["program_id", "shop_id"], ["shops.program_id", "shops.id"]),
        Index("ix_redemptions_shop", "shop_id", "redeemed_at"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int]
    code_id: Mapped[int]
    shop_id: Mapped[int]
    merchant_id: Mapped[int] = mapped_column(ForeignKey("merchants.id"))
    staff_person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    scan_id: Mapped[str] = mapped_column(Text)
    owed_fen: Mapped[int]
    transfer_id: Mapped[int] = mapped_column(ForeignKey("transfers.id"))
    redeemed_at: Mapped[datetime]
    undone_at: Mapped[datetime | None]
    undo_transfer_id: Mapped[int | None] = mapped_column(ForeignKey("transfers.id"))
