"""Found a team, join by its code, leave, hand over, close. A team's row is locked before its seats change."""

from __future__ import annotations

import secrets
import unicodedata
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text

from app import audit, events, limits, notices, outbox, programs, safety
from app.db import connection, session
from app.errors import INVALID_FIELD, NOT_FOUND, TOO_MANY, Kind, declare
from app.programs import NOT_A_MEMBER
from app.teams.models import KINDS, MOST, Team, TeamMember
from app.teams.queries import by_code, shown_name

TEAM_NAME = "team_name"
MOST_GROUPS = 20
MOST_FOUNDED = 20
"""In a day, by one person."""
_LETTERS = "ABCDEFGHJKMNPQRSTVWXYZ23456789"

IN_A_TEAM = declare(
    "in_a_team",
    Kind.CONFLICT,
    zh="您已在该项目的一支小队中。请先退出，再加入或组建另一支。",
    en="You are in a team of this program already. Leave it before you join or found another.",
)
TEAM_FULL = declare(
    "team_full",
    Kind.CONFLICT,
    zh="人数已满，不能再加入。",
    en="All seats are taken; nobody can join any more.",
)
TEAM_CODE_INVALID = declare(
    "team_code_invalid",
    Kind.INVALID,
    zh="邀请码无效或已更换，请核对或重新索取。",
    en="The invitation code is wrong or was replaced. Check it, or ask for the present one.",
)
TOO_MANY_GROUPS = declare(
    "too_many_groups",
    Kind.CONFLICT,
    zh="您加入的好友圈已达上限，请先退出一个。",
    en="You are in as many friends' groups as one can be. Leave one first.",
)
CAPTAIN_ONLY = declare(
    "captain_only",
    Kind.NOT_ALLOWED,
    zh="只有队长可以进行此操作。",
    en="Only the captain may do this.",
)


def found(*, program_id: int, person_id: int, kind: str, name: str, at: datetime, size_most: int | None = None) -> Team:
    """Found a team or a friends' group; the founder is its captain. The name is shown when its check has passed.

    Raises NOT_A_MEMBER, IN_A_TEAM, TOO_MANY_GROUPS, TOO_MANY (20 a day), INVALID_FIELD for a size that can't be.
    """
    most = size_most if size_most is not None else MOST[kind]
    if kind not in KINDS or not 2 <= most <= MOST[kind]:
        expected = f"应在 2 到 {MOST[kind]} 之间|must lie between 2 and {MOST[kind]}"
        raise INVALID_FIELD(fields=[{"field": "size_most", "expected": expected}])
    _free(program_id, person_id, kind)
    _founds_not_too_many(person_id, at)
    team = Team(program_id=program_id, kind=kind, captain_id=person_id, code=_new_code(), size_most=most, created_at=at)
    session().add(team)
    session().flush()
    _seat(team, person_id, 1, at)
    safety.ask(kind=TEAM_NAME, object_id=team.id, person_id=person_id, body=name, at=at)
    _changed(team, person_id, "joined")
    return team


def join(*, code: str, person_id: int, at: datetime) -> tuple[Team, bool]:
    """Join by code; answers the team and whether the person is new in it (twice is once).

    Raises TEAM_CODE_INVALID (TOO_MANY after ten wrong ones, BUSY when that can't be counted), NOT_A_MEMBER of the
    program, IN_A_TEAM, TOO_MANY_GROUPS, TEAM_FULL.
    """
    limits.check(limits.WRONG_CODE, f"team:{person_id}")
    known = select(Team).where(Team.code == normalised(code), Team.closed_at.is_(None))
    team = session().scalars(known.with_for_update(key_share=True).execution_options(populate_existing=True)).first()
    if team is None:
        limits.take(limits.WRONG_CODE, f"team:{person_id}")
        raise TEAM_CODE_INVALID()
    seats = _seats(team.id)
    if any(one.person_id == person_id for one in seats):
        return team, False
    _free(team.program_id, person_id, team.kind)
    taken = {one.seat for one in seats}
    free = next((seat for seat in range(1, team.size_most + 1) if seat not in taken), None)
    if free is None:
        raise TEAM_FULL(size_most=team.size_most)
    _seat(team, person_id, free, at)
    _changed(team, person_id, "joined")
    return team, True


def look(*, code: str, person_id: int) -> Any:
    """What a code opens, for who thinks about joining. Raises TEAM_CODE_INVALID, TOO_MANY after ten wrong ones."""
    limits.check(limits.WRONG_CODE, f"team:{person_id}")
    row = by_code(normalised(code))
    if row is None:
        limits.take(limits.WRONG_CODE, f"team:{person_id}")
        raise TEAM_CODE_INVALID()
    return row


def leave(*, team_id: int, person_id: int, at: datetime) -> Team:
    """Leave. The next captain is who joined first; the last one out closes it. Raises NOT_FOUND for a stranger."""
    team = _locked(team_id)
    seats = _seats(team_id)
    own = next((one for one in seats if one.person_id == person_id), None)
    if own is None:
        raise NOT_FOUND(team=str(team_id))
    _end(team, own, seats, at)
    return team


def remove(*, team_id: int, captain_id: int, member_id: int, at: datetime) -> None:
    """The captain lets a member go, who is told; who is gone already is no error. Raises NOT_FOUND, CAPTAIN_ONLY."""
    team, seats = _led(team_id, captain_id)
    gone = next((one for one in seats if one.id == member_id), None)
    if gone is None:
        return
    if gone.person_id == captain_id:
        raise INVALID_FIELD(fields=[{"field": "member_id", "expected": "队长请使用退出|the captain leaves instead"}])
    _end(team, gone, seats, at)
    name = shown_name(team)
    notices.tell(
        key=f"team:{team_id}:removed:{gone.id}", person_id=gone.person_id, program_id=team.program_id,
        kind="team.removed", zh=f"您已被移出“{name}”。已产生的贡献按活动规则保留。",
        en=f"You were removed from “{name}”. What you contributed stays as its rules say.", at=at,
    )  # fmt: skip


def rename(*, team_id: int, captain_id: int, name: str, at: datetime) -> None:
    """Ask for another name; the present one stands until the new one has passed. Raises NOT_FOUND, CAPTAIN_ONLY."""
    _led(team_id, captain_id)
    safety.ask(kind=TEAM_NAME, object_id=team_id, person_id=captain_id, body=name, at=at)


def renew_code(*, team_id: int, captain_id: int) -> str:
    """A new code; the old one opens nothing any more. Raises NOT_FOUND, CAPTAIN_ONLY."""
    team, _ = _led(team_id, captain_id)
    team.code = _new_code()
    session().flush()
    return team.code


def close(*, team_id: int, captain_id: int, at: datetime) -> None:
    """The captain dissolves a team; everybody is told. Raises NOT_FOUND, CAPTAIN_ONLY."""
    team, seats = _led(team_id, captain_id)
    _dissolve(team, seats, at, "队长已解散。", "The captain has dissolved it.")


def close_by_operator(*, team_id: int, reason: str, by: str, at: datetime) -> None:
    """An operator dissolves a team, with a reason that its members read. Again changes nothing. Raises NOT_FOUND."""
    team = _locked(team_id, standing=False)
    if team.closed_at is not None:
        return
    _dissolve(team, _seats(team_id), at, reason, reason)
    audit.write(
        actor=by, action="team.close", object_type="team", object_id=team_id, at=at, program_id=team.program_id,
        reason=reason,
    )  # fmt: skip


def leave_all(*, person_id: int, at: datetime, program_id: int | None = None) -> int:
    """Leave every team and group, of one program or of all: what leaving a program and deletion do."""
    query = select(TeamMember.team_id).where(TeamMember.person_id == person_id, TeamMember.left_at.is_(None))
    if program_id is not None:
        query = query.where(TeamMember.program_id == program_id)
    mine = sorted(session().scalars(query))
    for team_id in mine:
        leave(team_id=team_id, person_id=person_id, at=at)
    return len(mine)


def name_passed(team_id: int, body: str) -> None:
    """Show a name that has passed."""
    team = session().get(Team, team_id)
    if team is not None and team.closed_at is None and team.name != body:
        team.name = body
        _changed(team, team.captain_id, "renamed")


def normalised(code: str) -> str:
    """A code as people type it: any case, full-width, with spaces and hyphens."""
    plain = unicodedata.normalize("NFKC", code).upper()
    return "".join(plain.split()).replace("-", "")


def _free(program_id: int, person_id: int, kind: str) -> None:
    """Whether a person may sit down: a member of the program, not in another team, not in too many groups.

    The person's row is locked, so two doors at once open one after the other.
    """
    alive = "select 1 from persons where id = :id and state = 'active' for no key update"
    if connection().execute(text(alive), {"id": person_id}).first() is None:
        raise NOT_FOUND(person=str(person_id))
    member = programs.membership(program_id, person_id)
    if member is None or member.state != "active":
        raise NOT_A_MEMBER(program=programs.known_by_id(program_id).code)
    seated = (
        TeamMember.person_id == person_id,
        TeamMember.program_id == program_id,
        TeamMember.kind == kind,
        TeamMember.left_at.is_(None),
    )
    count = session().scalar(select(func.count()).select_from(TeamMember).where(*seated)) or 0
    if kind == "team" and count:
        raise IN_A_TEAM()
    if kind == "group" and count >= MOST_GROUPS:
        raise TOO_MANY_GROUPS(most=MOST_GROUPS)


def _founds_not_too_many(person_id: int, at: datetime) -> None:
    lately = (Team.captain_id == person_id, Team.created_at > at - timedelta(days=1), Team.created_at <= at)
    if (session().scalar(select(func.count()).select_from(Team).where(*lately)) or 0) >= MOST_FOUNDED:
        raise TOO_MANY(retry_after=3_600, limit="team-founding")


def _seat(team: Team, person_id: int, seat: int, at: datetime) -> None:
    session().add(
        TeamMember(
            team_id=team.id, program_id=team.program_id, kind=team.kind, person_id=person_id, seat=seat, joined_at=at
        )
    )
    session().flush()


def _seats(team_id: int) -> list[TeamMember]:
    query = select(TeamMember).where(TeamMember.team_id == team_id, TeamMember.left_at.is_(None))
    return list(session().scalars(query.order_by(TeamMember.joined_at, TeamMember.id)))


def _end(team: Team, own: TeamMember, seats: list[TeamMember], at: datetime) -> None:
    own.left_at = max(at, own.joined_at)
    rest = [one for one in seats if one.id != own.id]
    if not rest:
        team.closed_at = at
    elif team.captain_id == own.person_id:
        team.captain_id = rest[0].person_id
        name = shown_name(team)
        notices.tell(
            key=f"team:{team.id}:captain:{rest[0].id}:{own.id}", person_id=rest[0].person_id,
            program_id=team.program_id, kind="team.captain", zh=f"您现在是“{name}”的队长。",
            en=f"You are the captain of “{name}” now.", at=at,
        )  # fmt: skip
    session().flush()
    _changed(team, own.person_id, "left")


def _dissolve(team: Team, seats: list[TeamMember], at: datetime, zh: str, en: str) -> None:
    team.closed_at = at
    name = shown_name(team)
    for one in seats:
        one.left_at = max(at, one.joined_at)
        notices.tell(
            key=f"team:{team.id}:closed:{one.id}", person_id=one.person_id, program_id=team.program_id,
            kind="team.closed", zh=f"“{name}”已解散：{zh}", en=f"“{name}” was dissolved: {en}", at=at,
        )  # fmt: skip
    session().flush()
    _changed(team, team.captain_id, "closed")


def _led(team_id: int, captain_id: int) -> tuple[Team, list[TeamMember]]:
    team = _locked(team_id)
    seats = _seats(team_id)
    if all(one.person_id != captain_id for one in seats):
        raise NOT_FOUND(team=str(team_id))
    if team.captain_id != captain_id:
        raise CAPTAIN_ONLY()
    return team, seats


def _locked(team_id: int, *, standing: bool = True) -> Team:
    team = session().get(Team, team_id, with_for_update={"key_share": True}, populate_existing=True)
    if team is None or (standing and team.closed_at is not None):
        raise NOT_FOUND(team=str(team_id))
    return team


def _changed(team: Team, person_id: int, change: str) -> None:
    payload = {"team_id": team.id, "kind": team.kind, "person_id": person_id, "change": change}
    outbox.publish(events.TEAMS_CHANGED, payload, program_id=team.program_id)


def _new_code() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(8))
