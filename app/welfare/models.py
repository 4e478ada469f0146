"""Tables of welfare: causes that receive credits, paid out by the sponsors of those credits, and the gifts."""

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


class WelfareProject(Model):
    """A public-welfare cause. What sponsors owe it stands on its fen account ``welfare``."""

    __tablename__ = "welfare_projects"
    __table_args__ = (
        UniqueConstraint("program_id", "code"),
        UniqueConstraint("program_id", "id"),
        CheckConstraint("target_credits > 0 and given_credits >= 0", name="target"),
        CheckConstraint("state in ('open','closed','failed')", name="state"),
        CheckConstraint("kind in ('tree','carbon_sink','school_kit','other')", name="kind"),
        CheckConstraint("over_rule in ('open','cap','overflow')", name="over_rule"),
        CheckConstraint(
            "(over_rule = 'overflow') = (overflow_project_id is not null) and overflow_project_id <> id",
            name="overflow",
        ),
        ForeignKeyConstraint(
            ["program_id", "overflow_project_id"], ["welfare_projects.program_id", "welfare_projects.id"]
        ),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    code: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text, server_default="")
    text_zh: Mapped[str] = mapped_column(Text, server_default="")
    text_en: Mapped[str] = mapped_column(Text, server_default="")
    target_credits: Mapped[int]
    given_credits: Mapped[int]
    money_account_id: Mapped[int]
    state: Mapped[str] = mapped_column(Text, server_default="open")
    kind: Mapped[str] = mapped_column(Text, server_default="other")
    over_rule: Mapped[str] = mapped_column(Text, server_default="open")
    overflow_project_id: Mapped[int | None]
    fail_reason: Mapped[str | None] = mapped_column(Text)
    ended_at: Mapped[datetime | None]


class Gift(Model):
    """Credits that a person gave to a project; the sponsors of the spent lots pay ``fen`` to the project."""

    __tablename__ = "gifts"
    __table_args__ = (
        UniqueConstraint("person_id", "client_ref"),
        UniqueConstraint("certificate_no"),
        ForeignKeyConstraint(["program_id", "project_id"], ["welfare_projects.program_id", "welfare_projects.id"]),
        CheckConstraint("credits > 0 and fen >= 0", name="amounts"),
        CheckConstraint(
            "returned_credits between 0 and credits and returned_fen between 0 and fen and matched_fen >= 0",
            name="returned",
        ),
        Index("ix_gifts_project", "project_id", "id"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    project_id: Mapped[int]
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    client_ref: Mapped[str] = mapped_column(Text)
    body_hash: Mapped[bytes] = mapped_column(LargeBinary)
    credits: Mapped[int]
    fen: Mapped[int]
    transfer_id: Mapped[int] = mapped_column(ForeignKey("transfers.id"))
    certificate_no: Mapped[str] = mapped_column(Text)
    given_at: Mapped[datetime]
    show_name: Mapped[bool] = mapped_column(server_default=text("false"))
    matched_fen: Mapped[int] = mapped_column(server_default=text("0"))
    returned_credits: Mapped[int] = mapped_column(server_default=text("0"))
    returned_fen: Mapped[int] = mapped_column(server_default=text("0"))


class Milestone(Model):
    """A step of a project: planned with its money, reached with evidence, site, date and payee, or failed."""

    __tablename__ = "welfare_milestones"
    __table_args__ = (
        UniqueConstraint("project_id", "position"),
        UniqueConstraint("project_id", "id"),
        CheckConstraint("state in ('planned','reached','failed')", name="state"),
        CheckConstraint("planned_fen >= 0", name="planned"),
        CheckConstraint(
            "state <> 'reached' or"
            " (reached_on is not null and site is not null and payee is not null and approval_id is not null)",
            name="reached",
        ),
    )

    id: Mapped[int] = id_column()
    project_id: Mapped[int] = mapped_column(ForeignKey("welfare_projects.id"))
    position: Mapped[int]
    title: Mapped[str] = mapped_column(Text)
    title_en: Mapped[str] = mapped_column(Text, server_default="")
    planned_fen: Mapped[int] = mapped_column(server_default=text("0"))
    due_on: Mapped[date | None] = mapped_column(Date)
    state: Mapped[str] = mapped_column(Text, server_default="planned")
    reached_on: Mapped[date | None] = mapped_column(Date)
    site: Mapped[str | None] = mapped_column(Text)
    payee: Mapped[str | None] = mapped_column(Text)
    approval_id: Mapped[int | None] = mapped_column(ForeignKey("approvals.id"))
    fail_reason: Mapped[str | None] = mapped_column(Text)


class Evidence(Model):
    """A photo that proves one milestone. Its file and its pixels can stand for no other."""

    __tablename__ = "welfare_evidence"
    __table_args__ = (
        UniqueConstraint("file_hash"),
        UniqueConstraint("pixel_hash"),
        Index("ix_welfare_evidence_milestone", "milestone_id"),
    )

    id: Mapped[int] = id_column()
    milestone_id: Mapped[int | None] = mapped_column(ForeignKey("welfare_milestones.id"))
    file_hash: Mapped[bytes] = mapped_column(LargeBinary)
    pixel_hash: Mapped[bytes] = mapped_column(LargeBinary)
    picture: Mapped[bytes] = mapped_column(LargeBinary)
    taken_on: Mapped[date] = mapped_column(Date)
    site: Mapped[str] = mapped_column(Text)
    added_by: Mapped[str] = mapped_column(Text)
    added_at: Mapped[datetime]


class Plot(Model):
    """Land of a carbon-sink project: households who live from it, carbon (kg CO2e), price (fen per tonne)."""

    __tablename__ = "welfare_plots"
    __table_args__ = (
        UniqueConstraint("project_id", "code"),
        UniqueConstraint("project_id", "id"),
        CheckConstraint("households > 0 and carbon_kg > 0 and price_fen > 0", name="amounts"),
    )

    id: Mapped[int] = id_column()
    project_id: Mapped[int] = mapped_column(ForeignKey("welfare_projects.id"))
    code: Mapped[str] = mapped_column(Text)
    place: Mapped[str] = mapped_column(Text)
    households: Mapped[int]
    carbon_kg: Mapped[int]
    price_fen: Mapped[int]


class WelfarePayout(Model):
    """A project's money paid out, with the bank's reference and the receipt's hash."""

    __tablename__ = "welfare_payouts"
    __table_args__ = (
        UniqueConstraint("bank_reference"),
        CheckConstraint("fen > 0", name="fen"),
        ForeignKeyConstraint(
            ["project_id", "milestone_id"], ["welfare_milestones.project_id", "welfare_milestones.id"]
        ),
        ForeignKeyConstraint(["project_id", "plot_id"], ["welfare_plots.project_id", "welfare_plots.id"]),
    )

    id: Mapped[int] = id_column()
    project_id: Mapped[int]
    milestone_id: Mapped[int]
    plot_id: Mapped[int | None]
    payee: Mapped[str] = mapped_column(Text)
    fen: Mapped[int]
    paid_on: Mapped[date] = mapped_column(Date)
    bank_reference: Mapped[str] = mapped_column(Text)
    evidence_hash: Mapped[bytes] = mapped_column(LargeBinary)
    approval_id: Mapped[int] = mapped_column(ForeignKey("approvals.id"))
    transfer_id: Mapped[int] = mapped_column(ForeignKey("transfers.id"))
    paid_at: Mapped[datetime]


class Match(Model):
    """A sponsor adds ``rate_bps`` of what gifts are worth, up to what it has paid in for that."""

    __tablename__ = "welfare_matches"
    __table_args__ = (
        UniqueConstraint("bank_reference"),
        CheckConstraint("rate_bps between 1 and 1000000", name="rate"),
        CheckConstraint(
            "reserved_fen > 0 and used_fen >= 0 and returned_fen >= 0 and used_fen + returned_fen <= reserved_fen",
            name="within",
        ),
        Index("ix_welfare_matches_project", "project_id", "id"),
    )

    id: Mapped[int] = id_column()
    project_id: Mapped[int] = mapped_column(ForeignKey("welfare_projects.id"))
    sponsor_id: Mapped[int] = mapped_column(ForeignKey("sponsors.id"))
    rate_bps: Mapped[int]
    reserved_fen: Mapped[int]
    used_fen: Mapped[int] = mapped_column(server_default=text("0"))
    returned_fen: Mapped[int] = mapped_column(server_default=text("0"))
    bank_reference: Mapped[str] = mapped_column(Text)
    account_id: Mapped[int]
    approval_id: Mapped[int] = mapped_column(ForeignKey("approvals.id"))
    made_at: Mapped[datetime]


class GiftMatch(Model):
    """What a sponsor added to one gift."""

    __tablename__ = "gift_matches"
    __table_args__ = (CheckConstraint("fen > 0 and returned_fen between 0 and fen", name="fen"),)

    gift_id: Mapped[int] = mapped_column(ForeignKey("gifts.id"), primary_key=True)
    match_id: Mapped[int] = mapped_column(ForeignKey("welfare_matches.id"), primary_key=True)
    fen: Mapped[int]
    returned_fen: Mapped[int] = mapped_column(server_default=text("0"))
    transfer_id: Mapped[int] = mapped_column(ForeignKey("transfers.id"))


class GiftReturn(Model):
    """What goes back of a gift: its part of what was unspent (``failed``), or what fraud had given (``taken``)."""

    __tablename__ = "gift_returns"
    __table_args__ = (
        UniqueConstraint("gift_id", "approval_id"),
        CheckConstraint("why in ('failed','taken')", name="why"),
        CheckConstraint("credits >= 0 and fen >= 0 and matched_fen >= 0", name="amounts"),
        Index("ix_gift_returns_due", "id", postgresql_where=text("returned_at is null")),
    )

    id: Mapped[int] = id_column()
    gift_id: Mapped[int] = mapped_column(ForeignKey("gifts.id"))
    why: Mapped[str] = mapped_column(Text)
    approval_id: Mapped[int] = mapped_column(ForeignKey("approvals.id"))
    credits: Mapped[int]
    fen: Mapped[int]
    matched_fen: Mapped[int] = mapped_column(server_default=text("0"))
    transfer_id: Mapped[int | None] = mapped_column(ForeignKey("transfers.id"))
    planned_at: Mapped[datetime]
    returned_at: Mapped[datetime | None]


class NeutralEvent(Model):
    """An event whose footprint people neutralise with their grams."""

    __tablename__ = "neutral_events"
    __table_args__ = (
        UniqueConstraint("program_id", "code"),
        UniqueConstraint("program_id", "id"),
        CheckConstraint("footprint_mg > 0 and given_mg between 0 and footprint_mg", name="mg"),
        CheckConstraint("state in ('open','closed')", name="state"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    code: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text, server_default="")
    held_on: Mapped[date] = mapped_column(Date)
    footprint_mg: Mapped[int]
    given_mg: Mapped[int] = mapped_column(server_default=text("0"))
    state: Mapped[str] = mapped_column(Text, server_default="open")


class GramGift(Model):
    """Grams that a person gave to an event. They are retired: in no export, and never given twice."""

    __tablename__ = "gram_gifts"
    __table_args__ = (
        UniqueConstraint("person_id", "client_ref"),
        UniqueConstraint("certificate_no"),
        CheckConstraint("mg > 0", name="mg"),
        ForeignKeyConstraint(["program_id", "event_id"], ["neutral_events.program_id", "neutral_events.id"]),
        Index("ix_gram_gifts_event", "event_id", "id"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int]
    event_id: Mapped[int]
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    client_ref: Mapped[str] = mapped_column(Text)
    body_hash: Mapped[bytes] = mapped_column(LargeBinary)
    mg: Mapped[int]
    transfer_id: Mapped[int] = mapped_column(ForeignKey("transfers.id"))
    certificate_no: Mapped[str] = mapped_column(Text)
    show_name: Mapped[bool] = mapped_column(server_default=text("false"))
    given_at: Mapped[datetime]
