"""Sign up, wait in the queue, give a place back. The gathering's row is locked first, so places are exact."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any

from sqlalchemy import func, select

from app import notices
from app.db import run, session
from app.errors import NOT_FOUND, Kind, declare
from app.gatherings.models import Gathering, SignUp
from app.mall import audience
from app.programs import NOT_A_MEMBER

NO_SHOWS_MOST, NO_SHOWS_WITHIN = 3, timedelta(days=90)
PAUSE = timedelta(days=30)

SIGN_UP_CLOSED = declare(
    "sign_up_closed",
    Kind.CONFLICT,
    zh="现在不在报名时间内，报名时间见 details。",
    en="Signing up is not open now; `details` says when it is.",
)
GATHERING_OVER = declare(
    "gathering_over",
    Kind.CONFLICT,
    zh="活动已结束或已取消。",
    en="This gathering is over or was called off.",
)
GATHERING_NOT_FOR_YOU = declare(
    "gathering_not_for_you",
    Kind.NOT_ALLOWED,
    zh="该活动仅面向特定部门或标签的成员，您目前不在范围内。",
    en="This gathering is for members of certain departments or tags; at present you are not among them.",
)
NO_SHOW_PAUSE = declare(
    "no_show_pause",
    Kind.CONFLICT,
    zh="近 90 天内有三次报名未到，30 天内不能报名限额活动。下次不能参加时请提前取消，把名额留给他人。",
    en="You missed three gatherings you had signed up for within 90 days, so for 30 days you can't take limited "
    "places. Next time, cancel beforehand and somebody else can come.",
)


def sign_up(
    *, gathering_id: int, person_id: int, at: datetime, round_trip_km: Decimal | None = None
) -> tuple[SignUp, int]:
    """Take a place, or the next in the queue; answers the sign-up and the position in the queue (0: a place).

    The same again is answered with the first, its declared trip brought up to date. Raises NOT_FOUND, NOT_A_MEMBER,
    GATHERING_OVER, SIGN_UP_CLOSED, GATHERING_NOT_FOR_YOU, NO_SHOW_PAUSE.
    """
    found = locked(gathering_id)
    _may(found, person_id, at)
    query = select(SignUp).where(SignUp.gathering_id == gathering_id, SignUp.person_id == person_id)
    kept = session().scalars(query).first()
    if kept is None or kept.state == "cancelled":
        _open(found, person_id, at)
        kept = kept or SignUp(gathering_id=gathering_id, person_id=person_id)
        has_place = found.capacity is None or found.signed < found.capacity
        kept.state, kept.signed_at = ("signed" if has_place else "waiting"), at
        found.signed += int(has_place)
        session().add(kept)
    if round_trip_km is not None:
        kept.round_trip_km = round_trip_km.quantize(Decimal("0.01"), rounding=ROUND_DOWN)
    kept.changed_at = at
    session().flush()
    return kept, position(kept)


def cancel_sign_up(*, gathering_id: int, person_id: int, at: datetime) -> None:
    """Give a place back, until the gathering begins; the first in the queue gets it and is told. Twice is once.

    Raises NOT_FOUND, GATHERING_OVER once it has begun.
    """
    found = locked(gathering_id)
    query = select(SignUp).where(SignUp.gathering_id == gathering_id, SignUp.person_id == person_id)
    kept = session().scalars(query).first()
    if kept is None:
        raise NOT_FOUND(gathering=str(gathering_id))
    if kept.state == "cancelled":
        return
    if found.state != "open" or at >= found.starts_at:
        raise GATHERING_OVER()
    found.signed -= int(kept.state == "signed")
    kept.state, kept.changed_at = "cancelled", at
    session().flush()
    fill(found, at=at)


def fill(found: Gathering, *, at: datetime) -> int:
    """Give free places to the queue, first come first served; answers how many. The gathering's row is locked."""
    room = None if found.capacity is None else found.capacity - found.signed
    if room is not None and room <= 0:
        return 0
    query = select(SignUp).where(SignUp.gathering_id == found.id, SignUp.state == "waiting")
    moved = list(session().scalars(query.order_by(SignUp.signed_at, SignUp.id).limit(room)))
    for kept in moved:
        kept.state, kept.changed_at = "signed", at
        found.signed += 1
        notices.tell(
            key=f"gathering:{found.id}:place:{kept.person_id}:{at.isoformat()}", person_id=kept.person_id,
            program_id=found.program_id, kind="gathering.place", zh=f"活动“{found.name}”有名额了，已为您保留。",
            en=f"There is a place for you at “{found.name_en or found.name}”; it is yours.", at=at,
            details={"gathering_id": str(found.id)},
        )  # fmt: skip
    session().flush()
    return len(moved)


def locked(gathering_id: int) -> Gathering:
    """A gathering with its row locked. Raises NOT_FOUND."""
    found = session().get(Gathering, gathering_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NOT_FOUND(gathering=str(gathering_id))
    return found


def position(kept: SignUp) -> int:
    """How many have to move before this one has a place; 0 for who has one."""
    if kept.state != "waiting":
        return 0
    ahead = select(func.count()).where(
        SignUp.gathering_id == kept.gathering_id,
        SignUp.state == "waiting",
        (SignUp.signed_at < kept.signed_at) | ((SignUp.signed_at == kept.signed_at) & (SignUp.id < kept.id)),
    )
    return 1 + (session().scalar(ahead) or 0)


_STANDING = """
    select m.level, m.tags, u.path from memberships m left join org_units u on u.id = m.org_unit_id
    where m.program_id = %(program)s and m.person_id = %(person)s and m.state = 'active'
"""


def admit(found: Gathering, person_id: int) -> None:
    """Only members, and of those the audience. Raises NOT_A_MEMBER, GATHERING_NOT_FOR_YOU."""
    rows: list[Any] = run(_STANDING, {"program": found.program_id, "person": person_id})
    if not rows:
        raise NOT_A_MEMBER()
    who = audience.of(rows[0].level, rows[0].tags, rows[0].path)
    if found.audience_units is not None and not who.units.intersection(found.audience_units):
        raise GATHERING_NOT_FOR_YOU()
    if found.audience_tags is not None and not who.tags.intersection(found.audience_tags):
        raise GATHERING_NOT_FOR_YOU()


def _may(found: Gathering, person_id: int, at: datetime) -> None:
    admit(found, person_id)
    if found.state != "open" or at >= found.ends_at:
        raise GATHERING_OVER()


_NO_SHOWS = """
    select max(changed_at) as last from (
      select s.changed_at from gathering_sign_ups s
      where s.person_id = %(person)s and s.state = 'no_show' and s.changed_at > %(since)s
    ) missed having count(*) >= %(most)s
"""


def _open(found: Gathering, person_id: int, at: datetime) -> None:
    if not found.opens_at <= at < found.closes_at:
        raise SIGN_UP_CLOSED(opens_at=found.opens_at.isoformat(), closes_at=found.closes_at.isoformat())
    if found.capacity is None:
        return
    rows = run(_NO_SHOWS, {"person": person_id, "since": at - NO_SHOWS_WITHIN, "most": NO_SHOWS_MOST})
    if rows and at < rows[0].last + PAUSE:
        raise NO_SHOW_PAUSE(until=(rows[0].last + PAUSE).isoformat())
