"""Tables of subscribe messages: what people allow, what was sent and how it went, what is stopped."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Quota(Model):
    """How many messages of a template a person still allows: raised by popups, lowered by sending."""

    __tablename__ = "message_quotas"
    __table_args__ = (CheckConstraint("remaining >= 0", name="remaining"),)

    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    appid: Mapped[str] = mapped_column(Text, primary_key=True)
    template_id: Mapped[str] = mapped_column(Text, primary_key=True)
    remaining: Mapped[int] = mapped_column(server_default=text("0"))
    changed_at: Mapped[datetime]


class Delivery(Model):
    """One notice as a message. It is marked ``sending`` before the call: who dies then leaves ``unknown``, not two.

    ``delivered`` is WeChat's later word (``subscribe_msg_sent_event``).
    """

    __tablename__ = "message_deliveries"
    __table_args__ = (
        UniqueConstraint("notice_id"),
        CheckConstraint("state in ('waiting','sending','sent','not_subscribed','failed','unknown')", name="state"),
        Index("ix_message_deliveries_due", "send_at", postgresql_where=text("state = 'waiting'")),
        Index("ix_message_deliveries_person", "person_id", "id"),
        Index("ix_message_deliveries_message", "message_id"),
    )

    id: Mapped[int] = id_column()
    notice_id: Mapped[int]
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    template: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any]]
    page: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default="waiting")
    appid: Mapped[str | None] = mapped_column(Text)
    template_id: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    errcode: Mapped[int | None]
    problem: Mapped[str | None] = mapped_column(Text)
    message_id: Mapped[str | None] = mapped_column(Text)
    delivered: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    send_at: Mapped[datetime]
    begun_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class Stop(Model):
    """A template that is not used for now: until tomorrow (quota), or until somebody has looked (``until`` None)."""

    __tablename__ = "message_stops"

    appid: Mapped[str] = mapped_column(Text, primary_key=True)
    template_id: Mapped[str] = mapped_column(Text, primary_key=True)
    until: Mapped[datetime | None]
    problem: Mapped[str] = mapped_column(Text)
