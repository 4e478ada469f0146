"""Table of certificates: a number under which anybody can check one credited act, without learning whose it is."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model


class Certificate(Model):
    """One numbered certificate of one record; asked for twice, it is the same."""

    __tablename__ = "certificates"

    number: Mapped[str] = mapped_column(Text, primary_key=True)
    record_id: Mapped[int] = mapped_column(ForeignKey("records.id"), unique=True)
    issued_at: Mapped[datetime]
