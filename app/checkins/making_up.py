"""Make-up cards: a missed day is filled, so that the streak lives on.

A made-up day earns no credits of its own; a milestone that the streak reaches thereby is paid as on its day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import insert, select, text

from app import clock, funding
from app.checkins import recounting, rules
from app.checkins.freezes import frozen_days
from app.checkins.milestones import Reached
from app.checkins.models import CheckIn, CheckInCard, CheckInStreak
from app.db import connection, run, session
from app.errors import Kind, declare
from app.programs import NOT_A_MEMBER, membership

NOT_MISSED = declare(
    "day_not_missed",
    Kind.CONFLICT,
    zh="这一天已签到，或因系统故障已自动保护，无需补签。",
    en="You checked in on this day, or an outage of ours protects it already: there is nothing to make up.",
)
NOT_TO_MAKE_UP = declare(
    "day_not_to_make_up",
    Kind.INVALID,
    zh="只能补签今天之前、加入项目之后、且在可补签天数以内的日期，见 details。",
    en="Only a day before today, after you joined, and not too far back can be made up; see `details`.",
)
NO_CARD = declare(
    "no_make_up_card",
    Kind.CONFLICT,
    zh="没有可用的补签卡。连续签到可以获得补签卡。",
    en="You hold no make-up card. Streaks earn them.",
)
CARDS_OF_MONTH_USED = declare(
    "make_up_limit",
    Kind.CONFLICT,
    zh="本月补签次数已用完，下月 1 日恢复。",
    en="This month's make-ups are used up; on the 1st there are new ones.",
)


@dataclass(frozen=True, slots=True)
class MadeUp:
    """A day that was made up. ``fresh`` is False where it had been before."""

    day: date
    fresh: bool
    streak: CheckInStreak
    milestones: list[Reached]


def make_up(*, program_id: int, person_id: int, day: date, at: datetime) -> MadeUp:
    """Fill a missed day with a card. The same again is answered with the first.

    Raises NOT_A_MEMBER, NOT_TO_MAKE_UP, NOT_MISSED, NO_CARD, CARDS_OF_MONTH_USED.
    """
    funding.lock_wallets([(person_id, program_id)], at=at)
    today, here = clock.business_day(at), rules.in_force(program_id, at)
    standing = session().scalars(
        select(CheckIn).where(CheckIn.program_id == program_id, CheckIn.person_id == person_id, CheckIn.day == day)
    ).first()  # fmt: skip
    if standing is not None and standing.kind == "made_up":
        return MadeUp(day, False, recounting.streak_of(program_id, person_id), [])
    earliest = max(today - timedelta(days=here.makeup_days), _joined(program_id, person_id))
    if not earliest <= day < today:
        raise NOT_TO_MAKE_UP(earliest=earliest.isoformat(), latest=(today - timedelta(days=1)).isoformat())
    if standing is not None or day in frozen_days(
        program_id, since=day - timedelta(days=1), until=day + timedelta(days=1)
    ):
        raise NOT_MISSED(day=day.isoformat())
    _use_card(program_id, person_id, day, here, at)
    row = {"program_id": program_id, "person_id": person_id, "day": day, "kind": "made_up", "checked_at": at}
    connection().execute(insert(CheckIn).values(row))
    reached = recounting.recount(program_id=program_id, person_id=person_id, at=at)
    return MadeUp(day, True, recounting.streak_of(program_id, person_id), reached)


def used_this_month(program_id: int, person_id: int, at: datetime) -> int:
    """How many cards a person has used in the calendar month of ``at``."""
    month = clock.period("month", clock.business_day(at))
    query = text(
        "select count(*) from check_in_cards where program_id = :program and person_id = :person and kind = 'used'"
        " and at >= :starts and at < :ends"
    )
    values = {"program": program_id, "person": person_id, "starts": month.starts, "ends": month.ends}
    return int(connection().execute(query, values).scalar_one())


def _use_card(program_id: int, person_id: int, day: date, here: rules.Rules, at: datetime) -> None:
    if used_this_month(program_id, person_id, at) >= here.makeup_month:
        raise CARDS_OF_MONTH_USED(a_month=here.makeup_month)
    taken = run(
        "update check_in_streaks set cards = cards - 1"
        " where program_id = %(program)s and person_id = %(person)s and cards > 0 returning cards",
        {"program": program_id, "person": person_id},
    )
    if not taken:
        raise NO_CARD()
    row = {"program_id": program_id, "person_id": person_id, "kind": "used", "day": day, "at": at}
    connection().execute(insert(CheckInCard).values(row))


def _joined(program_id: int, person_id: int) -> date:
    found = membership(program_id, person_id)
    if found is None or found.state != "active" or found.joined_at is None:
        raise NOT_A_MEMBER()
    return clock.business_day(found.joined_at)
