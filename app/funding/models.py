"""Tables of funding: sponsors, deposits, budgets and their slices, wallets, awards, caps, boosts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Sponsor(Model):
    """Who pays. Name and logo stand on what the money pays for."""

    __tablename__ = "sponsors"
    __table_args__ = (UniqueConstraint("program_id", "code"), UniqueConstraint("program_id", "id"))

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    code: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text)
    logo_url: Mapped[str] = mapped_column(Text, server_default="")


class Budget(Model):
    """Prepaid money that covers credits at a fixed price, with a hard stop. ``org_unit_id`` narrows whom it pays.

    Money stands on the fen account ``budget_money``, what it can still issue on the credit slices ``budget``.
    """

    __tablename__ = "budgets"
    __table_args__ = (
        UniqueConstraint("program_id", "code"),
        UniqueConstraint("program_id", "id"),
        ForeignKeyConstraint(["program_id", "sponsor_id"], ["sponsors.program_id", "sponsors.id"]),
        CheckConstraint("price_fen > 0", name="price"),
        CheckConstraint("state in ('open','closed')", name="state"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    sponsor_id: Mapped[int]
    code: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    price_fen: Mapped[int]
    is_default: Mapped[bool] = mapped_column(server_default=text("false"))
    state: Mapped[str] = mapped_column(Text, server_default="open")
    money_account_id: Mapped[int]
    created_at: Mapped[datetime]


class Deposit(Model):
    """Money that a sponsor paid in. ``reference`` is the bank's; the same again is a no-op."""

    __tablename__ = "deposits"
    __table_args__ = (
        UniqueConstraint("budget_id", "reference"),
        CheckConstraint("fen > 0", name="fen"),
        CheckConstraint("credits >= 0", name="credits"),
    )

    id: Mapped[int] = id_column()
    budget_id: Mapped[int] = mapped_column(ForeignKey("budgets.id"))
    reference: Mapped[str] = mapped_column(Text)
    fen: Mapped[int]
    credits: Mapped[int]
    approval_id: Mapped[int | None] = mapped_column(ForeignKey("approvals.id"))
    received_at: Mapped[datetime]


class BudgetSlice(Model):
    """One guarded slice of a budget's capacity: many writers at once without one hot row (architecture.md)."""

    __tablename__ = "budget_slices"

    budget_id: Mapped[int] = mapped_column(ForeignKey("budgets.id"), primary_key=True)
    slice_no: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), unique=True)


class Wallet(Model):
    """A person's wallet in a program. Its row is the lock under which everything about this wallet happens.

    ``carry_micro`` is what has been earned and is not yet a whole credit. ``debt_credits`` is owed after a reversal of
    credits that were spent; later credits pay it first. A ``frozen`` wallet earns and doesn't spend.
    """

    __tablename__ = "wallets"
    __table_args__ = (
        UniqueConstraint("person_id", "program_id"),
        UniqueConstraint("id", "person_id", "program_id"),
        CheckConstraint("carry_micro between 0 and 999999", name="carry"),
        CheckConstraint("debt_credits >= 0", name="debt"),
    )

    id: Mapped[int] = id_column()
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    credits_account_id: Mapped[int]
    hold_account_id: Mapped[int]
    mg_account_id: Mapped[int]
    carry_micro: Mapped[int] = mapped_column(server_default=text("0"))
    debt_credits: Mapped[int] = mapped_column(server_default=text("0"))
    frozen: Mapped[bool] = mapped_column(server_default=text("false"))


class Award(Model):
    """What a reduction or a rule earned a wallet: how it was converted, what a cap cut, and whether it is paid.

    ``earned_micro`` is after share and boosts, ``cut_micro`` is what caps cut off; ``credits`` are whole, from
    ``carry_before + earned - cut``. A pending award waits for its budget in order of id.
    """

    __tablename__ = "awards"
    __table_args__ = (
        UniqueConstraint("reason", "source_ref"),
        CheckConstraint("state in ('paid','pending','nothing','reversed','cancelled')", name="state"),
        CheckConstraint("earned_micro >= 0 and cut_micro between 0 and earned_micro", name="cut"),
        CheckConstraint("credits >= 0", name="credits"),
        CheckConstraint("carry_before + earned_micro - cut_micro = credits * 1000000 + carry_after", name="adds_up"),
        ForeignKeyConstraint(["program_id", "budget_id"], ["budgets.program_id", "budgets.id"]),
        ForeignKeyConstraint(
            ["wallet_id", "person_id", "program_id"], ["wallets.id", "wallets.person_id", "wallets.program_id"]
        ),
        Index("ix_awards_pending", "budget_id", "id", postgresql_where=text("state = 'pending'")),
        Index("ix_awards_wallet", "wallet_id", "id"),
        Index("ix_awards_record", "record_id"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int]
    person_id: Mapped[int]
    wallet_id: Mapped[int]
    record_id: Mapped[int | None]
    reason: Mapped[str] = mapped_column(Text)
    source_ref: Mapped[str] = mapped_column(Text)
    terms_id: Mapped[int] = mapped_column(ForeignKey("terms.id"))
    budget_id: Mapped[int | None]
    share_bps: Mapped[int]
    boost_bps: Mapped[int]
    earned_micro: Mapped[int]
    cut_micro: Mapped[int]
    cut_by: Mapped[str | None] = mapped_column(Text)
    carry_before: Mapped[int]
    carry_after: Mapped[int]
    credits: Mapped[int]
    state: Mapped[str] = mapped_column(Text)
    lot_id: Mapped[int | None] = mapped_column(ForeignKey("lots.id"))
    transfer_id: Mapped[int | None] = mapped_column(ForeignKey("transfers.id"))
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime]
    paid_at: Mapped[datetime | None]


class CapUse(Model):
    """How much of a cap a person has used in a period; the row is written in the awarding transaction (MET-6)."""

    __tablename__ = "cap_uses"
    __table_args__ = (CheckConstraint("used_micro between 0 and cap_micro", name="within"),)

    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    scope: Mapped[str] = mapped_column(Text, primary_key=True)
    period: Mapped[str] = mapped_column(Text, primary_key=True)
    used_micro: Mapped[int]
    cap_micro: Mapped[int]


class Boost(Model):
    """A rule that multiplies credits of a scenario for a time (never grams): of everybody, of one person, or of whoever
    has a ``level`` when the act is counted. Written by levels and campaigns."""

    __tablename__ = "boosts"
    __table_args__ = (
        CheckConstraint("multiplier_bps > 10000", name="multiplies"),
        CheckConstraint("ends_at > starts_at", name="span"),
        CheckConstraint("level > 0 and person_id is null", name="level"),
        Index("ix_boosts_program", "program_id", "starts_at"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    scenario_id: Mapped[int | None] = mapped_column(ForeignKey("scenarios.id"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))
    name: Mapped[str] = mapped_column(Text)
    multiplier_bps: Mapped[int]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    level: Mapped[int | None]


class BudgetReserve(Model):
    """A budget that was set aside out of another (``parent_id``) for one ``purpose``, such as a challenge's prizes.

    ``credits`` and ``fen`` are what was moved in all; ``moves`` counts the transfers, for their natural keys. What the
    purpose has not used goes back when it is ``released_at``, and so does what comes back later (expired, reversed).
    """

    __tablename__ = "budget_reserves"
    __table_args__ = (
        UniqueConstraint("purpose"),
        CheckConstraint("credits >= 0 and fen >= 0", name="amounts"),
    )

    budget_id: Mapped[int] = mapped_column(ForeignKey("budgets.id"), primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("budgets.id"))
    purpose: Mapped[str] = mapped_column(Text)
    credits: Mapped[int]
    fen: Mapped[int]
    moves: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[datetime]
    released_at: Mapped[datetime | None]
