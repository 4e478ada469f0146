"""Tables of the ledger: accounts, transfers, entries, lots. Written by the database function ``ledger_post`` only.

Entries and transfers are appended, never changed; a trigger refuses update, delete and truncate (LED-6). A guarded
account can never be negative (LED-5). System accounts store no running balance, so that no hot row slows everybody.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Account(Model):
    """One account of one asset. ``owner_key`` makes it findable: ``wallet:17``, ``budget:3:5``, ``issued``."""

    __tablename__ = "accounts"
    __table_args__ = (
        UniqueConstraint("program_id", "asset", "kind", "owner_key"),
        UniqueConstraint("program_id", "id"),
        CheckConstraint("asset in ('mg','credits','fen')", name="asset"),
        CheckConstraint("not guarded or (balance is not null and balance >= 0)", name="never_negative"),
        CheckConstraint("guarded or balance is null", name="system_accounts_store_no_balance"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    asset: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    owner_key: Mapped[str] = mapped_column(Text)
    guarded: Mapped[bool]
    balance: Mapped[int | None]
    version: Mapped[int] = mapped_column(server_default=text("0"))


class Transfer(Model):
    """A set of entries that sum to zero in each asset. (reason, source_ref) is its natural key: once, for ever."""

    __tablename__ = "transfers"
    __table_args__ = (
        UniqueConstraint("reason", "source_ref"),
        UniqueConstraint("program_id", "id"),
        Index("uq_transfers_reverses", "reverses", unique=True, postgresql_where=text("reverses is not null")),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int]
    reason: Mapped[str] = mapped_column(Text)
    source_ref: Mapped[str] = mapped_column(Text)
    legs_hash: Mapped[str] = mapped_column(Text)
    reverses: Mapped[int | None] = mapped_column(ForeignKey("transfers.id"))
    memo: Mapped[dict[str, Any]]
    posted_at: Mapped[datetime]
    posted_xid: Mapped[int] = mapped_column(server_default=text("pg_current_xact_id()::text::bigint"))


class Entry(Model):
    """One leg. Positive adds to the account. ``account_seq`` and ``balance_after`` are NULL on system accounts."""

    __tablename__ = "entries"
    __table_args__ = (
        ForeignKeyConstraint(["program_id", "transfer_id"], ["transfers.program_id", "transfers.id"]),
        ForeignKeyConstraint(["program_id", "account_id"], ["accounts.program_id", "accounts.id"]),
        UniqueConstraint("account_id", "account_seq"),
        CheckConstraint("amount <> 0", name="amount"),
        CheckConstraint("balance_after is null or balance_after >= 0", name="balance_after"),
        Index("ix_entries_account", "account_id", "transfer_id"),
    )

    transfer_id: Mapped[int] = mapped_column(primary_key=True)
    leg: Mapped[int] = mapped_column(primary_key=True)
    program_id: Mapped[int]
    account_id: Mapped[int]
    amount: Mapped[int]
    account_seq: Mapped[int | None]
    balance_after: Mapped[int | None]


class Lot(Model):
    """Credits in a wallet that came from one budget at one price and expire together; oldest is spent first."""

    __tablename__ = "lots"
    __table_args__ = (
        UniqueConstraint("account_id", "budget_id", "price_fen", "expires_at"),
        ForeignKeyConstraint(["program_id", "account_id"], ["accounts.program_id", "accounts.id"]),
        CheckConstraint("remaining between 0 and amount", name="remaining"),
        Index("ix_lots_live", "account_id", "expires_at", postgresql_where=text("remaining > 0")),
        Index("ix_lots_expiry", "expires_at", postgresql_where=text("remaining > 0")),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int]
    account_id: Mapped[int]
    budget_id: Mapped[int]
    price_fen: Mapped[int]
    amount: Mapped[int]
    remaining: Mapped[int]
    expires_at: Mapped[datetime]


class LotUse(Model):
    """What a transfer took from a lot (positive) or gave back to it (negative).

    ``renew``: what came back after the lot's end goes on into a new lot with an end of its own.
    """

    __tablename__ = "lot_uses"
    __table_args__ = (
        CheckConstraint("amount <> 0", name="amount"),
        CheckConstraint("kind in ('spend','expire','reverse','return','renew')", name="kind"),
        CheckConstraint("(kind = 'renew') = (into_lot_id is not null)", name="renewal"),
        Index("uq_lot_uses_expire", "lot_id", unique=True, postgresql_where=text("kind = 'expire'")),
        Index("ix_lot_uses_transfer", "transfer_id"),
    )

    id: Mapped[int] = id_column()
    lot_id: Mapped[int] = mapped_column(ForeignKey("lots.id"))
    transfer_id: Mapped[int] = mapped_column(ForeignKey("transfers.id"))
    amount: Mapped[int]
    kind: Mapped[str] = mapped_column(Text)
    used_at: Mapped[datetime]
    into_lot_id: Mapped[int | None] = mapped_column(ForeignKey("lots.id"))
