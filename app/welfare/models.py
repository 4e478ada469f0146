"""Tables of welfare: causes that receive credits, paid out by the sponsors of those credits, and the gifts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, LargeBinary, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class WelfareProject(Model):
    """A public-welfare cause. What sponsors owe it stands on its fen account ``welfare``."""

    __tablename__ = "welfare_projects"
    __table_args__ = (
        UniqueConstraint("program_id", "code"),
        UniqueConstraint("program_id", "id"),
        CheckConstraint("target_credits > 0 and given_credits >= 0", name="target"),
        CheckConstraint("state in ('open','closed')", name="state"),
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


class Gift(Model):
    """Credits that a person gave to a project; the sponsors of the spent lots pay ``fen`` to the project."""

    __tablename__ = "gifts"
    __table_args__ = (
        UniqueConstraint("person_id", "client_ref"),
        UniqueConstraint("certificate_no"),
        ForeignKeyConstraint(["program_id", "project_id"], ["welfare_projects.program_id", "welfare_projects.id"]),
        CheckConstraint("credits > 0 and fen >= 0", name="amounts"),
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
