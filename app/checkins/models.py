"""Tables of the daily check-in: the days, the streak that they make, cards, milestones, frozen days, reminders."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, Date, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class CheckInRules(Model):
    """One immutable version of a program's rules. ``milestones``: ``[{"name", "days", "credits", "zh", "en"}]``.

    ``card_every`` days of a streak earn a make-up card (0: none), at most ``cards_most`` are held; ``makeup_month``
    may be used in a calendar month, on days at most ``makeup_days`` back.
    """

    __tablename__ = "check_in_rules"
    __table_args__ = (
        UniqueConstraint("program_id", "version"),
        CheckConstraint("card_every >= 0 and cards_most >= 0 and makeup_month >= 0 and makeup_days >= 0", name="cards"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    version: Mapped[int]
    effective_at: Mapped[datetime]
    milestones: Mapped[list[Any]]
    card_every: Mapped[int]
    cards_most: Mapped[int]
    makeup_month: Mapped[int]
    makeup_days: Mapped[int]
    made_by: Mapped[str] = mapped_column(Text)


class CheckIn(Model):
    """A Shanghai day that counts for a person in a program: checked in on it (``daily``) or made up later with a card.

    ``void``: its record was taken back, so the day counts for no streak until an appeal restores it.
    """

    __tablename__ = "check_ins"
    __table_args__ = (
        UniqueConstraint("program_id", "person_id", "day"),
        CheckConstraint(
            "case kind when 'daily' then day = (checked_at at time zone 'Asia/Shanghai')::date"
            " when 'made_up' then day < (checked_at at time zone 'Asia/Shanghai')::date else false end",
            name="day",
        ),
        CheckConstraint("(kind = 'daily') = (record_id is not null)", name="record"),
        Index("ix_check_ins_person", "person_id"),
        Index("ix_check_ins_day", "program_id", "day"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    day: Mapped[date] = mapped_column(Date)
    kind: Mapped[str] = mapped_column(Text)
    checked_at: Mapped[datetime]
    record_id: Mapped[int | None] = mapped_column(ForeignKey("records.id"))
    void: Mapped[bool] = mapped_column(server_default=text("false"))


class CheckInStreak(Model):
    """A person's present streak in a program: always recomputable from the days (``checkins.recount``), but the cards.

    ``length`` counts days; frozen ones between ``first_day`` and ``last_day`` are skipped.
    """

    __tablename__ = "check_in_streaks"
    __table_args__ = (
        CheckConstraint("length between 0 and longest and longest <= total", name="lengths"),
        CheckConstraint("(length = 0) = (last_day is null) and (first_day is null) = (last_day is null)", name="days"),
        CheckConstraint("cards >= 0", name="cards"),
        Index("ix_check_in_streaks_person", "person_id"),
    )

    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    length: Mapped[int]
    first_day: Mapped[date | None] = mapped_column(Date)
    last_day: Mapped[date | None] = mapped_column(Date)
    longest: Mapped[int]
    total: Mapped[int]
    cards: Mapped[int] = mapped_column(server_default=text("0"))


class CheckInCard(Model):
    """A make-up card that was earned on a day of a streak, or used for a missed day."""

    __tablename__ = "check_in_cards"
    __table_args__ = (
        UniqueConstraint("program_id", "person_id", "kind", "day"),
        CheckConstraint("kind in ('earned','used')", name="kind"),
        Index("ix_check_in_cards_person", "person_id"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    kind: Mapped[str] = mapped_column(Text)
    day: Mapped[date] = mapped_column(Date)
    at: Mapped[datetime]


class CheckInMilestone(Model):
    """A milestone that a streak reached on a day, and the award that paid it. One of ``days`` is paid once a cycle."""

    __tablename__ = "check_in_milestones"
    __table_args__ = (
        UniqueConstraint("program_id", "person_id", "days", "day"),
        CheckConstraint("days > 0 and credits > 0", name="amounts"),
        Index("ix_check_in_milestones_person", "person_id"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    name: Mapped[str] = mapped_column(Text)
    days: Mapped[int]
    day: Mapped[date] = mapped_column(Date)
    credits: Mapped[int]
    award_id: Mapped[int] = mapped_column(ForeignKey("awards.id"))
    reached_at: Mapped[datetime]


class CheckInFreeze(Model):
    """A Shanghai day on which we were away too long: whoever missed it loses no streak. No program: all of them."""

    __tablename__ = "check_in_freezes"
    __table_args__ = (
        UniqueConstraint("program_id", "day", postgresql_nulls_not_distinct=True),
        CheckConstraint("minutes > 0", name="minutes"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int | None] = mapped_column(ForeignKey("programs.id"))
    day: Mapped[date] = mapped_column(Date)
    minutes: Mapped[int]
    reason: Mapped[str] = mapped_column(Text)
    made_by: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime]


class ServiceBeat(Model):
    """When a part of ours was last seen alive; a gap between two beats is an outage."""

    __tablename__ = "service_beats"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    beat_at: Mapped[datetime]


class CheckInReminder(Model):
    """A person wants to be reminded at ``minute`` of the Shanghai day, where the day's check-in lacks."""

    __tablename__ = "check_in_reminders"
    __table_args__ = (
        CheckConstraint("minute between 360 and 1350", name="minute"),
        Index("ix_check_in_reminders_minute", "minute"),
        Index("ix_check_in_reminders_person", "person_id"),
    )

    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    minute: Mapped[int]
    set_at: Mapped[datetime]
