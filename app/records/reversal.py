"""Take a record's effect back: claims, milligrams, credits; boards and others hear of it and put themselves right."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select, text, update

from app import events, funding, later, ledger, notices, outbox
from app.db import connection
from app.records import claims, retiring
from app.records.models import Record, Reduction
from app.records.reasons import Reason, reason


def lock(record_id: int) -> Any:
    """A record with its wallet and then its row locked (wallets come first in every path)."""
    row = connection().execute(select(Record).where(Record.id == record_id)).one()
    funding.lock_wallets([(row.person_id, row.program_id)], at=row.received_at)
    return connection().execute(select(Record).where(Record.id == record_id).with_for_update()).one()


def collapse_onto(*, record_id: int, better_id: int, at: datetime) -> None:
    """A better source recorded the same act: this record stops counting and names the other."""
    take_back(record_id=record_id, state="duplicate", why=reason("better_source", str(better_id)), at=at)


def take_back(*, record_id: int, state: str, why: Reason, at: datetime) -> None:
    """Undo everything a counted record did, exactly, and keep it with its new state and reason. The person is told."""
    record = lock(record_id)
    if record.state == "counted":
        claims.release(record_id)
        retiring.unretire(record, at=at)
        _reverse_milligrams(record_id, at)
        funding.reverse_awards(record_id=record_id, at=at)
        outbox.publish(events.RECORD_REVERSED, {"record_ids": [record_id]}, program_id=record.program_id)
        _take_back_mirrors(record_id, state, why)
        if state != "duplicate":
            later.defer(later.REVIVE, key=f"revive:{record_id}", record_id=record_id)
    mark(record_id, state, why)
    notices.tell(
        key=f"record:{record_id}:{state}:{why.code}",
        person_id=record.person_id,
        program_id=record.program_id,
        kind=f"record.{state}",
        zh=why.zh,
        en=why.en,
        details={"record_id": str(record_id), "reason": why.code},
        at=at,
    )


def mark(record_id: int, state: str, why: Reason | None) -> None:
    """Set a record's state and reason."""
    values = {
        "state": state,
        "reason_code": why.code if why else None,
        "reason_zh": why.zh if why else None,
        "reason_en": why.en if why else None,
    }
    connection().execute(update(Record).where(Record.id == record_id).values(**values))


def _reverse_milligrams(record_id: int, at: datetime) -> None:
    found = connection().execute(select(Reduction).where(Reduction.record_id == record_id)).first()
    if found is None or found.reversed_at is not None:
        return
    if found.transfer_id is not None:
        draft = ledger.reversal_of(found.transfer_id, reason="reduction.reverse", source_ref=f"record:{record_id}")
        ledger.post([draft], at=at)
    connection().execute(update(Reduction).where(Reduction.id == found.id).values(reversed_at=at))


def _take_back_mirrors(record_id: int, state: str, why: Reason) -> None:
    """The showings in other programs stop counting with their paying record."""
    taken = text("select id, program_id from records where primary_id = :id and state = 'mirrored'")
    for mirror in connection().execute(taken, {"id": record_id}).all():
        mark(mirror.id, state, why)
        outbox.publish(events.RECORD_REVERSED, {"record_ids": [mirror.id]}, program_id=mirror.program_id)
