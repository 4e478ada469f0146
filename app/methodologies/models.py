"""Tables of methodologies. What the database itself guarantees stands here and in the migration's trigger:

- two published versions of one methodology are never in force on one day (EXCLUDE, MET-5);
- a published version never changes; only the open end of its time in force may be set, when a successor takes over;
- the approver is another than the author (AUD-1).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import DATERANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column

DRAFT, PENDING, PUBLISHED = "draft", "pending", "published"


class Methodology(Model):
    """A methodology by its key; what it says is in its versions. A retired one is not offered to new scenarios."""

    __tablename__ = "methodologies"

    id: Mapped[int] = id_column()
    key: Mapped[str] = mapped_column(Text, unique=True)
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]


class MethodologyVersion(Model):
    """One version: its whole content and the hash of it. Draft → pending (asked for a second person) → published.

    ``in_force`` holds Shanghai days, the end excluded. ``content`` is complete: nothing outside it is needed to
    recompute a number.
    """

    __tablename__ = "methodology_versions"
    __table_args__ = (
        UniqueConstraint("methodology_id", "version"),
        CheckConstraint("state in ('draft','pending','published')", name="state"),
        CheckConstraint("approved_by is null or approved_by <> drafted_by", name="four_eyes"),
        CheckConstraint(
            "state <> 'published' or (approved_by is not null and published_at is not null)", name="published_by_two"
        ),
        CheckConstraint("not isempty(in_force) and not lower_inf(in_force)", name="in_force"),
        ExcludeConstraint(
            # btree_gist is not in the core: the id is written as a range of one value.
            (text("int8range(methodology_id, methodology_id, '[]')"), "&&"),
            ("in_force", "&&"),
            name="ex_methodology_versions_one_in_force",
            using="gist",
            where=text("state = 'published'"),
        ),
        Index("ix_methodology_versions_pending", "id", postgresql_where=text("state = 'pending'")),
    )

    id: Mapped[int] = id_column()
    methodology_id: Mapped[int] = mapped_column(ForeignKey("methodologies.id"))
    version: Mapped[str] = mapped_column(Text)
    in_force: Mapped[Range[date]] = mapped_column(DATERANGE)
    content: Mapped[dict[str, Any]]
    content_hash: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default=DRAFT)
    drafted_by: Mapped[str] = mapped_column(Text)
    drafted_at: Mapped[datetime]
    approval_id: Mapped[int | None] = mapped_column(ForeignKey("approvals.id"))
    approved_by: Mapped[str | None] = mapped_column(Text)
    published_at: Mapped[datetime | None]
