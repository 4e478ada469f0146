"""Appeals: a person objects to what became of a record; somebody answers within ten days; a granted one restores it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, update

from app import notices
from app.db import connection
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.records import reviews
from app.records.models import Appeal, Record

ANSWER_WITHIN = timedelta(days=10)
APPEAL_WITHIN = timedelta(days=60)
APPEALABLE = ("held", "rejected", "reversed", "duplicate")

NOTHING_TO_APPEAL = declare(
    "nothing_to_appeal",
    Kind.CONFLICT,
    zh="这条记录已正常计入，无需申诉。",
    en="This record counts in full; there is nothing to appeal.",
)
APPEAL_TOO_LATE = declare(
    "appeal_too_late",
    Kind.CONFLICT,
    zh="已超过 60 天的申诉期限。如有特殊情况，请联系客服。",
    en="The 60 days for an appeal are over. Contact support if there is a special reason.",
)


def appeal(*, record_id: int, person_id: int, words: str, at: datetime) -> tuple[int, bool]:
    """Open an appeal; answers its id and whether it is new (an open one is answered again).

    Raises NOT_FOUND for a record that is not the person's, NOTHING_TO_APPEAL, APPEAL_TOO_LATE.
    """
    query = select(Record).where(Record.id == record_id, Record.person_id == person_id).with_for_update()
    record = connection().execute(query).first()
    if record is None:
        raise NOT_FOUND(record=str(record_id))
    opened = select(Appeal.id).where(Appeal.record_id == record_id, Appeal.state == "open")
    standing = connection().execute(opened).scalar_one_or_none()
    if standing is not None:
        return standing, False
    if record.state not in APPEALABLE:
        raise NOTHING_TO_APPEAL(state=record.state)
    if at - record.received_at > APPEAL_WITHIN:
        raise APPEAL_TOO_LATE()
    row = {
        "record_id": record_id,
        "person_id": person_id,
        "words": words,
        "asked_at": at,
        "answer_due_at": at + ANSWER_WITHIN,
    }
    made: int = connection().execute(insert(Appeal).values(row).returning(Appeal.id)).scalar_one()
    return made, True


def answer(*, appeal_id: int, granted: bool, words: str, by: str, at: datetime) -> None:
    """Answer an appeal. Granted, the record counts as of the day of the act; boards follow. The person is told."""
    found: Any = connection().execute(select(Appeal).where(Appeal.id == appeal_id)).first()
    if found is None:
        raise NOT_FOUND(appeal=str(appeal_id))
    if found.state != "open":
        raise STATE_CONFLICT(state=found.state)
    if granted:
        reviews.restore(record_id=found.record_id, by=by, at=at)
    state = "granted" if granted else "refused"
    changes = {"state": state, "answer": words, "answered_at": at, "answered_by": by}
    connection().execute(update(Appeal).where(Appeal.id == appeal_id).values(**changes))
    notices.tell(
        key=f"appeal:{appeal_id}:{state}",
        person_id=found.person_id,
        kind=f"appeal.{state}",
        zh=("申诉已通过，记录已恢复。" if granted else "申诉未通过：") + words,
        en=("Your appeal was granted and the record counts. " if granted else "Your appeal was refused: ") + words,
        details={"record_id": str(found.record_id)},
        at=at,
    )
