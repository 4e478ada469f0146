"""A gathering that is over: minutes become attendances, meetings earn, who kept a place empty is a no-show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal

from sqlalchemy import Select, select

from app import scenarios
from app.db import run, session
from app.errors import NOT_FOUND
from app.gatherings import earning, signing, spans
from app.gatherings.attending import attendance, presence_minutes
from app.gatherings.earning import CITIZEN, SYSTEM, TENCENT, Earning
from app.gatherings.launching import hosts
from app.gatherings.models import Attendance, Gathering, GatheringMeeting, Presence, Signal, SignUp

GRACE = timedelta(minutes=15)
"""So long after the end, late signs of presence are waited for."""
FEWEST = 2
"""A meeting with fewer attendees is none."""


def due(*, at: datetime, limit: int = 50) -> list[int]:
    """Gatherings that are over and not settled yet."""
    query = select(Gathering.id).where(Gathering.state == "open", Gathering.ends_at <= at - GRACE)
    return list(session().scalars(query.order_by(Gathering.ends_at, Gathering.id).limit(limit)))


def settle(*, gathering_id: int, at: datetime) -> int:
    """Settle one; answers how many attended. Once it is settled (or called off), again changes nothing."""
    found = signing.locked(gathering_id)
    if found.state != "open" or found.ends_at > at:
        return 0
    if found.kind == "meeting":
        _meeting(found, at)
    elif found.attend_by == "minutes":
        _minutes(found, at)
    _no_shows(found, at)
    found.state, found.settled_at = "settled", at
    session().flush()
    rows = run("select count(distinct person_id) as n from gathering_attendances where gathering_id = %(id)s",
               {"id": gathering_id})  # fmt: skip
    return int(rows[0].n)


def close(*, gathering_id: int, person_id: int, at: datetime) -> Gathering:
    """A host ends the gathering now. One that is over already stays as it is. Raises NOT_FOUND for who is no host."""
    found = signing.locked(gathering_id)
    if person_id not in hosts(gathering_id):
        raise NOT_FOUND(gathering=str(gathering_id))
    if found.state == "open" and found.starts_at < at < found.ends_at:
        found.ends_at, found.closes_at = at, min(found.closes_at, at)
        found.opens_at = min(found.opens_at, found.closes_at - timedelta(seconds=1))
        session().flush()
    return found


@dataclass(frozen=True, slots=True)
class Attendee:
    """Who was at a meeting: for how long, and whether Tencent Meeting says so."""

    person_id: int
    minutes: int
    by_tencent: bool


def attendees(found: Gathering) -> list[Attendee]:
    """Everybody who was there for long enough, by person; sources of presence together, overlaps once."""
    window = {"starts": found.starts_at, "ends": found.ends_at}
    seen: dict[int, list[spans.Span]] = defaultdict(list)
    for kept in session().scalars(select(Attendance).where(Attendance.gathering_id == found.id)):
        seen[kept.person_id].append((kept.at, found.ends_at))
    for presence in session().scalars(select(Presence).where(Presence.gathering_id == found.id)):
        seen[presence.person_id].append((presence.began_at, presence.ended_at))
    signals: dict[int, list[tuple[str, datetime]]] = defaultdict(list)
    for signal in session().scalars(select(Signal).where(Signal.gathering_id == found.id)):
        signals[signal.person_id].append((signal.kind, signal.at))
    told = {person: spans.of_signals(heard, **window) for person, heard in signals.items()}
    people = []
    for person in sorted(seen.keys() | told.keys()):
        minutes = spans.minutes(spans.union([*seen.get(person, ()), *told.get(person, ())], **window))
        if minutes >= found.least_minutes:
            by_tencent = spans.minutes(told.get(person, ())) >= found.least_minutes
            people.append(Attendee(person, minutes, by_tencent))
    return people


def _meeting(found: Gathering, at: datetime) -> None:
    people = attendees(found)
    if len(people) < FEWEST:
        return
    meeting = session().get_one(GatheringMeeting, found.id)
    offered = {one.code for one in scenarios.listing(found.program_id)}
    trips = _trips(found.id)
    earnings = []
    for one in people:
        how = "tencent" if one.by_tencent else "minutes"
        kept, _ = attendance(found, one.person_id, how=how, at=at, minutes=one.minutes)
        kept.minutes = one.minutes
        for scenario, source, facts in _earned(meeting, one, trips):
            if scenario in offered:
                earnings.append(Earning(kept, scenario, source, facts, found.starts_at, found.ends_at))
    session().flush()
    earning.earn(found, earnings, at=at)


def _earned(
    meeting: GatheringMeeting, one: Attendee, trips: Mapping[int, Decimal]
) -> Iterator[tuple[str, str, dict[str, str | int]]]:
    """By methodology (methodologies.md 5.10, 5.11): an online meeting avoids only a declared trip; attendance alone
    earns credits; what the host declares for all (paper, water) is self-declared."""
    km = trips.get(one.person_id)
    if meeting.online and km is not None:
        hours = (Decimal(one.minutes) / 60).quantize(Decimal("0.0001"), rounding=ROUND_DOWN)
        source = TENCENT if one.by_tencent else SYSTEM
        yield "online-meeting", source, {"participants": 1, "round_trip_km": f"{km:f}", "hours": f"{hours:f}"}
    else:
        yield "attendance", SYSTEM, {"sessions": 1}
    if meeting.sheets:
        yield "paperless-office", CITIZEN, {"sheets": meeting.sheets}
    if meeting.no_bottled_water:
        yield "no-bottled-water", CITIZEN, {"bottles": 1}


def _trips(gathering_id: int) -> dict[int, Decimal]:
    query = select(SignUp.person_id, SignUp.round_trip_km).where(
        SignUp.gathering_id == gathering_id, SignUp.round_trip_km.is_not(None), SignUp.state != "cancelled"
    )
    return {row.person_id: Decimal(row.round_trip_km) for row in session().execute(query)}


def _minutes(found: Gathering, at: datetime) -> None:
    """An online event by minutes: who has a place (where one needs it) and was there long enough."""
    placed = set(session().scalars(_with_place(found.id))) if found.needs_sign_up else None
    earnings = []
    for person_id, minutes in sorted(presence_minutes(found, None).items()):
        if minutes < found.least_minutes or (placed is not None and person_id not in placed):
            continue
        kept, new = attendance(found, person_id, how="minutes", at=at, minutes=minutes)
        if new:
            earnings.append(Earning(kept, found.scenario, SYSTEM, found.facts, found.starts_at, found.ends_at))
    earning.earn(found, earnings, at=at)


def _with_place(gathering_id: int) -> Select[int]:
    return select(SignUp.person_id).where(SignUp.gathering_id == gathering_id, SignUp.state == "signed")


def _no_shows(found: Gathering, at: datetime) -> None:
    run(
        """
        update gathering_sign_ups s set changed_at = %(at)s,
          state = case when s.state = 'waiting' then 'cancelled'
                       when exists (select from gathering_attendances a
                                    where a.gathering_id = s.gathering_id and a.person_id = s.person_id)
                       then 'attended'
                       when s.person_id = %(host)s then 'cancelled'  -- showed the code to the others, and scanned none
                       else 'no_show' end
        where s.gathering_id = %(id)s and s.state in ('signed', 'waiting')
        """,
        {"id": found.id, "at": at, "host": found.host_id},
    )
