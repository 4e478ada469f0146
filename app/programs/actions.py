"""Programs made without a developer: from a template or a copy; their org-units, invitations and rosters; their end."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app import audit, vault
from app.clock import business_day
from app.db import connection, session
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.programs import queries, terms
from app.programs.models import Invitation, OrgUnit, Program, RosterEntry, Terms
from app.programs.templates import ScenarioDraft, Template

CODE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
JOINING = ("open", "invitation", "roster", "approval")

PROGRAM_EXISTS = declare(
    "program_exists",
    Kind.CONFLICT,
    zh="该项目代码已被使用，请换一个代码。",
    en="A program has this code already. Choose another.",
)


@dataclass(frozen=True, slots=True)
class Created:
    """A new program, its terms, and the scenarios that its template offers (made by ``scenarios``, one floor up)."""

    program: Program
    terms: Terms
    scenarios: tuple[ScenarioDraft, ...]


def create(
    *,
    code: str,
    name: str,
    region: str,
    template: Template,
    actor: str,
    at: datetime,
    name_en: str = "",
    starts_on: date | None = None,
    joining: str | None = None,
    demo: bool = False,
) -> Created:
    """A program from a template. ``region`` is as methods name it (``CN-SC``). Raises PROGRAM_EXISTS."""
    if queries.find(code) is not None:
        raise PROGRAM_EXISTS(program=code)
    begins = starts_on or business_day(at)
    program = Program(
        code=code,
        kind=template.kind,
        name=name,
        name_en=name_en or name,
        region=region,
        starts_on=begins,
        state="active",
        joining=joining or template.joining,
        demo=demo,
        intro=template.intro,
        intro_en=template.intro_en,
    )
    session().add(program)
    session().flush()
    promised = terms.first(program=program, draft=template.terms, at=at)
    _audit(program, actor, "program.create", at, {"code": code, "region": region, "starts_on": begins.isoformat()})
    return Created(program, promised, template.scenarios)


def template_of(program: Program, scenarios: Iterable[ScenarioDraft], at: datetime) -> Template:
    """A living program as a template for another. Its scenarios are handed in by ``scenarios``, one floor up."""
    return Template(
        kind=program.kind,
        joining=program.joining,
        intro=program.intro,
        intro_en=program.intro_en,
        terms=terms.draft_of(terms.in_force(program.id, at)),
        scenarios=tuple(scenarios),
    )


def retire(*, program: Program, actor: str, reason: str, at: datetime) -> None:
    """End a program: nobody joins, nothing is taken in any more; balances, codes and statements stand."""
    if program.state == "retired":
        raise STATE_CONFLICT(state="retired")
    program.state, program.retired_at = "retired", at
    _audit(program, actor, "program.retire", at, {"code": program.code}, reason)


def add_org_unit(
    *, program_id: int, code: str, name: str, kind: str, parent: str | None = None, name_en: str = ""
) -> OrgUnit:
    """The org-unit of this code, made or renamed. ``parent`` is a code. Raises NOT_FOUND for an unknown parent.

    A unit keeps its place: moving one would move its people's acts on past boards.
    """
    above = None if parent is None else queries.org_unit(program_id, parent)
    found = queries.find_org_unit(program_id, code)
    if found is not None:
        if found.parent_id != (above.id if above else None):
            raise STATE_CONFLICT(org_unit=code, state="it has another parent")
        found.name, found.name_en, found.kind = name, name_en, kind
        return found
    unit = OrgUnit(
        program_id=program_id,
        parent_id=above.id if above else None,
        kind=kind,
        code=code,
        name=name,
        name_en=name_en,
        path="/",
    )
    session().add(unit)
    session().flush()
    unit.path = f"{above.path if above else '/'}{unit.id}/"
    return unit


def add_org_units(*, program_id: int, rows: Iterable[Mapping[str, Any]]) -> int:
    """Many org-units, parents before children; each row has code, name, kind, and may have parent and name_en."""
    count = 0
    for row in rows:
        count += 1
        add_org_unit(
            program_id=program_id,
            code=row["code"],
            name=row["name"],
            kind=row["kind"],
            parent=row.get("parent") or None,
            name_en=row.get("name_en") or "",
        )
    return count


def invite(
    *, program_id: int, at: datetime, uses: int, valid_for: timedelta, org_unit: str | None = None
) -> Invitation:
    """A fresh invitation code: ten characters that are hard to guess and easy to read out."""
    unit = None if org_unit is None else queries.org_unit(program_id, org_unit)
    code = "".join(secrets.choice(CODE_ALPHABET) for _ in range(10))
    made = Invitation(
        program_id=program_id,
        org_unit_id=unit.id if unit else None,
        code=code,
        uses_left=uses,
        expires_at=at + valid_for,
    )
    session().add(made)
    session().flush()
    return made


def assign_app(*, program: Program, appid: str | None, actor: str, at: datetime) -> None:
    """Let a program live in a mini-program of its own, or (None) in the main one."""
    program.wechat_appid = appid
    audit.write(
        actor=actor,
        action="program.assign_app",
        object_type="program",
        object_id=program.id,
        at=at,
        program_id=program.id,
        after={"appid": appid},
    )


def roster_hash(program_id: int, kind: str, value: str) -> bytes:
    """What is kept of a number or a PIN on a roster."""
    return vault.keyed_hash(f"roster-{kind}", f"{program_id}/{value.strip().upper()}")


def add_roster(*, program_id: int, rows: Iterable[Mapping[str, Any]]) -> int:
    """Lines of a roster: number, pin, code of an org-unit. A line known already stays. Answers how many are new.

    Raises NOT_FOUND, naming the unit, when a line names one that doesn't exist.
    """
    units = {unit.code: unit.id for unit in session().scalars(select(OrgUnit).filter_by(program_id=program_id))}
    values = []
    for line, row in enumerate(rows, start=2):
        unit = row.get("org_unit") or None
        if unit is not None and unit not in units:
            raise NOT_FOUND(org_unit=unit, line=line)
        values.append(
            {
                "program_id": program_id,
                "org_unit_id": None if unit is None else units[unit],
                "number_hash": roster_hash(program_id, "number", row["number"]),
                "pin_hash": roster_hash(program_id, "pin", row["pin"]),
            }
        )
    if not values:
        return 0
    added = insert(RosterEntry).on_conflict_do_nothing().returning(RosterEntry.id)
    return len(connection().execute(added, values).all())


def _audit(
    program: Program, actor: str, action: str, at: datetime, after: dict[str, Any], reason: str | None = None
) -> None:
    audit.write(
        actor=actor,
        action=action,
        object_type="program",
        object_id=program.id,
        at=at,
        program_id=program.id,
        after=after,
        reason=reason,
    )
