"""Joining and leaving: by invitation code, by a line of the roster, by approval, or freely."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text, update

from app import audit, limits
from app.db import connection, session
from app.errors import INVALID_FIELD, NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.programs import queries
from app.programs.actions import roster_hash
from app.programs.models import Invitation, Membership, Program, RosterEntry

ALREADY_MEMBER = declare(
    "already_member",
    Kind.CONFLICT,
    zh="您已加入该项目，或申请正在审核中。",
    en="You belong to this program already, or your request waits for approval.",
)
NOT_A_MEMBER = declare(
    "not_a_member",
    Kind.NOT_ALLOWED,
    zh="您还没有加入该项目，请先加入。",
    en="You are not a member of this program. Join it first.",
)
INVITATION_REQUIRED = declare(
    "invitation_required",
    Kind.NOT_ALLOWED,
    zh="加入该项目需要邀请码，请向项目方索取。",
    en="This program needs an invitation code. Ask its organiser for one.",
)
ROSTER_REQUIRED = declare(
    "roster_required",
    Kind.NOT_ALLOWED,
    zh="加入该项目需要名册上的编号与校验码，或一个邀请码。",
    en="This program needs your number and PIN from the roster, or an invitation code.",
)
INVITATION_INVALID = declare(
    "invitation_invalid",
    Kind.INVALID,
    zh="邀请码无效、已过期或已用完，请核对或重新索取。",
    en="The invitation code is wrong, has expired or is used up. Check it, or ask for a new one.",
)
ROSTER_MISMATCH = declare(
    "roster_mismatch",
    Kind.INVALID,
    zh="编号与校验码不匹配，或已被他人使用。请核对，或联系项目管理员。",
    en="Number and PIN don't match, or somebody used them already. Check them, or ask the program's administrator.",
)
PROGRAM_RETIRED = declare(
    "program_retired",
    Kind.CONFLICT,
    zh="该项目已结束，不能再加入。",
    en="This program has ended; nobody can join it any more.",
)


@dataclass(frozen=True, slots=True)
class Pass:
    """What a person shows at the door; all of it may be missing."""

    invitation: str | None = None
    roster_number: str | None = None
    roster_pin: str | None = None
    org_unit: str | None = None


def join(*, program: Program, person_id: int, shown: Pass, at: datetime) -> Membership:
    """Let a person in, or queue the request where the program asks for approval.

    Raises ALREADY_MEMBER, PROGRAM_RETIRED, INVITATION_REQUIRED, ROSTER_REQUIRED, INVITATION_INVALID, ROSTER_MISMATCH,
    NOT_FOUND for an unknown org-unit, and TOO_MANY after ten wrong codes in ten minutes (BUSY when that can't be
    counted: guessing stays shut).
    """
    if program.state != "active" or program.no_awards_from is not None:
        raise PROGRAM_RETIRED(program=program.code)
    _lock_person(person_id)
    member = _locked(program.id, person_id)
    if member is not None and member.state in ("active", "pending"):
        raise ALREADY_MEMBER(program=program.code, state=member.state)
    how, unit_id = _admission(program, person_id, shown, at)
    state = "pending" if how == "approval" else "active"
    if member is None:
        member = Membership(program_id=program.id, person_id=person_id, rank=_next_rank(person_id))
        session().add(member)
    member.state, member.org_unit_id, member.joined_by = state, unit_id, how
    member.joined_at, member.left_at = (at if state == "active" else None), None
    session().flush()
    return member


def decide(*, program: Program, person_id: int, admit: bool, actor: str, at: datetime) -> Membership:
    """An operator's answer to a request. Raises NOT_FOUND, STATE_CONFLICT when there is nothing to decide."""
    member = _locked(program.id, person_id)
    if member is None:
        raise NOT_FOUND(person=str(person_id))
    if member.state != "pending":
        raise STATE_CONFLICT(state=member.state)
    member.state, member.joined_at = ("active", at) if admit else ("refused", None)
    audit.write(
        actor=actor,
        action="membership.admit" if admit else "membership.refuse",
        object_type="membership",
        object_id=member.id,
        at=at,
        program_id=program.id,
    )
    return member


def mark(
    *, program: Program, person_id: int, level: int | None, tags: list[str] | None, actor: str, at: datetime
) -> Membership:
    """Say of which level a member is, and which tags there are from now on; None leaves it. Raises NOT_FOUND."""
    member = _locked(program.id, person_id)
    if member is None or member.state != "active":
        raise NOT_FOUND(person=str(person_id))
    member.level = member.level if level is None else level
    member.tags = member.tags if tags is None else tags
    audit.write(
        actor=actor,
        action="membership.mark",
        object_type="membership",
        object_id=member.id,
        at=at,
        program_id=program.id,
        after={"level": member.level, "tags": member.tags},
    )
    session().flush()
    return member


def leave(*, program: Program, person_id: int, at: datetime) -> Membership:
    """Leave a program, or take back a request. What was earned stays. Raises NOT_FOUND for a stranger."""
    member = _locked(program.id, person_id)
    if member is None or member.state not in ("active", "pending"):
        raise NOT_FOUND(program=program.code)
    member.state, member.left_at = "left", at
    return member


def reorder(*, person_id: int, codes: list[str]) -> None:
    """Set the person's order: the first program that offers an act pays it.

    Raises INVALID_FIELD unless each of the person's programs is named once.
    """
    _lock_person(person_id)
    members = {program.code: member for member, program in queries.memberships_of(person_id)}
    if sorted(codes) != sorted(members):
        expected = "应恰好包含您的全部项目|must name each of your programs once"
        raise INVALID_FIELD(fields=[{"field": "order", "expected": expected}], programs=sorted(members))
    for rank, code in enumerate(codes, start=1):
        members[code].rank = rank
    session().flush()


def _admission(program: Program, person_id: int, shown: Pass, at: datetime) -> tuple[str, int | None]:
    """By which door, and into which org-unit. A code or a roster line opens every program, whatever its own way."""
    if shown.invitation is not None:
        return "invitation", _use_invitation(program, person_id, shown.invitation, at)
    if shown.roster_number is not None:
        return "roster", _use_roster(program, person_id, shown.roster_number, shown.roster_pin or "", at)
    if program.joining == "invitation":
        raise INVITATION_REQUIRED(program=program.code)
    if program.joining == "roster":
        raise ROSTER_REQUIRED(program=program.code)
    unit = None if shown.org_unit is None else queries.org_unit(program.id, shown.org_unit).id
    return program.joining, unit


def _use_invitation(program: Program, person_id: int, code: str, at: datetime) -> int | None:
    limits.check(limits.WRONG_CODE, f"join:{person_id}")
    good = (
        Invitation.program_id == program.id,
        Invitation.code == code.strip().upper(),
        Invitation.uses_left > 0,
        Invitation.expires_at > at,
    )
    taken = update(Invitation).where(*good).values(uses_left=Invitation.uses_left - 1).returning(Invitation.org_unit_id)
    row = session().execute(taken).first()
    if row is None:
        limits.take(limits.WRONG_CODE, f"join:{person_id}")
        raise INVITATION_INVALID()
    return row[0]


def _use_roster(program: Program, person_id: int, number: str, pin: str, at: datetime) -> int | None:
    """Claim a line of the roster. Wrong number, wrong PIN and a line that is taken all answer the same."""
    limits.check(limits.WRONG_CODE, f"join:{person_id}")
    wanted = select(RosterEntry).where(
        RosterEntry.program_id == program.id,
        RosterEntry.number_hash == roster_hash(program.id, "number", number),
    )
    entry = session().scalars(wanted.with_for_update()).first()
    fits = entry is not None and hmac.compare_digest(entry.pin_hash, roster_hash(program.id, "pin", pin))
    if entry is None or not fits or entry.claimed_by not in (None, person_id):
        limits.take(limits.WRONG_CODE, f"join:{person_id}")
        raise ROSTER_MISMATCH()
    entry.claimed_by, entry.claimed_at = person_id, at
    return entry.org_unit_id


def _lock_person(person_id: int) -> None:
    """One at a time for one person: two taps on "join" find one membership, and nobody joins while being deleted."""
    statement = text("select 1 from persons where id = :id and state = 'active' for no key update")
    if connection().execute(statement, {"id": person_id}).first() is None:
        raise NOT_FOUND(person=str(person_id))


def _locked(program_id: int, person_id: int) -> Membership | None:
    query = select(Membership).where(Membership.program_id == program_id, Membership.person_id == person_id)
    return session().scalars(query.with_for_update()).first()


def _next_rank(person_id: int) -> int:
    highest = session().scalar(select(func.max(Membership.rank)).where(Membership.person_id == person_id))
    return (highest or 0) + 1
