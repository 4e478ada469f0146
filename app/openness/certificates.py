"""Numbered certificates of credited acts: asked for by the person, checked by anybody without signing in."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.db import connection
from app.errors import NOT_FOUND, STATE_CONFLICT
from app.openness.credit import document
from app.openness.models import Certificate
from app.records.models import Record

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def certify(*, record_id: int, person_id: int, at: datetime) -> Certificate:
    """The certificate of a counted record, numbered at the first asking. Raises NOT_FOUND, STATE_CONFLICT."""
    record = connection().execute(select(Record.person_id, Record.state).where(Record.id == record_id)).first()
    if record is None or record.person_id != person_id:
        raise NOT_FOUND(record=str(record_id))
    if record.state not in ("counted", "mirrored"):
        raise STATE_CONFLICT(state=record.state)
    number = f"DD{at:%Y%m}-" + "".join(secrets.choice(ALPHABET) for _ in range(10))
    row = insert(Certificate).values(number=number, record_id=record_id, issued_at=at)
    connection().execute(row.on_conflict_do_nothing())
    found: Any = connection().execute(select(Certificate).where(Certificate.record_id == record_id)).one()
    return found  # type: ignore[no-any-return]


def checked(number: str) -> dict[str, Any]:
    """What a certificate says today: the act, its number, and whether it still counts. Names no person.

    Raises NOT_FOUND for an unknown number.
    """
    query = select(Certificate.record_id, Certificate.issued_at, Record.state)
    query = query.join(Record, Record.id == Certificate.record_id).where(Certificate.number == number)
    found = connection().execute(query).first()
    if found is None:
        raise NOT_FOUND(certificate=number)
    shown = document(record_id=found.record_id)
    shown["record"].pop("reference")
    return {
        "number": number,
        "issued_at": found.issued_at.isoformat(),
        "valid": found.state in ("counted", "mirrored"),
        "state": found.state,
        "credit": shown,
    }
