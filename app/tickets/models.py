"""Tables of tickets: what people ask us, and what they are answered."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Ticket(Model):
    """One conversation. ``person_id`` is None for somebody who never signed in; ``openid`` is whom to answer."""

    __tablename__ = "tickets"
    __table_args__ = (
        CheckConstraint("state in ('open','answered','closed')", name="state"),
        Index("uq_tickets_open", "appid", "openid", unique=True, postgresql_where=text("state <> 'closed'")),
        Index("ix_tickets_person", "person_id"),
    )

    id: Mapped[int] = id_column()
    person_id: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))
    appid: Mapped[str] = mapped_column(Text)
    openid: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default="open")
    opened_at: Mapped[datetime]
    last_wrote_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class TicketLine(Model):
    """What one side said. ``delivery`` is of our answers: sent as a message, or left in the inbox."""

    __tablename__ = "ticket_lines"
    __table_args__ = (
        CheckConstraint("delivery in ('sending','sent','inbox','failed')", name="delivery"),
        Index("ix_ticket_lines_ticket", "ticket_id", "id"),
    )

    id: Mapped[int] = id_column()
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"))
    author: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    said_at: Mapped[datetime]
    delivery: Mapped[str | None] = mapped_column(Text)
