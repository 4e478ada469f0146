"""Tables of sources: where acts come from, the keys of partners, and whose account at a partner is whose."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column

KINDS = ("citizen", "partner", "file", "device", "office", "system")


class Source(Model):
    """One data source of a program. Its lag is the time since the newest act it reported (freshness, domain.md 1.7)."""

    __tablename__ = "sources"
    __table_args__ = (
        UniqueConstraint("program_id", "code"),
        CheckConstraint("kind in ('citizen','partner','file','device','office','system')", name="kind"),
        CheckConstraint("state in ('active','paused')", name="state"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    code: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default="active")
    app_id: Mapped[str | None] = mapped_column(Text, unique=True)
    test_mode: Mapped[bool] = mapped_column(server_default=text("false"))
    expected_lag_hours: Mapped[int] = mapped_column(server_default=text("24"))
    last_received_at: Mapped[datetime | None]
    newest_act_at: Mapped[datetime | None]
    received_count: Mapped[int] = mapped_column(server_default=text("0"))
    refused_count: Mapped[int] = mapped_column(server_default=text("0"))


class PartnerKey(Model):
    """One signing key of a partner, encrypted at rest. Two may be valid during a rotation."""

    __tablename__ = "partner_keys"
    __table_args__ = (UniqueConstraint("source_id", "key_id"),)

    id: Mapped[int] = id_column()
    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"))
    key_id: Mapped[str] = mapped_column(Text)
    secret_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    valid_from: Mapped[datetime]
    valid_until: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class Nonce(Model):
    """A nonce that a partner has used; unique in PostgreSQL, purged after its time."""

    __tablename__ = "partner_nonces"

    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"), primary_key=True)
    nonce: Mapped[str] = mapped_column(Text, primary_key=True)
    used_at: Mapped[datetime] = mapped_column(index=True)


class AccountBinding(Model):
    """A person's account at a partner (a card, a ride-code account), kept as a keyed hash; one holder at a time."""

    __tablename__ = "account_bindings"
    __table_args__ = (
        Index(
            "uq_account_bindings_live",
            "source_id",
            "account_hash",
            unique=True,
            postgresql_where=text("unbound_at is null"),
        ),
        Index("ix_account_bindings_hash", "source_id", "account_hash"),
        Index("ix_account_bindings_person", "person_id"),
    )

    id: Mapped[int] = id_column()
    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"))
    account_hash: Mapped[bytes] = mapped_column(LargeBinary)
    hint: Mapped[str] = mapped_column(Text)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    bound_at: Mapped[datetime]
    unbound_at: Mapped[datetime | None]
