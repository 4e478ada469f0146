"""Tables of settlement: statements and their lines, disputes, corrections, payout accounts and batches, wind-ups."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import (
    CheckConstraint,
    Date,
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


class Statement(Model):
    """What a merchant is owed for a period. ``total_fen`` at or below zero is carried into the next one.

    ``content_hash`` is over every line and figure; it is compared at approval and at payout. A void one was withdrawn
    before its approval, and its period was drawn anew.
    """

    __tablename__ = "statements"
    __table_args__ = (
        UniqueConstraint("program_id", "id"),
        CheckConstraint("kind in ('period','final')", name="kind"),
        CheckConstraint("state in ('draft','issued','approved','paid','carried','void')", name="state"),
        CheckConstraint("total_fen = redeemed_fen + corrected_fen + carried_in_fen", name="adds_up"),
        CheckConstraint("redeemed_fen >= 0 and corrected_fen <= 0 and carried_in_fen <= 0", name="signs"),
        CheckConstraint("state not in ('approved','paid') or total_fen > 0", name="only_positive_is_paid"),
        CheckConstraint("(state in ('approved','paid','carried')) = (approved_at is not null)", name="approved"),
        CheckConstraint("(state in ('approved','paid')) = (transfer_id is not null)", name="booked"),
        CheckConstraint("(invoice_no is null) = (invoice_date is null)", name="invoice"),
        ForeignKeyConstraint(["program_id", "merchant_id"], ["merchants.program_id", "merchants.id"]),
        Index("uq_statements_period", "merchant_id", "period", unique=True, postgresql_where=text("state <> 'void'")),
        Index("ix_statements_merchant", "merchant_id", "id"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int]
    merchant_id: Mapped[int]
    period: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime]
    drawn_at: Mapped[datetime]
    carried_from_id: Mapped[int | None] = mapped_column(ForeignKey("statements.id"))
    carried_in_fen: Mapped[int] = mapped_column(server_default=text("0"))
    lines: Mapped[int] = mapped_column(server_default=text("0"))
    redeemed_fen: Mapped[int] = mapped_column(server_default=text("0"))
    corrected_fen: Mapped[int] = mapped_column(server_default=text("0"))
    total_fen: Mapped[int] = mapped_column(server_default=text("0"))
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(Text, server_default="draft")
    issued_at: Mapped[datetime | None]
    dispute_until: Mapped[datetime | None]
    accepted_by: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))
    accepted_at: Mapped[datetime | None]
    approval_id: Mapped[int | None] = mapped_column(ForeignKey("approvals.id"))
    approved_at: Mapped[datetime | None]
    transfer_id: Mapped[int | None] = mapped_column(ForeignKey("transfers.id"))
    paid_at: Mapped[datetime | None]
    void_reason: Mapped[str | None] = mapped_column(Text)
    invoice_no: Mapped[str | None] = mapped_column(Text)
    invoice_date: Mapped[date | None] = mapped_column(Date)


class StatementLine(Model):
    """One redemption, or the taking back of one that an earlier line paid (``undo`` by the shop, ``correct`` by us)."""

    __tablename__ = "statement_lines"
    __table_args__ = (
        CheckConstraint("kind in ('redeem','undo','correct')", name="kind"),
        CheckConstraint("amount_fen = owed_fen + cash_fen", name="amount"),
        CheckConstraint("(kind = 'redeem' and amount_fen >= 0) or (kind <> 'redeem' and amount_fen <= 0)", name="sign"),
        CheckConstraint(
            "(kind = 'redeem') = (corrects_line_no is null)"
            " and (corrects_line_no is null) = (corrects_statement_id is null)",
            name="corrects",
        ),
        ForeignKeyConstraint(
            ["corrects_statement_id", "corrects_line_no"], ["statement_lines.statement_id", "statement_lines.line_no"]
        ),
        Index("uq_statement_lines_paid_once", "redemption_id", unique=True, postgresql_where=text("kind = 'redeem'")),
        Index(
            "uq_statement_lines_taken_back_once",
            "redemption_id",
            unique=True,
            postgresql_where=text("kind <> 'redeem'"),
        ),
        Index(
            "ix_statement_lines_corrects",
            "corrects_statement_id",
            "corrects_line_no",
            postgresql_where=text("corrects_line_no is not null"),
        ),
    )

    statement_id: Mapped[int] = mapped_column(ForeignKey("statements.id"), primary_key=True)
    line_no: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    redemption_id: Mapped[int] = mapped_column(ForeignKey("redemptions.id"))
    code_id: Mapped[int]
    order_id: Mapped[int]
    shop_id: Mapped[int | None]
    title: Mapped[str] = mapped_column(Text)
    quantity: Mapped[int]
    owed_fen: Mapped[int]
    cash_fen: Mapped[int]
    amount_fen: Mapped[int]
    happened_at: Mapped[datetime]
    transfer_id: Mapped[int | None] = mapped_column(ForeignKey("transfers.id"))
    corrects_statement_id: Mapped[int | None]
    corrects_line_no: Mapped[int | None]


class Dispute(Model):
    """A merchant's owner disagrees with a line, or (no line) with the whole; a person of ours answers."""

    __tablename__ = "statement_disputes"
    __table_args__ = (
        CheckConstraint("state in ('open','accepted','rejected','withdrawn')", name="state"),
        CheckConstraint("(state = 'open') = (answered_at is null)", name="answered"),
        Index(
            "uq_statement_disputes_open",
            "statement_id",
            text("coalesce(line_no, 0)"),
            unique=True,
            postgresql_where=text("state = 'open'"),
        ),
        Index("ix_statement_disputes_statement", "statement_id", "id"),
    )

    id: Mapped[int] = id_column()
    statement_id: Mapped[int] = mapped_column(ForeignKey("statements.id"))
    line_no: Mapped[int | None]
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    words: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default="open")
    answer: Mapped[str | None] = mapped_column(Text)
    answered_by: Mapped[str | None] = mapped_column(Text)
    asked_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]


class Correction(Model):
    """A redemption that we took back after its statement: the money went back, the next statement has the line."""

    __tablename__ = "statement_corrections"
    __table_args__ = (
        CheckConstraint("fen >= 0", name="fen"),
        Index("ix_statement_corrections_merchant", "merchant_id"),
    )

    redemption_id: Mapped[int] = mapped_column(ForeignKey("redemptions.id"), primary_key=True)
    merchant_id: Mapped[int] = mapped_column(ForeignKey("merchants.id"))
    fen: Mapped[int]
    reason: Mapped[str] = mapped_column(Text)
    approval_id: Mapped[int] = mapped_column(ForeignKey("approvals.id"))
    transfer_id: Mapped[int] = mapped_column(ForeignKey("transfers.id"))
    corrected_at: Mapped[datetime]


class PayoutAccount(Model):
    """Where a merchant is paid. The number is sealed; lists show ``masked``. Usable a day after its approval."""

    __tablename__ = "payout_accounts"
    __table_args__ = (
        CheckConstraint("state in ('asked','active','ended','refused')", name="state"),
        CheckConstraint("(state = 'active') <= (usable_from is not null)", name="active"),
        Index("uq_payout_accounts_active", "merchant_id", unique=True, postgresql_where=text("state = 'active'")),
        Index("uq_payout_accounts_asked", "merchant_id", unique=True, postgresql_where=text("state = 'asked'")),
    )

    id: Mapped[int] = id_column()
    merchant_id: Mapped[int] = mapped_column(ForeignKey("merchants.id"))
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    bank: Mapped[str] = mapped_column(Text)
    masked: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[str] = mapped_column(Text)
    approval_id: Mapped[int | None] = mapped_column(ForeignKey("approvals.id"))
    asked_at: Mapped[datetime]
    usable_from: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class Invoicing(Model):
    """Title and tax number that stand on a merchant's invoices to us."""

    __tablename__ = "merchant_invoicing"

    merchant_id: Mapped[int] = mapped_column(ForeignKey("merchants.id"), primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    tax_no: Mapped[str] = mapped_column(Text)
    changed_by: Mapped[str] = mapped_column(Text)
    changed_at: Mapped[datetime]


class PayoutBatch(Model):
    """A file for the bank. Its number exists once, so the same batch is never sent twice."""

    __tablename__ = "payout_batches"
    __table_args__ = (UniqueConstraint("batch_no"),)

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    batch_no: Mapped[str] = mapped_column(Text)
    made_by: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime]


class Payout(Model):
    """One line of a batch: a statement's money to an account. Of a statement, one line at most has not failed."""

    __tablename__ = "payouts"
    __table_args__ = (
        CheckConstraint("fen > 0", name="fen"),
        CheckConstraint("state in ('waiting','paid','failed')", name="state"),
        CheckConstraint(
            "(state = 'paid') = (transfer_id is not null) and (state <> 'paid' or"
            " (bank_reference is not null and paid_on is not null and evidence_hash is not null))",
            name="evidence",
        ),
        CheckConstraint("(state = 'failed') = (problem is not null)", name="problem"),
        Index("uq_payouts_once", "statement_id", unique=True, postgresql_where=text("state <> 'failed'")),
        Index(
            "uq_payouts_reference", "bank_reference", unique=True, postgresql_where=text("bank_reference is not null")
        ),
        Index("ix_payouts_batch", "batch_id", "id"),
    )

    id: Mapped[int] = id_column()
    batch_id: Mapped[int] = mapped_column(ForeignKey("payout_batches.id"))
    statement_id: Mapped[int] = mapped_column(ForeignKey("statements.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("payout_accounts.id"))
    fen: Mapped[int]
    state: Mapped[str] = mapped_column(Text, server_default="waiting")
    bank_reference: Mapped[str | None] = mapped_column(Text)
    paid_on: Mapped[date | None] = mapped_column(Date)
    evidence_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    problem: Mapped[str | None] = mapped_column(Text)
    told_by: Mapped[str | None] = mapped_column(Text)
    transfer_id: Mapped[int | None] = mapped_column(ForeignKey("transfers.id"))
    settled_at: Mapped[datetime | None]


class Windup(Model):
    """A program that ends: a window to redeem in, then credits expire, merchants are paid, sponsors get the rest."""

    __tablename__ = "windups"
    __table_args__ = (
        CheckConstraint("state in ('window','expired','settled','closed')", name="state"),
        CheckConstraint("window_days between 7 and 730", name="window_days"),
    )

    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"), primary_key=True)
    state: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    window_days: Mapped[int]
    approval_id: Mapped[int] = mapped_column(ForeignKey("approvals.id"))
    began_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    told_at: Mapped[datetime | None]
    expired_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]


class SponsorReturn(Model):
    """What was left of a budget when its program ended, paid back to its sponsor with evidence."""

    __tablename__ = "sponsor_returns"
    __table_args__ = (
        UniqueConstraint("bank_reference"),
        CheckConstraint("fen > 0 and credits >= 0", name="fen"),
    )

    budget_id: Mapped[int] = mapped_column(ForeignKey("budgets.id"), primary_key=True)
    fen: Mapped[int]
    credits: Mapped[int]
    transfer_id: Mapped[int] = mapped_column(ForeignKey("transfers.id"))
    approval_id: Mapped[int] = mapped_column(ForeignKey("approvals.id"))
    bank_reference: Mapped[str] = mapped_column(Text)
    evidence_hash: Mapped[bytes] = mapped_column(LargeBinary)
    returned_at: Mapped[datetime]
