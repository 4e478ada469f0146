"""Table of scenarios: a kind of green act that a program offers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Scenario(Model):
    """Method + allowed sources + tier + caps + text and picture.

    ``source_kinds`` lists which kinds of source may report it, each with its evidence tier: ``{"partner": "A"}``.
    ``caps`` are whole credits per person by period: ``{"day": 50, "week": 200, "year": 5000}``.
    ``claim`` says what physically happens and so excludes what: ``trip``, ``day``, ``vehicle``, ``meter`` or ``none``.
    ``fixed_facts`` are facts that the program sets for everybody (for example the substituted mode).
    """

    __tablename__ = "scenarios"
    __table_args__ = (
        UniqueConstraint("program_id", "code"),
        UniqueConstraint("program_id", "id"),
        CheckConstraint("state in ('active','retired')", name="state"),
        CheckConstraint("claim in ('trip','day','vehicle','meter','none')", name="claim"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    code: Mapped[str] = mapped_column(Text)
    methodology: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text)
    text_zh: Mapped[str] = mapped_column(Text, server_default="")
    text_en: Mapped[str] = mapped_column(Text, server_default="")
    picture: Mapped[str] = mapped_column(Text, server_default="")
    source_kinds: Mapped[dict[str, Any]]
    caps: Mapped[dict[str, Any]]
    claim: Mapped[str] = mapped_column(Text)
    consent_purpose: Mapped[str | None] = mapped_column(Text)
    fixed_facts: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(Text, server_default="active")
    retired_at: Mapped[datetime | None]
