"""Audit: who did what to which object, why, with the hash of before and after; written in the same transaction."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from sqlalchemy import Index, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column, session


class AuditEntry(Model):
    """Append-only (a trigger refuses update and delete, LED-6)."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_object", "object_type", "object_id"),)

    id: Mapped[int] = id_column()
    program_id: Mapped[int | None]
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    object_type: Mapped[str] = mapped_column(Text)
    object_id: Mapped[str] = mapped_column(Text)
    before_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    after_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    reason: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
    at: Mapped[datetime]


def canonical(value: Any) -> bytes:
    """Canonical JSON bytes: sorted keys, no spaces, UTF-8. The same value always has the same hash."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str).encode()


def digest(value: Any) -> bytes:
    return hashlib.sha256(canonical(value)).digest()


def write(
    *,
    actor: str,
    action: str,
    object_type: str,
    object_id: str | int,
    at: datetime,
    program_id: int | None = None,
    before: Any = None,
    after: Any = None,
    reason: str | None = None,
    request_id: str | None = None,
) -> None:
    """Add an audit row to the running transaction. ``actor`` reads ``operator:3``, ``person:17``, ``system:relay``."""
    session().add(
        AuditEntry(
            program_id=program_id,
            actor=actor,
            action=action,
            object_type=object_type,
            object_id=str(object_id),
            before_hash=None if before is None else digest(before),
            after_hash=None if after is None else digest(after),
            reason=reason,
            request_id=request_id,
            at=at,
        )
    )
