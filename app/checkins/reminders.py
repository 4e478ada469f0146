"""Reminders: who wishes is told at an hour of their own choice that the day's check-in lacks."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy.dialects.postgresql import insert

from app import clock, notices, programs
from app.checkins.models import CheckInReminder
from app.db import connection, read, run
from app.errors import Kind, declare

EARLIEST, LATEST = 6 * 60, 22 * 60 + 30
LATE = timedelta(minutes=60)
KIND = "check-in.reminder"

REMINDER_TIME = declare(
    "reminder_time",
    Kind.INVALID,
    zh="提醒时间应在 06:00 至 22:30 之间。",
    en="A reminder comes between 06:00 and 22:30.",
)


def set_reminder(*, program_id: int, person_id: int, minute: int, at: datetime) -> None:
    """Remind a person daily at a minute of the Shanghai day. Raises REMINDER_TIME."""
    if not EARLIEST <= minute <= LATEST:
        raise REMINDER_TIME()
    row = {"program_id": program_id, "person_id": person_id, "minute": minute, "set_at": at}
    kept = insert(CheckInReminder).values(row)
    changes = {"minute": minute, "set_at": at}
    connection().execute(kept.on_conflict_do_update(index_elements=["program_id", "person_id"], set_=changes))


def end_reminder(*, program_id: int, person_id: int) -> None:
    """No reminders any more; twice is once."""
    run(
        "delete from check_in_reminders where program_id = %(program)s and person_id = %(person)s",
        {"program": program_id, "person": person_id},
    )


def reminder_of(program_id: int, person_id: int) -> int | None:
    """The minute of the day at which a person is reminded."""
    rows = read(
        "select minute from check_in_reminders where program_id = %(program)s and person_id = %(person)s",
        {"program": program_id, "person": person_id},
    )
    return rows[0].minute if rows else None


_DUE = """
    select r.program_id, r.person_id, coalesce(s.length, 0) as length, s.last_day
    from check_in_reminders r
    join memberships m on m.program_id = r.program_id and m.person_id = r.person_id and m.state = 'active'
    join programs p on p.id = r.program_id and p.state = 'active'
    left join check_in_streaks s on s.program_id = r.program_id and s.person_id = r.person_id
    where r.minute <= %(minute)s and r.minute > %(minute)s - %(late)s and r.set_at < %(at)s
      and s.last_day is distinct from %(day)s
      and not exists (select from notices n where n.notice_key
                      = 'check-in:' || r.program_id || ':' || r.person_id || ':' || %(day)s::date)
    order by r.program_id, r.person_id limit 500
"""


def remind_due(*, at: datetime) -> int:
    """Remind those whose time has come and who have not checked in, once a day; answers how many were told.

    A reminder that is an hour late (the worker was away) is left out: nobody is told at night.
    """
    day = clock.business_day(at)
    minute = int((at - clock.day_start(day)).total_seconds() // 60)
    due = run(_DUE, {"minute": minute, "late": int(LATE.total_seconds() // 60), "day": day, "at": at})
    for row in due:
        _remind(row, day, at)
    return len(due)


def _remind(row: Any, day: date, at: datetime) -> None:
    program = programs.known_by_id(row.program_id)
    going = row.length if row.last_day == day - timedelta(days=1) else 0
    zh = f"今天还没有签到，已连续 {going} 天，别让它断了。" if going else "今天还没有签到，来签到开始新的连续天数吧。"
    en = (
        f"You have not checked in today. {going} days in a row so far; keep them."
        if going
        else "You have not checked in today. Begin a new streak."
    )
    notices.tell(
        key=f"check-in:{row.program_id}:{row.person_id}:{day.isoformat()}", person_id=row.person_id,
        program_id=row.program_id, kind=KIND, zh=zh, en=en, at=at, details={"program": program.code},
    )  # fmt: skip
