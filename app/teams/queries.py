"""Reads of teams: which one somebody is in, and who belonged to it at a moment."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import select

from app.db import read, session
from app.errors import NOT_FOUND
from app.teams.models import Team, TeamMember


class Named(Protocol):
    """What a team's shown name is made of."""

    id: Any
    kind: Any
    name: Any


def of(*, person_id: int, program_id: int) -> Team | None:
    """The team that a person is in now, in a program."""
    query = (
        select(Team)
        .join(TeamMember, TeamMember.team_id == Team.id)
        .where(
            TeamMember.person_id == person_id,
            TeamMember.program_id == program_id,
            TeamMember.kind == "team",
            TeamMember.left_at.is_(None),
        )
    )
    return session().scalars(query).first()


def members(*, team_id: int, at: datetime) -> list[int]:
    """Who belonged to a team or group at a moment, in the order of joining."""
    query = """
        select person_id from team_members where team_id = %(team)s and joined_at <= %(at)s
          and (left_at is null or left_at > %(at)s) order by joined_at, id
    """
    return [row.person_id for row in read(query, {"team": team_id, "at": at})]


def by_id(team_id: int) -> Team:
    """A team or group, standing or closed. Raises NOT_FOUND."""
    found = session().get(Team, team_id)
    if found is None:
        raise NOT_FOUND(team=str(team_id))
    return found


_MINE = """
    select t.id, t.kind, t.name, t.code, t.size_most, t.created_at, t.captain_id, m.joined_at, p.code as program,
           (select count(*) from team_members o where o.team_id = t.id and o.left_at is null) as members
    from team_members m join teams t on t.id = m.team_id join programs p on p.id = t.program_id
    where m.person_id = %(person)s and m.left_at is null
      and (%(program)s::bigint is null or t.program_id = %(program)s)
      and (%(team)s::bigint is null or t.id = %(team)s)
    order by t.kind desc, t.id
"""


def mine(person_id: int, *, program_id: int | None = None, team_id: int | None = None) -> list[Any]:
    """The teams and groups a person is in now, with the number of members; of one program, or one by its id."""
    return read(_MINE, {"person": person_id, "program": program_id, "team": team_id})


_SEATS = """
    select m.id, m.seat, m.person_id, m.joined_at, p.pseudonym, p.state, p.nickname, p.show_name, p.avatar_url
    from team_members m join persons p on p.id = m.person_id
    where m.team_id = %(team)s and m.left_at is null order by m.joined_at, m.id
"""


def seated(team_id: int) -> list[Any]:
    """Who is in a team now, in the order of joining, with what a shown name is made of."""
    return read(_SEATS, {"team": team_id})


_BY_CODE = """
    select t.id, t.kind, t.name, t.size_most, t.program_id, p.code as program, p.name as program_name,
           p.name_en as program_name_en,
           (select count(*) from team_members o where o.team_id = t.id and o.left_at is null) as members
    from teams t join programs p on p.id = t.program_id where t.code = %(code)s and t.closed_at is null
"""


def by_code(code: str) -> Any:
    """The standing team of a code, with the number of members, or None."""
    return next(iter(read(_BY_CODE, {"code": code})), None)


def names(team_ids: Iterable[int]) -> dict[int, str]:
    """The shown names of many teams, by id."""
    query = "select id, kind, name from teams where id = any (%(ids)s::bigint[])"
    return {row.id: shown_name(row) for row in read(query, {"ids": list(team_ids)})}


def shown_name(team: Named) -> str:
    """The name that others see: the given one when its check has passed, else a plain number."""
    return str(team.name) or f"{'小队' if team.kind == 'team' else '好友圈'}{team.id}"


def listed(program_id: int, *, kind: str | None, after: int, limit: int) -> list[Any]:
    """The teams of a program for an operator, by id: size, captain's pseudonym, whether closed."""
    query = """
        select t.id, t.kind, t.name, t.size_most, t.created_at, t.closed_at, c.pseudonym as captain,
               (select count(*) from team_members o where o.team_id = t.id and o.left_at is null) as members
        from teams t join persons c on c.id = t.captain_id
        where t.program_id = %(program)s and t.id > %(after)s and (%(kind)s::text is null or t.kind = %(kind)s)
        order by t.id limit %(limit)s
    """
    return read(query, {"program": program_id, "kind": kind, "after": after, "limit": limit})
