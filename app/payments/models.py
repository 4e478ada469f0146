"""Tables of payments: what a person owes for an order at WeChat Pay, its refunds, notices, bills and differences.

A payment's number is ours, unique for ever, and always stands for the same content. Its payer is a keyed hash: we
compare the openid, and need not keep it.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import CheckConstraint, Date, ForeignKey, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column

STATES = ("created", "waiting", "closing", "closed", "failed", "paid", "late")
OPEN = ("created", "waiting", "closing")
REFUND_STATES = ("asked", "processing", "success", "abnormal", "closed", "transferred")


class Payment(Model):
    """One number at WeChat Pay, with the whole request behind it, so that a repeat is the same to the letter.

    ``paid``: accepted for its subject. ``late``: WeChat has the money, but the subject was over or paid; it goes
    back. ``refunded_fen`` and ``refund_count`` guard the sum and the number of refunds.
    """

    __tablename__ = "payments"
    __table_args__ = (
        UniqueConstraint("out_trade_no"),
        UniqueConstraint("program_id", "id"),
        CheckConstraint("subject_kind in ('order')", name="subject_kind"),
        CheckConstraint("out_trade_no ~ '^[0-9A-Za-z_|*-]{6,32}$'", name="number"),
        CheckConstraint("total_fen > 0", name="total"),
        CheckConstraint("state in ('created','waiting','closing','closed','failed','paid','late')", name="state"),
        CheckConstraint("(state in ('paid','late')) = (transaction_id is not null)", name="has_transaction"),
        CheckConstraint("(state in ('paid','late')) = (transfer_id is not null)", name="is_booked"),
        CheckConstraint("refunded_fen between 0 and total_fen", name="refunds_within"),
        CheckConstraint("refund_count between 0 and 50", name="refund_count"),
        CheckConstraint("refund_count = 0 or state in ('paid','late')", name="only_paid_is_refunded"),
        Index("uq_payments_transaction", "mchid", "transaction_id", unique=True),
        Index(
            "uq_payments_open", "subject_kind", "subject_ref", unique=True,
            postgresql_where=text("state in ('created','waiting','closing')"),
        ),
        Index(
            "uq_payments_accepted", "subject_kind", "subject_ref", unique=True,
            postgresql_where=text("state = 'paid'"),
        ),
        Index("ix_payments_subject", "subject_kind", "subject_ref"),
        Index("ix_payments_due", "next_look_at", postgresql_where=text("next_look_at is not null")),
        Index("ix_payments_success", "mchid", "success_at"),
    )  # fmt: skip

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    subject_kind: Mapped[str] = mapped_column(Text)
    subject_ref: Mapped[int]
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    appid: Mapped[str] = mapped_column(Text)
    mchid: Mapped[str] = mapped_column(Text)
    payer_hash: Mapped[bytes] = mapped_column(LargeBinary)
    out_trade_no: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    notify_url: Mapped[str] = mapped_column(Text)
    total_fen: Mapped[int]
    time_expire: Mapped[datetime]
    state: Mapped[str] = mapped_column(Text, server_default="created")
    prepay_id: Mapped[str | None] = mapped_column(Text)
    prepay_at: Mapped[datetime | None]
    transaction_id: Mapped[str | None] = mapped_column(Text)
    payer_total_fen: Mapped[int | None]
    success_at: Mapped[datetime | None]
    transfer_id: Mapped[int | None] = mapped_column(ForeignKey("transfers.id"))
    refunded_fen: Mapped[int] = mapped_column(server_default=text("0"))
    refund_count: Mapped[int] = mapped_column(server_default=text("0"))
    fee_millifen: Mapped[int] = mapped_column(server_default=text("0"))
    billed_day: Mapped[date | None] = mapped_column(Date)
    looks: Mapped[int] = mapped_column(server_default=text("0"))
    looked_at: Mapped[datetime | None]
    next_look_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class PaymentStep(Model):
    """One step of a payment's life, appended in the transaction that made it (PAY-4)."""

    __tablename__ = "payment_steps"
    __table_args__ = (Index("ix_payment_steps_payment", "payment_id", "id"),)

    id: Mapped[int] = id_column()
    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"))
    from_state: Mapped[str | None] = mapped_column(Text)
    to_state: Mapped[str] = mapped_column(Text)
    why: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]


class Refund(Model):
    """One business refund. Its number is made and committed before WeChat hears of it, and repeated until the end.

    ``transferred``: WeChat could not do it, and we have paid by the bank instead; ``evidence`` says by which transfer.
    """

    __tablename__ = "refunds"
    __table_args__ = (
        UniqueConstraint("out_refund_no"),
        CheckConstraint("out_refund_no ~ '^[0-9A-Za-z_|*@-]{6,64}$'", name="number"),
        CheckConstraint("fen > 0", name="fen"),
        CheckConstraint("state in ('asked','processing','success','abnormal','closed','transferred')", name="state"),
        CheckConstraint(
            "(state = 'transferred') = (evidence is not null) and (evidence is null) = (transferred_at is null)"
            " and (evidence is null) = (approval_id is null)",
            name="transferred",
        ),
        CheckConstraint("(state = 'success') = (success_at is not null)", name="success"),
        Index("ix_refunds_payment", "payment_id"),
        Index("ix_refunds_due", "next_look_at", postgresql_where=text("next_look_at is not null")),
        Index("ix_refunds_accepted", "accepted_at"),
    )

    id: Mapped[int] = id_column()
    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"))
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    out_refund_no: Mapped[str] = mapped_column(Text)
    fen: Mapped[int]
    why: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[str] = mapped_column(Text)
    notify_url: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default="asked")
    refund_id: Mapped[str | None] = mapped_column(Text)
    payer_refund_fen: Mapped[int | None]
    transfer_id: Mapped[int] = mapped_column(ForeignKey("transfers.id"))
    end_transfer_id: Mapped[int | None] = mapped_column(ForeignKey("transfers.id"))
    asked_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    success_at: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(server_default=text("0"))
    next_look_at: Mapped[datetime | None]
    problem: Mapped[str | None] = mapped_column(Text)
    fee_millifen: Mapped[int] = mapped_column(server_default=text("0"))
    billed_day: Mapped[date | None] = mapped_column(Date)
    evidence: Mapped[str | None] = mapped_column(Text)
    transferred_at: Mapped[datetime | None]
    approval_id: Mapped[int | None] = mapped_column(ForeignKey("approvals.id"))


class PaymentNotice(Model):
    """One notice of WeChat Pay, kept once by its id, without the payer. ``content_hash`` is of what was inside.

    ``unread``: genuine, but we couldn't open or understand it; ``body`` is all of it as it came, sealed by WeChat.
    """

    __tablename__ = "payment_notices"
    __table_args__ = (
        UniqueConstraint("mchid", "notice_id"),
        CheckConstraint("state in ('settled','refused','ignored','unread')", name="state"),
        CheckConstraint("body is null or state = 'unread'", name="body_of_unread"),
        Index("ix_payment_notices_unread", "id", postgresql_where=text("body is not null")),
    )

    id: Mapped[int] = id_column()
    mchid: Mapped[str] = mapped_column(Text)
    notice_id: Mapped[str] = mapped_column(Text)
    event_type: Mapped[str] = mapped_column(Text)
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    number: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    problem: Mapped[str | None] = mapped_column(Text)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    times: Mapped[int] = mapped_column(server_default=text("1"))
    received_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]


class Shipment(Model):
    """What WeChat must hear about the goods of a payment, or the money stays frozen (order shipping management).

    ``logistics``: 1 express, 2 city, 3 virtual, 4 self pick-up (a merchant scans). Express waits for its number.
    ``reminded_at``, ``received_at``, ``settled_at`` are WeChat's later words (app/payments/trade.py).
    """

    __tablename__ = "shipments"
    __table_args__ = (
        UniqueConstraint("payment_id"),
        CheckConstraint("logistics between 1 and 4", name="logistics"),
        CheckConstraint("state in ('waiting','due','sent','given_up')", name="state"),
        CheckConstraint("logistics <> 1 or state = 'waiting' or tracking_no is not null", name="express_has_a_number"),
        Index("ix_shipments_due", "next_try_at", postgresql_where=text("state = 'due'")),
    )

    id: Mapped[int] = id_column()
    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"))
    logistics: Mapped[int]
    title: Mapped[str] = mapped_column(Text)
    carrier: Mapped[str | None] = mapped_column(Text)
    tracking_no: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    tries: Mapped[int] = mapped_column(server_default=text("0"))
    next_try_at: Mapped[datetime | None]
    problem: Mapped[str | None] = mapped_column(Text)
    sent_at: Mapped[datetime | None]
    reminded_at: Mapped[datetime | None]
    received_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]


class BillDay(Model):
    """One bill of one Beijing day, compared with our books. ``no_statement``: ours had no movement either."""

    __tablename__ = "bill_days"
    __table_args__ = (
        CheckConstraint("kind in ('trade','funds')", name="kind"),
        CheckConstraint("state in ('compared','no_statement')", name="state"),
    )

    mchid: Mapped[str] = mapped_column(Text, primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    state: Mapped[str] = mapped_column(Text)
    sha1: Mapped[str] = mapped_column(Text, server_default="")
    lines: Mapped[int]
    income_fen: Mapped[int]
    expense_fen: Mapped[int]
    fee_millifen: Mapped[int]
    differences: Mapped[int]
    compared_at: Mapped[datetime]


class PaymentDifference(Model):
    """Something about money that doesn't agree, or that a person must do. Found once, counted again when seen again.

    ``mended``: the normal transition (a query) made it equal. ``settled``: a person gave the reason, another approved.
    """

    __tablename__ = "payment_differences"
    __table_args__ = (
        UniqueConstraint("mchid", "kind", "number"),
        CheckConstraint("state in ('open','mended','settled')", name="state"),
        CheckConstraint("(state = 'settled') = (reason is not null)", name="settled_with_a_reason"),
        Index("ix_payment_differences_open", "id", postgresql_where=text("state = 'open'")),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int | None] = mapped_column(ForeignKey("programs.id"))
    mchid: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    number: Mapped[str] = mapped_column(Text)
    day: Mapped[date | None] = mapped_column(Date)
    payment_id: Mapped[int | None] = mapped_column(ForeignKey("payments.id"))
    refund_id: Mapped[int | None] = mapped_column(ForeignKey("refunds.id"))
    ours: Mapped[str] = mapped_column(Text, server_default="")
    theirs: Mapped[str] = mapped_column(Text, server_default="")
    state: Mapped[str] = mapped_column(Text, server_default="open")
    times: Mapped[int] = mapped_column(server_default=text("1"))
    found_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    settled_by: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    approval_id: Mapped[int | None] = mapped_column(ForeignKey("approvals.id"))
