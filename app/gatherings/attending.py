"""Attendance: by the organiser's rotating code, or by minutes of presence."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app import clock
from app.db import connection, run, session
from app.errors import Kind, declare
from app.gatherings import codes, earning, signing
from app.gatherings.launching import gathering
from app.gatherings.models import Attendance, Gathering, GatheringPlace, SignUp
from app.gatherings.signing import GATHERING_OVER
from app.green import VENUE_PLACE_NEEDED, VENUE_TOO_FAR
from app.green.venues import distance_m
from app.people import consents
from app.records import Taken

DOORS = timedelta(minutes=30)
"""A code counts from half an hour before the beginning."""
BEAT_WITHIN = timedelta(seconds=90)
_TYPED = re.compile(r"[0-9]{8}", re.ASCII)

CODE_UNKNOWN = declare(
    "gathering_code_unknown",
    Kind.INVALID,
    zh="这不是本平台的现场签到码，或输入有误。请扫描主办方屏幕上的码。",
    en="This is no on-site code of ours, or it was mistyped. Scan the code on the organiser's screen.",
)
CODE_STALE = declare(
    "gathering_code_stale",
    Kind.CONFLICT,
    zh="签到码已过期：每 30 秒更换一次，转发或拍照的码不能使用。请到现场扫描屏幕上的新码。",
    en="This code is old: it changes every 30 seconds, so a forwarded one or a photo doesn't count. "
    "Scan the one on the screen now.",
)
CODE_ELSEWHERE = declare(
    "gathering_code_elsewhere",
    Kind.CONFLICT,
    zh="这是另一场活动的签到码，见 details。",
    en="This is the code of another gathering; see `details`.",
)
NOT_BEGUN = declare(
    "gathering_not_begun",
    Kind.CONFLICT,
    zh="签到还没有开始，开始时间见 details。",
    en="Attendance is not open yet; `details` says when.",
)
SIGN_UP_NEEDED = declare(
    "sign_up_needed",
    Kind.CONFLICT,
    zh="参加这场活动需要先报名并有名额。",
    en="This gathering needs a sign-up with a place.",
)


@dataclass(frozen=True, slots=True)
class Attended:
    """An attendance; ``fresh`` is False where it stood already. ``taken`` is what it earned at once, if anything:
    meetings and events by minutes earn when they are over."""

    gathering: Gathering
    place: GatheringPlace | None
    attendance: Attendance
    fresh: bool
    taken: Taken | None


def scan(
    *,
    code: str,
    person_id: int,
    at: datetime,
    gathering_id: int | None = None,
    position: tuple[float, float] | None = None,
) -> Attended:
    """Attend by the organiser's code, scanned or (with ``gathering_id``) typed. The position is judged and forgotten.

    Raises CODE_UNKNOWN, CODE_STALE, CODE_ELSEWHERE, NOT_BEGUN, GATHERING_OVER, SIGN_UP_NEEDED, NOT_A_MEMBER,
    GATHERING_NOT_FOR_YOU, VENUE_PLACE_NEEDED, VENUE_TOO_FAR, CONSENT_REQUIRED, and what ``records.take`` refuses.
    """
    place, shown_at, how = _recognised(code.strip(), gathering_id, at)
    found = gathering(place.gathering_id)
    if gathering_id is not None and found.id != gathering_id:
        raise CODE_ELSEWHERE(gathering=found.name, place=place.name)
    if not codes.counts(shown_at, at):
        raise CODE_STALE(seconds=int((at - shown_at).total_seconds()), changes_every=codes.STEP_SECONDS)
    _stands(found, at)
    signing.admit(found, person_id)
    _near(place, person_id, position)
    _signed(found, person_id, at)
    return _attend(found, place, person_id, how, at)


def beat(*, gathering_id: int, person_id: int, at: datetime) -> int:
    """The person's applet says that they are there; answers the minutes so far. Two devices count once.

    Raises NOT_FOUND, NOT_BEGUN, GATHERING_OVER, SIGN_UP_NEEDED, NOT_A_MEMBER, GATHERING_NOT_FOR_YOU.
    """
    found = gathering(gathering_id)
    _stands(found, at)
    signing.admit(found, person_id)
    _signed(found, person_id, at)
    values = {"gathering": gathering_id, "person": person_id, "at": at, "since": at - BEAT_WITHIN}
    run(_BEAT, values)
    return presence_minutes(found, [person_id], until=at).get(person_id, 0)


_BEAT = """
    with going as (
      select id from gathering_presences where gathering_id = %(gathering)s and person_id = %(person)s
        and ended_at >= %(since)s order by ended_at desc limit 1 for update
    ), longer as (
      update gathering_presences p set ended_at = greatest(p.ended_at, %(at)s) from going where p.id = going.id
      returning p.id
    )
    insert into gathering_presences (gathering_id, person_id, began_at, ended_at)
    select %(gathering)s, %(person)s, %(at)s, %(at)s where not exists (select from longer)
"""
_SPANS = """
    select p.person_id, sum(extract(epoch from upper(s.span) - lower(s.span)))::bigint / 60 as minutes
    from (select person_id, range_agg(tstzrange(greatest(began_at, %(starts)s), least(ended_at, %(ends)s), '[]'))
                   as spans
          from gathering_presences
          where gathering_id = %(gathering)s
            and (%(people)s::bigint[] is null or person_id = any (%(people)s::bigint[]))
            and began_at <= %(ends)s and ended_at >= %(starts)s
          group by person_id) p
    cross join lateral unnest(p.spans) as s (span)
    group by p.person_id
"""


def presence_minutes(found: Gathering, people: list[int] | None, *, until: datetime | None = None) -> dict[int, int]:
    """Whole minutes that persons were present within the gathering's times; overlapping spans count once."""
    ends = found.ends_at if until is None else min(until, found.ends_at)
    values = {"gathering": found.id, "people": people, "starts": found.starts_at, "ends": ends}
    return {row.person_id: int(row.minutes) for row in run(_SPANS, values)}


def attendance(found: Gathering, person_id: int, *, how: str, at: datetime, place_id: int | None = None,
               minutes: int | None = None) -> tuple[Attendance, bool]:  # fmt: skip
    """Note that a person was there; answers whether it is new. Two at once: the second waits and is answered."""
    day = clock.business_day(at if found.repeats == "daily" else found.starts_at)
    row = {"gathering_id": found.id, "person_id": person_id, "day": day, "how": how, "at": at,
           "place_id": place_id, "minutes": minutes}  # fmt: skip
    made = insert(Attendance).values(row).on_conflict_do_nothing().returning(Attendance.id)
    new = connection().execute(made).scalar_one_or_none() is not None
    query = select(Attendance).where(
        Attendance.gathering_id == found.id, Attendance.person_id == person_id, Attendance.day == day
    )
    return session().scalars(query).one(), new


def _attend(found: Gathering, place: GatheringPlace, person_id: int, how: str, at: datetime) -> Attended:
    kept, new = attendance(found, person_id, how=how, at=at, place_id=place.id)
    if not new or found.kind == "meeting":
        return Attended(found, place, kept, new, earning.earned(kept.id))
    earned = earning.Earning(kept, found.scenario, earning.SYSTEM, found.facts, at, at)
    taken = earning.earn(found, [earned], at=at)[0]
    if taken.refusal is not None:
        raise taken.refusal
    return Attended(found, place, kept, True, taken)


def _recognised(code: str, gathering_id: int | None, at: datetime) -> tuple[GatheringPlace, datetime, str]:
    """The place of a code, when it first stood on the screen, and how it came. Raises CODE_UNKNOWN."""
    if gathering_id is not None and _TYPED.fullmatch(code):
        return _typed(code, gathering_id, at)
    seen = codes.read(code)
    place = session().get(GatheringPlace, seen.place_id) if seen else None
    if seen is None or place is None or place.gathering_id != seen.gathering_id:
        raise CODE_UNKNOWN()
    return place, seen.shown_at, "code"


def _typed(code: str, gathering_id: int, at: datetime) -> tuple[GatheringPlace, datetime, str]:
    """The newest step of any place of the gathering whose digits these are."""
    places = list(session().scalars(select(GatheringPlace).where(GatheringPlace.gathering_id == gathering_id)))
    step = codes.step_of(at)
    for back in range(-1, codes.TYPED_MEMORY + 1):
        for place in places:
            if hmac.compare_digest(codes.typed_of(gathering_id, place.id, step - back), code):
                shown = at.fromtimestamp((step - back) * codes.STEP_SECONDS, at.tzinfo)
                return place, shown, "typed"
    raise CODE_UNKNOWN()


def _stands(found: Gathering, at: datetime) -> None:
    if found.state != "open" or at >= found.ends_at:
        raise GATHERING_OVER(ended_at=found.ends_at.isoformat())
    if at < found.starts_at - DOORS:
        raise NOT_BEGUN(opens_at=(found.starts_at - DOORS).isoformat())


def _signed(found: Gathering, person_id: int, at: datetime) -> None:
    if not found.needs_sign_up:
        return
    query = select(SignUp.state).where(SignUp.gathering_id == found.id, SignUp.person_id == person_id)
    if session().scalar(query) not in ("signed", "attended"):
        raise SIGN_UP_NEEDED()


def _near(place: GatheringPlace, person_id: int, position: tuple[float, float] | None) -> None:
    if place.lat_e6 is None or place.lng_e6 is None or place.radius_m is None:
        return
    if position is None:
        raise VENUE_PLACE_NEEDED()
    consents.require(person_id, "location")
    if distance_m((place.lat_e6 / 1e6, place.lng_e6 / 1e6), position) > place.radius_m:
        raise VENUE_TOO_FAR()
