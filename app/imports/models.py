"""Tables of imports: one run over one file, and what became of each row."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Import(Model):
    """One file given to one program by one preset. ``next_row`` is where an interrupted run goes on."""

    __tablename__ = "imports"
    __table_args__ = (
        CheckConstraint("state in ('running','done','failed')", name="state"),
        Index("uq_imports_file", "program_id", "preset", "file_hash", unique=True),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    preset: Mapped[str] = mapped_column(Text)
    preset_hash: Mapped[bytes] = mapped_column(LargeBinary)
    file_name: Mapped[str] = mapped_column(Text)
    file_hash: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(Text, server_default="running")
    next_row: Mapped[int]
    counts: Mapped[dict[str, Any]]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    started_by: Mapped[str] = mapped_column(Text)


class ImportRow(Model):
    """What became of one row that was not simply accepted: held, rejected, duplicate, conflict, invalid, skipped."""

    __tablename__ = "import_rows"

    import_id: Mapped[int] = mapped_column(ForeignKey("imports.id"), primary_key=True)
    row_no: Mapped[int] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(Text)
    code: Mapped[str | None] = mapped_column(Text)
    words_zh: Mapped[str | None] = mapped_column(Text)
    words_en: Mapped[str | None] = mapped_column(Text)
    reference: Mapped[str | None] = mapped_column(Text)
    record_id: Mapped[int | None] = mapped_column(ForeignKey("records.id"))
