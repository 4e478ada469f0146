"""Green meetings: a host registers one, Tencent Meeting tells who was there, a report says what it avoided."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from app import audit, inbox, sources, vault
from app.db import connection, read, run, session
from app.errors import IDEMPOTENCY_CONFLICT, NOT_FOUND, Kind, declare
from app.gatherings import launching, signing, tencent
from app.gatherings.earning import TENCENT, source_of
from app.gatherings.launching import Definition, Place
from app.gatherings.models import Gathering, GatheringMeeting, MeetingLink, Signal

AHEAD, BEHIND = timedelta(days=60), timedelta(hours=1)
LEAST = timedelta(minutes=15)  # meetings under a quarter of an hour are not counted (data-sources.md 4)
A_DAY = 5
MAX_SHEETS = 30
FEWEST_SHOWN = 5
SEALED = "tencent-meeting"
SIGNALS = {tencent.JOINED: "joined", tencent.LEFT: "left"}

MEETING_INVALID = declare(
    "meeting_invalid",
    Kind.INVALID,
    zh="会议时间应从一小时前到 60 天内，时长 15 分钟到 12 小时，且至少是线上、无纸或不用瓶装水之一。",
    en="A meeting begins between an hour ago and 60 days from now, takes 15 minutes to 12 hours, and is at least one "
    "of online, paperless or without bottled water.",
)
MEETINGS_A_DAY = declare(
    "meetings_a_day",
    Kind.CONFLICT,
    zh="每人每天最多登记 5 场会议。",
    en="One person registers at most five meetings a day.",
)


@dataclass(frozen=True, slots=True)
class Wish:
    """A meeting as its host registers it. ``sheets``: what nobody had to print, each."""

    name: str
    starts_at: datetime
    ends_at: datetime
    online: bool
    sheets: int = 0
    no_bottled_water: bool = False
    meeting_code: str | None = None


def register(*, program_id: int, person_id: int, client_ref: str, wish: Wish, at: datetime) -> tuple[Gathering, bool]:
    """A meeting with its host, who has a place in it; answers whether it is new (the same ``client_ref`` is the same).

    Raises IDEMPOTENCY_CONFLICT for other content under it, MEETING_INVALID, MEETINGS_A_DAY, NOT_A_MEMBER,
    GATHERING_INVALID where the program has no `attendance`.
    """
    code = f"m-{person_id}-{vault.keyed_hash('meeting-ref', f'{person_id}:{client_ref}').hex()[:12]}"
    standing = session().scalars(
        select(Gathering).where(Gathering.program_id == program_id, Gathering.code == code)
    ).first()  # fmt: skip
    digest = audit.digest({name: str(value) for name, value in asdict(wish).items()})
    if standing is not None:
        if session().get_one(GatheringMeeting, standing.id).wish_hash != digest:
            raise IDEMPOTENCY_CONFLICT(client_ref=client_ref)
        return standing, False
    span = wish.ends_at - wish.starts_at
    says = wish.online or wish.sheets or wish.no_bottled_water
    if not (at - BEHIND <= wish.starts_at <= at + AHEAD and LEAST <= span <= timedelta(hours=12) and says):
        raise MEETING_INVALID()
    today = select(func.count()).where(Gathering.host_id == person_id, Gathering.made_at > at - timedelta(days=1))
    if (session().scalar(today) or 0) >= A_DAY:
        raise MEETINGS_A_DAY()
    definition = Definition(
        code=code, kind="meeting", name=wish.name, scenario="attendance", starts_at=wish.starts_at,
        ends_at=wish.ends_at, places=(Place("screen", wish.name),),
    )  # fmt: skip
    made = launching.launch(
        program_id=program_id, definition=definition, by=f"person:{person_id}", at=at, host_id=person_id
    )  # fmt: skip
    session().add(
        GatheringMeeting(gathering_id=made.id, online=wish.online, sheets=wish.sheets,
                         no_bottled_water=wish.no_bottled_water, meeting_code=wish.meeting_code, wish_hash=digest)
    )  # fmt: skip
    session().flush()
    launching.add_host(gathering_id=made.id, person_id=person_id, at=at)
    signing.sign_up(gathering_id=made.id, person_id=person_id, at=at)
    return made, True


# -- Tencent Meeting


def link(*, program_id: int, token: str, aes_key: str | None, by: str, at: datetime) -> None:
    """Keep the webhook's token (and key) of a program, sealed; a second time replaces the first."""
    row = {
        "token_sealed": vault.encrypt(SEALED, token),
        "aes_key_sealed": vault.encrypt(SEALED, aes_key) if aes_key else None,
        "made_by": by,
        "made_at": at,
    }
    kept = upsert(MeetingLink).values(program_id=program_id, **row)
    connection().execute(kept.on_conflict_do_update(index_elements=["program_id"], set_=row))
    source_of(program_id, TENCENT)
    audit.write(
        actor=by, action="meeting.link", object_type="program", object_id=program_id, at=at, program_id=program_id
    )  # fmt: skip


def link_of(program_id: int) -> tuple[str, str | None]:
    """The token and key of a program's webhook. Raises NOT_FOUND where none is set."""
    found = session().get(MeetingLink, program_id)
    if found is None:
        raise NOT_FOUND(link=str(program_id))
    key = found.aes_key_sealed
    return vault.decrypt(SEALED, found.token_sealed), None if key is None else vault.decrypt(SEALED, key)


def heard(*, program_id: int, content: bytes, at: datetime) -> int:
    """Apply a verified message once, by its ``unique_sequence``; answers how many signals it gave. Raises Unreadable.

    Who has bound no account is not known to us: nothing is kept of them.
    """
    found = list(tencent.events(content))
    if not found or not inbox.keep(
        origin=f"tencent-meeting:{program_id}", message_key=found[0].sequence, body=b"", at=at
    ):
        return 0
    kept = 0
    for event in found:
        meeting = _meeting(program_id, event)
        if meeting is None:
            continue
        if event.name == tencent.ENDED:
            _ended(meeting, event.at)
        elif event.name in SIGNALS and event.user is not None:
            kept += _signal(meeting, event)
    return kept


def _meeting(program_id: int, event: tencent.Event) -> Gathering | None:
    """The registered meeting of this number that an event belongs to: the one nearest in time."""
    around = timedelta(hours=2)
    query = (
        select(Gathering)
        .join(GatheringMeeting, GatheringMeeting.gathering_id == Gathering.id)
        .where(
            Gathering.program_id == program_id,
            GatheringMeeting.meeting_code == event.meeting_code,
            Gathering.state == "open",
            Gathering.starts_at <= event.at + around,
            Gathering.ends_at >= event.at - around,
        )
        .order_by(func.abs(func.extract("epoch", Gathering.starts_at - event.at)), Gathering.id)
    )
    return session().scalars(query.limit(1)).first()


def _ended(meeting: Gathering, when: datetime) -> None:
    found = signing.locked(meeting.id)
    if found.state == "open" and found.starts_at < when < found.ends_at:
        found.ends_at, found.closes_at = when, min(found.closes_at, when)
        session().flush()


def _signal(meeting: Gathering, event: tencent.Event) -> int:
    source_id = source_of(meeting.program_id, TENCENT)
    person_id = sources.holder_of(source_id, event.user or "", event.at)
    if person_id is None:
        return 0
    row = {"gathering_id": meeting.id, "person_id": person_id, "kind": SIGNALS[event.name], "at": event.at}
    connection().execute(insert(Signal).values(row))
    return 1


# -- what it came to


@dataclass(frozen=True, slots=True)
class Report:
    """A meeting in figures. What acts avoided and earned is None while fewer than five were there: nobody's own acts
    can be read from it."""

    gathering: Gathering
    meeting: GatheringMeeting | None
    signed: int
    attended: int
    person_minutes: int
    acts: list[dict[str, Any]]


_ACTS = """
    select g.scenario, count(*) as acts, count(g.record_id) as recorded, sum(coalesce(d.counted_mg, 0))::bigint as mg,
           sum(coalesce((select sum(w.credits) from awards w where w.record_id = g.record_id), 0))::bigint as credits
    from gathering_acts g join gathering_attendances a on a.id = g.attendance_id
    left join records r on r.id = g.record_id
    left join reductions d on d.record_id = coalesce(r.primary_id, r.id) and d.reversed_at is null
    where a.gathering_id = %(id)s group by g.scenario order by g.scenario
"""
_THERE = """
    select count(distinct person_id) as attended, coalesce(sum(minutes), 0)::bigint as minutes,
           (select count(*) from gathering_sign_ups s
            where s.gathering_id = %(id)s and s.state <> 'cancelled') as signed
    from gathering_attendances where gathering_id = %(id)s
"""


def report(*, gathering_id: int, person_id: int | None = None) -> Report:
    """The report, for a host (or, without a person, for operators). Raises NOT_FOUND for who is no host."""
    found = launching.gathering(gathering_id)
    if person_id is not None and person_id not in launching.hosts(gathering_id):
        raise NOT_FOUND(gathering=str(gathering_id))
    there = run(_THERE, {"id": gathering_id})[0]
    hidden = there.attended < FEWEST_SHOWN
    acts = [
        {"scenario": row.scenario, "acts": row.acts, "recorded": row.recorded,
         "mg": None if hidden or row.acts < FEWEST_SHOWN else row.mg,
         "credits": None if hidden or row.acts < FEWEST_SHOWN else row.credits}
        for row in run(_ACTS, {"id": gathering_id})
    ]  # fmt: skip
    meeting = session().get(GatheringMeeting, gathering_id)
    return Report(found, meeting, there.signed, there.attended, there.minutes, acts)


_OFFICE = """
    select u.code, u.name, u.name_en, count(distinct r.person_id) as people, count(*) as acts,
           sum(coalesce(d.counted_mg, 0))::bigint as mg
    from records r
    join scenarios s on s.program_id = r.program_id and s.id = r.scenario_id
    join org_units u on u.id = r.org_unit_id
    left join reductions d on d.record_id = coalesce(r.primary_id, r.id) and d.reversed_at is null
    where r.program_id = %(program)s and r.state in ('counted', 'mirrored')
      and r.local_date >= %(first)s and r.local_date <= %(last)s
      and s.methodology in ('paperless-office', 'online-meeting', 'attendance', 'no-bottled-water')
    group by u.code, u.name, u.name_en order by u.code
"""


def office_by_unit(*, program_id: int, first: Any, last: Any) -> list[dict[str, Any]]:
    """Office acts of a span of days by department; below five persons there is no figure.

    Where exactly one department would be hidden, the next smallest is too: nobody subtracts it from the total.
    """
    rows = read(_OFFICE, {"program": program_id, "first": first, "last": last})
    small = {row.code for row in rows if row.people < FEWEST_SHOWN}
    if len(small) == 1 and len(rows) > 1:
        small.add(min((row for row in rows if row.code not in small), key=lambda row: (row.people, row.code)).code)
    return [
        {"code": row.code, "name": row.name, "name_en": row.name_en,
         **{key: None if row.code in small else getattr(row, key) for key in ("people", "acts", "mg")}}
        for row in rows
    ]  # fmt: skip
