"""Reads of programs: who they are, their org-units, and who belonged to which at an instant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text

from app.db import connection, read, session
from app.errors import NOT_FOUND
from app.memo import remember
from app.programs.models import Membership, OrgUnit, Program


@dataclass(frozen=True, slots=True)
class Place:
    """Where a person stands: a program, the org-unit in it, and the person's own order of programs."""

    program_id: int
    org_unit_id: int | None
    rank: int


def find(code: str) -> Program | None:
    return session().scalars(select(Program).where(Program.code == code)).first()


def by_code(code: str) -> Program:
    """The program of this code. Raises NOT_FOUND."""
    found = find(code)
    if found is None:
        raise NOT_FOUND(program=code)
    return found


@dataclass(frozen=True, slots=True)
class Known:
    """What a hot path needs of a program."""

    id: int
    code: str
    kind: str
    name: str
    name_en: str
    state: str


_KNOWN = "select id, code, kind, name, name_en, state from programs where {} = %(key)s"


def known(code: str) -> Known:
    """The program of this code as a hot path needs it, remembered for a moment. Raises NOT_FOUND."""
    return remember(("program", code), lambda: _known("code", code))


def known_by_id(program_id: int) -> Known:
    """The same by id. Raises NOT_FOUND."""
    return remember(("program", program_id), lambda: _known("id", program_id))


def _known(column: str, key: str | int) -> Known:
    rows = read(_KNOWN.format(column), {"key": key})
    if not rows:
        raise NOT_FOUND(program=str(key))
    return Known(**rows[0]._asdict())


def listed(*, after: int | None, limit: int) -> list[Program]:
    """Active programs in the order of their making, beyond the id ``after``."""
    query = select(Program).where(Program.state == "active").order_by(Program.id).limit(limit)
    return list(session().scalars(query if after is None else query.where(Program.id > after)))


def find_org_unit(program_id: int, code: str) -> OrgUnit | None:
    query = select(OrgUnit).where(OrgUnit.program_id == program_id, OrgUnit.code == code)
    return session().scalars(query).first()


def org_unit(program_id: int, code: str) -> OrgUnit:
    """The org-unit of this code. Raises NOT_FOUND."""
    found = find_org_unit(program_id, code)
    if found is None:
        raise NOT_FOUND(org_unit=code)
    return found


def org_unit_by_id(program_id: int, unit_id: int) -> OrgUnit:
    """The org-unit of this id in this program. Raises NOT_FOUND."""
    found = session().get(OrgUnit, unit_id)
    if found is None or found.program_id != program_id:
        raise NOT_FOUND(org_unit=str(unit_id))
    return found


def org_units(program_id: int) -> list[OrgUnit]:
    """The tree, parents before children."""
    query = select(OrgUnit).where(OrgUnit.program_id == program_id)
    return list(session().scalars(query.order_by(func.length(OrgUnit.path), OrgUnit.path)))


def member_count(program_id: int) -> int:
    query = select(func.count()).where(Membership.program_id == program_id, Membership.state == "active")
    return session().scalar(query) or 0


def membership(program_id: int, person_id: int) -> Membership | None:
    query = select(Membership).where(Membership.program_id == program_id, Membership.person_id == person_id)
    return session().scalars(query).first()


def memberships_of(person_id: int) -> list[tuple[Membership, Program]]:
    """A person's memberships that are active or wait for approval, in the person's order."""
    query = (
        select(Membership, Program)
        .join(Program, Program.id == Membership.program_id)
        .where(Membership.person_id == person_id, Membership.state.in_(("active", "pending")))
        .order_by(Membership.rank, Membership.id)
    )
    return [(member, program) for member, program in session().execute(query)]


_MEMBERSHIPS_SHOWN = (
    "select p.id, p.code, p.name, p.name_en, p.kind, m.state, m.joined_at, u.name as unit, u.name_en as unit_en,"
    " c.text_version as agreed_terms"
    " from memberships m join programs p on p.id = m.program_id left join org_units u on u.id = m.org_unit_id"
    " left join consents c on c.person_id = m.person_id and c.program_id = p.id and c.purpose = 'terms'"
    " and c.withdrawn_at is null"
    " where m.person_id = %(person_id)s and m.state in ('active', 'pending') order by m.rank, m.id"
)


def memberships_shown(person_id: int) -> list[Any]:
    """A person's memberships in their order, with the names of program and org-unit and the terms agreed to."""
    return read(_MEMBERSHIPS_SHOWN, {"person_id": person_id})


def is_member(program_id: int, person_id: int) -> bool:
    """Whether a person belongs to a program, as it was a moment ago: for looking, not for rights that move things."""
    query = "select 1 from memberships where program_id = %(p)s and person_id = %(m)s and state = 'active'"
    return remember(("member", program_id, person_id), lambda: bool(read(query, {"p": program_id, "m": person_id})))


def units_of(program_id: int, person_id: int) -> list[int]:
    """The org-units that a person belongs to in a program, the smallest first; as it was a moment ago."""
    return remember(("units of", program_id, person_id), lambda: _units_of(program_id, person_id))


def _units_of(program_id: int, person_id: int) -> list[int]:
    query = (
        "select u.path from memberships m join org_units u on u.id = m.org_unit_id"
        " where m.program_id = %(p)s and m.person_id = %(m)s and m.state = 'active'"
    )
    rows = read(query, {"p": program_id, "m": person_id})
    return [int(step) for step in reversed(rows[0].path.strip("/").split("/"))] if rows else []


_MEMBERS = """
    select m.person_id from memberships m join org_units u on u.id = m.org_unit_id
    join org_units top on top.program_id = m.program_id and top.code = %(unit)s
    where m.program_id = %(program)s and m.state = 'active' and u.path like top.path || '%%' order by m.person_id
"""


def members_of_unit(program_id: int, code: str) -> list[int]:
    """Who belongs to an org-unit or one below it, by id. Raises NOT_FOUND for a code that is none."""
    org_unit(program_id, code)
    return [row.person_id for row in read(_MEMBERS, {"program": program_id, "unit": code})]


_PLACES = text(
    "select m.person_id, m.program_id, m.org_unit_id, m.rank from memberships m join programs p on p.id = m.program_id"
    " where m.person_id = any(:ids) and m.joined_at <= :at and (m.left_at is null or m.left_at > :at)"
    " and m.state in ('active', 'left') and (p.retired_at is null or p.retired_at > :at)"
    " order by m.person_id, m.rank, m.id"
)


def places_at(person_ids: Iterable[int], at: datetime) -> dict[int, list[Place]]:
    """For many persons, the programs they belonged to at an instant, in each person's own order: one statement."""
    found: dict[int, list[Place]] = {}
    for person_id, program_id, unit, rank in connection().execute(_PLACES, {"ids": list(person_ids), "at": at}):
        found.setdefault(person_id, []).append(Place(program_id, unit, rank))
    return found


def places_of(person_id: int, at: datetime) -> list[Place]:
    """The programs one person belonged to at an instant, in the person's own order."""
    return places_at([person_id], at).get(person_id, [])
