"""Operators: the people behind commands and, later, the console. A command names who acts; a second one approves."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column, session
from app.errors import Kind, declare

UNKNOWN_OPERATOR = declare(
    "unknown_operator",
    Kind.NOT_ALLOWED,
    zh="没有这个运营账号。请先用 flask operators add 建立账号。",
    en="No such operator. Make one first with `flask operators add`.",
)


class Operator(Model):
    """A named operator. ``handle`` is what commands take with ``--as``."""

    __tablename__ = "operators"
    __table_args__ = (CheckConstraint("state in ('active','disabled')", name="state"),)

    id: Mapped[int] = id_column()
    handle: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    program_id: Mapped[int | None] = mapped_column(ForeignKey("programs.id"))
    state: Mapped[str] = mapped_column(Text, server_default="active")
    created_at: Mapped[datetime]


def add(*, handle: str, name: str, at: datetime, program_id: int | None = None) -> Operator:
    """The operator of this handle, made when there is none yet."""
    found = session().scalars(select(Operator).where(Operator.handle == handle)).first()
    if found is None:
        found = Operator(handle=handle, name=name, program_id=program_id, created_at=at, state="active")
        session().add(found)
        session().flush()
    return found


def actor(handle: str) -> str:
    """The audit name of an active operator, ``operator:<handle>``. Raises UNKNOWN_OPERATOR."""
    found = session().scalars(select(Operator).where(Operator.handle == handle, Operator.state == "active")).first()
    if found is None:
        raise UNKNOWN_OPERATOR(handle=handle)
    return f"operator:{found.handle}"
