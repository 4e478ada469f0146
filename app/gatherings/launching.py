"""Set up a gathering from a definition (an operator's file, or a host's meeting), change it, call it off."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text

from app import audit, notices, programs, scenarios
from app.db import connection, run, session
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.gatherings import signing
from app.gatherings.models import Gathering, GatheringHost, GatheringPlace

LONGEST = {"on-site": timedelta(days=366), "online": timedelta(days=2), "meeting": timedelta(hours=12)}
_CODE = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")

GATHERING_INVALID = declare(
    "gathering_invalid",
    Kind.INVALID,
    zh="活动设置有误，请按 details 的说明修改。",
    en="The gathering's definition is not right; `details` says what to mend.",
)


@dataclass(frozen=True, slots=True)
class Place:
    """A place with a screen; a position only where one must stand near it."""

    code: str
    name: str
    name_en: str = ""
    lat_e6: int | None = None
    lng_e6: int | None = None
    radius_m: int | None = None


@dataclass(frozen=True, slots=True)
class Definition:
    """A gathering as its maker writes it; words as in ``models.Gathering``."""

    code: str
    kind: str
    name: str
    scenario: str
    starts_at: datetime
    ends_at: datetime
    name_en: str = ""
    text_zh: str = ""
    text_en: str = ""
    facts: Mapping[str, Any] = field(default_factory=lambda: {"sessions": 1})
    attend_by: str = "code"
    least_minutes: int = 15
    repeats: str = "once"
    needs_sign_up: bool = False
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    capacity: int | None = None
    audience_units: tuple[str, ...] | None = None
    audience_tags: tuple[str, ...] | None = None
    places: tuple[Place, ...] = ()


def launch(*, program_id: int, definition: Definition, by: str, at: datetime, host_id: int | None = None) -> Gathering:
    """A gathering of this code; one that stands is brought to the definition, and who signed up is told of new times.

    Raises GATHERING_INVALID, STATE_CONFLICT for one that is over or would take away places.
    """
    problems = _problems(program_id, definition, at)
    if problems:
        raise GATHERING_INVALID(problems=problems)
    query = select(Gathering).where(Gathering.program_id == program_id, Gathering.code == definition.code)
    found = session().scalars(query.with_for_update()).first()
    moved = found is not None and (found.starts_at, found.ends_at) != (definition.starts_at, definition.ends_at)
    if found is None:
        found = Gathering(program_id=program_id, code=definition.code, made_by=by, made_at=at, host_id=host_id)
        session().add(found)
    elif found.state != "open" or found.ends_at <= at:
        raise STATE_CONFLICT(state="over" if found.state == "open" else found.state)
    elif definition.capacity is not None and definition.capacity < found.signed:
        raise STATE_CONFLICT(signed=found.signed, capacity=definition.capacity)
    _bring(found, definition, program_id, at)
    session().flush()
    _places(found.id, definition.places or (Place("main", definition.name, definition.name_en),))
    audit.write(
        actor=by, action="gathering.launch", object_type="gathering", object_id=found.id, at=at, program_id=program_id,
        after={"code": found.code, "starts_at": found.starts_at.isoformat(), "ends_at": found.ends_at.isoformat()},
    )  # fmt: skip
    signing.fill(found, at=at)  # more places go to who waits, before anybody new
    if moved:
        _tell(found, "changed", "时间有变动，请查看", "has new times; please look", at)
    return found


def add_host(*, gathering_id: int, person_id: int, at: datetime) -> None:
    """Let a person open the organiser's screen. Raises NOT_FOUND for who is no member of the program."""
    found = gathering(gathering_id)
    if not programs.is_member(found.program_id, person_id):
        raise NOT_FOUND(person=str(person_id))
    run(
        "insert into gathering_hosts (gathering_id, person_id, added_at) values (%(g)s, %(p)s, %(at)s)"
        " on conflict do nothing",
        {"g": gathering_id, "p": person_id, "at": at},
    )


def cancel(*, gathering_id: int, by: str, reason: str, at: datetime) -> None:
    """Call it off: everybody who signed up or waits is told; nothing is earned, nobody is a no-show."""
    found = session().get(Gathering, gathering_id, with_for_update=True)
    if found is None:
        raise NOT_FOUND(gathering=str(gathering_id))
    if found.state != "open":
        raise STATE_CONFLICT(state=found.state)
    found.state, found.settled_at = "cancelled", at
    session().flush()
    audit.write(
        actor=by, action="gathering.cancel", object_type="gathering", object_id=found.id, at=at,
        program_id=found.program_id, reason=reason,
    )  # fmt: skip
    _tell(found, "cancelled", f"已取消：{reason}", f"is called off: {reason}", at)


def gathering(gathering_id: int) -> Gathering:
    """A gathering by id. Raises NOT_FOUND."""
    found = session().get(Gathering, gathering_id)
    if found is None:
        raise NOT_FOUND(gathering=str(gathering_id))
    return found


def by_code(program_id: int, code: str) -> Gathering:
    """A gathering by its code. Raises NOT_FOUND."""
    query = select(Gathering).where(Gathering.program_id == program_id, Gathering.code == code)
    found = session().scalars(query).first()
    if found is None:
        raise NOT_FOUND(gathering=code)
    return found


def hosts(gathering_id: int) -> set[int]:
    """Who may open the screen."""
    query = select(GatheringHost.person_id).where(GatheringHost.gathering_id == gathering_id)
    return set(session().scalars(query))


def _problems(program_id: int, definition: Definition, at: datetime) -> list[str]:
    found = []
    offered = {one.code: one for one in scenarios.listing(program_id)}
    if not _CODE.fullmatch(definition.code):
        found.append("code: lower-case letters, digits, hyphens, at most 40")
    if definition.kind not in LONGEST:
        found.append(f"kind: one of {', '.join(LONGEST)}")
    elif definition.ends_at - definition.starts_at > LONGEST[definition.kind]:
        found.append(f"ends_at: at most {LONGEST[definition.kind]} after starts_at")
    if definition.scenario not in offered or "system" not in offered[definition.scenario].source_kinds:
        found.append("scenario: one that the program offers and that takes source kind `system`")
    if not at < definition.ends_at or definition.ends_at <= definition.starts_at:
        found.append("ends_at: after starts_at, in the future")
    opens, closes = _window(definition, at)
    if not opens < closes <= definition.ends_at:
        found.append("closes_at: after opens_at, at most ends_at")
    if definition.attend_by not in ("code", "minutes") or definition.repeats not in ("once", "daily"):
        found.append("attend_by: code or minutes; repeats: once or daily")
    if definition.attend_by == "minutes" and definition.kind == "on-site":
        found.append("attend_by: minutes are counted online only")
    if not 1 <= definition.least_minutes <= 1440 or (definition.capacity is not None and definition.capacity < 1):
        found.append("least_minutes: 1 to 1440; capacity: at least 1")
    return found + _place_problems(definition)


def _place_problems(definition: Definition) -> list[str]:
    found = [
        f"place {place.code}: lat_e6, lng_e6 and radius_m belong together"
        for place in definition.places
        if len({place.lat_e6 is None, place.lng_e6 is None, place.radius_m is None}) > 1
    ]
    if len({place.code for place in definition.places}) < len(definition.places):
        found.append("places: each code once")
    return found


def _window(definition: Definition, at: datetime) -> tuple[datetime, datetime]:
    return definition.opens_at or min(at, definition.starts_at), definition.closes_at or definition.ends_at


def _bring(found: Gathering, definition: Definition, program_id: int, at: datetime) -> None:
    for name in ("kind", "name", "name_en", "text_zh", "text_en", "scenario", "attend_by", "least_minutes", "repeats",
                 "starts_at", "ends_at", "capacity"):  # fmt: skip
        setattr(found, name, getattr(definition, name))
    found.opens_at, found.closes_at = _window(definition, at)
    found.needs_sign_up = definition.needs_sign_up or definition.capacity is not None
    found.facts = dict(definition.facts)
    tags = definition.audience_tags
    found.audience_tags = None if tags is None else list(tags)
    units = definition.audience_units
    found.audience_units = None if units is None else [programs.org_unit(program_id, code).id for code in units]


def _places(gathering_id: int, places: tuple[Place, ...]) -> None:
    known = {
        one.code: one
        for one in session().scalars(select(GatheringPlace).where(GatheringPlace.gathering_id == gathering_id))
    }
    for place in places:
        kept = known.get(place.code) or GatheringPlace(gathering_id=gathering_id, code=place.code)
        kept.name, kept.name_en = place.name, place.name_en
        kept.lat_e6, kept.lng_e6, kept.radius_m = place.lat_e6, place.lng_e6, place.radius_m
        session().add(kept)
    session().flush()


def _tell(found: Gathering, what: str, zh: str, en: str, at: datetime) -> None:
    """Everybody who has a place or waits for one."""
    people = text(
        "select person_id from gathering_sign_ups where gathering_id = :id and state in ('signed', 'waiting')"
        " order by person_id"
    )
    for (person_id,) in connection().execute(people, {"id": found.id}).all():
        notices.tell(
            key=f"gathering:{found.id}:{what}:{person_id}:{at.isoformat()}", person_id=person_id,
            program_id=found.program_id, kind=f"gathering.{what}", zh=f"活动“{found.name}”{zh}。",
            en=f"“{found.name_en or found.name}” {en}.", at=at, details={"gathering_id": str(found.id)},
        )  # fmt: skip
