"""Tables of bound phone numbers, and of what WeChat charges for."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Date, ForeignKey, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Phone(Model):
    """One number of one person: encrypted to be shown masked, a keyed hash to be found. One live number each way."""

    __tablename__ = "phones"
    __table_args__ = (
        Index("uq_phones_live_number", "number_hash", unique=True, postgresql_where=text("unbound_at is null")),
        Index("uq_phones_live_person", "person_id", unique=True, postgresql_where=text("unbound_at is null")),
    )

    id: Mapped[int] = id_column()
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    number_hash: Mapped[bytes] = mapped_column(LargeBinary)
    number_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    bound_at: Mapped[datetime]
    unbound_at: Mapped[datetime | None]


class Cost(Model):
    """How often something was used in a day that WeChat charges for."""

    __tablename__ = "wechat_costs"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    appid: Mapped[str] = mapped_column(Text, primary_key=True)
    what: Mapped[str] = mapped_column(Text, primary_key=True)
    calls: Mapped[int] = mapped_column(server_default=text("0"))
