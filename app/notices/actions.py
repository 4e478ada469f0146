"""Tell somebody, mark as read, choose how to be told."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert

from app import later
from app.db import connection, session
from app.notices.kinds import ALSO_BY_MESSAGE
from app.notices.models import Notice, NoticeSettings


def tell(
    *,
    key: str,
    person_id: int,
    kind: str,
    zh: str,
    en: str,
    at: datetime,
    program_id: int | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """Tell a person something, once per ``key`` (such as ``record:41:reversed``), whatever crashes or runs twice."""
    row = {
        "notice_key": key,
        "program_id": program_id,
        "person_id": person_id,
        "kind": kind,
        "zh": zh,
        "en": en,
        "details": details or {},
        "created_at": at,
    }
    new = insert(Notice).values(row).on_conflict_do_nothing().returning(Notice.id)
    notice_id = connection().execute(new).scalar_one_or_none()
    if notice_id is not None and kind in ALSO_BY_MESSAGE:
        # One after the other for one person: WeChat refuses two at once (43108).
        later.defer(later.MESSAGE, lock=f"message:{person_id}", notice_id=notice_id)


def mark_read(*, person_id: int, up_to: int, at: datetime) -> None:
    """Mark a person's notices up to an id as read."""
    unread = (Notice.person_id == person_id, Notice.id <= up_to, Notice.read_at.is_(None))
    session().execute(update(Notice).where(*unread).values(read_at=at))


def choose(*, person_id: int, muted: list[str], quiet_from: int, quiet_until: int, at: datetime) -> None:
    """Replace a person's settings as a whole."""
    chosen = {"muted": sorted(set(muted)), "quiet_from": quiet_from, "quiet_until": quiet_until, "changed_at": at}
    statement = insert(NoticeSettings).values(person_id=person_id, **chosen)
    connection().execute(statement.on_conflict_do_update(index_elements=["person_id"], set_=chosen))
