"""My teams and friends' groups: found one, join by its code, leave; the captain renames, lets go, closes."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import people, programs, teams
from app.clock import now
from app.db import retrying, transaction
from app.errors import INVALID_FIELD, NOT_FOUND, TOO_MANY
from app.people import Login
from edge import schemas
from edge.answers import answer, nothing
from edge.routes import asks, gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import avatar, either, when

routes = APIBlueprint("teams", __name__, tag="Teams and friends' groups")
EXAMPLE_CODE = "K7MPX2RD"


class FoundTeam(schemas.Request):
    program = schemas.code(required=True)
    kind = schemas.OneOf(*teams.KINDS, required=True, metadata={"description": "team (challenges) or group (friends)"})
    name = schemas.Text(longest=20, required=True, metadata={"description": "shown when its check has passed"})
    size_most = schemas.Integer(
        least=2, most=50, load_default=None, allow_none=True, metadata={"description": "at most 5 in a team"}
    )


class TeamCode(schemas.Request):
    code = schemas.Text(longest=40, required=True)


class TeamCodeQuery(schemas.Request):
    code = schemas.Text(longest=40, required=True)


class RenameTeam(schemas.Request):
    name = schemas.Text(longest=20, required=True)


class Removal(schemas.Request):
    member_id = schemas.Id(required=True)


class MemberShown(schemas.Answer):
    id = fields.String(required=True, metadata={"description": "of the membership; names nobody"})
    name = fields.String(required=True, metadata={"description": "masked unless the person shows it"})
    avatar_url = fields.String(required=True, allow_none=True)
    captain = fields.Boolean(required=True)
    me = fields.Boolean(required=True)
    joined_at = fields.String(required=True)


class TeamLine(schemas.Answer):
    id = fields.String(required=True)
    program = fields.String(required=True)
    kind = fields.String(required=True)
    name = fields.String(required=True)
    code = fields.String(required=True, metadata={"description": "lets others join"})
    members = fields.Integer(required=True)
    size_most = fields.Integer(required=True)
    captain = fields.Boolean(required=True, metadata={"description": "whether I lead it"})
    joined_at = fields.String(required=True)


class TeamShown(TeamLine):
    seats = fields.List(fields.Nested(MemberShown), required=True, metadata={"description": "by order of joining"})


class Teams(schemas.Answer):
    items = fields.List(fields.Nested(TeamLine), required=True)


class Door(schemas.Answer):
    program = fields.String(required=True)
    program_name = fields.String(required=True)
    kind = fields.String(required=True)
    name = fields.String(required=True)
    members = fields.Integer(required=True)
    size_most = fields.Integer(required=True)
    member_of_program = fields.Boolean(required=True, metadata={"description": "if not, join the program first"})


@routes.get("/teams")
@citizen()
@gives(Teams)
def get_teams(login: Login) -> Response:
    """My teams and groups"""
    return answer({"items": [_line(row, login.person_id) for row in teams.mine(login.person_id)]})


@routes.post("/teams")
@citizen()
@takes(FoundTeam, example={"program": "rongcheng", "kind": "team", "name": "骑行五人组"})
@gives(TeamShown, status=201)
@refuses(NOT_FOUND, INVALID_FIELD, TOO_MANY, programs.NOT_A_MEMBER, teams.IN_A_TEAM, teams.TOO_MANY_GROUPS)
def found_team(login: Login, body: dict[str, Any]) -> Response:
    """Found a team or a friends' group

    A team has at most five people and one can be in one team of a program. The name is shown to others when its content
    check has passed; until then it reads as a number.
    """
    program = programs.known(body["program"])
    with transaction():
        made = teams.found(
            program_id=program.id, person_id=login.person_id, kind=body["kind"], name=body["name"],
            size_most=body["size_most"], at=now(),
        )  # fmt: skip
        shown = _shown(made.id, login.person_id)
    return answer(shown, 201)


@routes.get("/teams/door")
@citizen()
@asks(TeamCodeQuery)
@gives(Door)
@refuses(teams.TEAM_CODE_INVALID, TOO_MANY)
def look_at_door(login: Login, query: dict[str, Any]) -> Response:
    """What a code opens

    Before joining: whose team it is, and whether there is room.
    """
    row = teams.look(code=query["code"], person_id=login.person_id)
    return answer(
        {
            "program": row.program,
            "program_name": either(row.program_name, row.program_name_en),
            "kind": row.kind,
            "name": teams.shown_name(row),
            "members": row.members,
            "size_most": row.size_most,
            "member_of_program": programs.is_member(row.program_id, login.person_id),
        }
    )


@routes.post("/teams/join")
@citizen()
@takes(TeamCode, example={"code": EXAMPLE_CODE})
@gives(TeamShown, status=201)
@refuses(
    NOT_FOUND, TOO_MANY, programs.NOT_A_MEMBER, teams.TEAM_CODE_INVALID, teams.TEAM_FULL, teams.IN_A_TEAM,
    teams.TOO_MANY_GROUPS,
)  # fmt: skip
def join_team(login: Login, body: dict[str, Any]) -> Response:
    """Join by an invitation code

    In it already, it is answered again (200). The sixth is refused by a team of five.
    """

    def command() -> tuple[dict[str, Any], bool]:
        with transaction():
            team, fresh = teams.join(code=body["code"], person_id=login.person_id, at=now())
            return _shown(team.id, login.person_id), fresh

    shown, fresh = retrying(command)
    return answer(shown, 201 if fresh else 200)


@routes.get("/teams/<id:team_id>")
@citizen()
@gives(TeamShown)
@refuses(NOT_FOUND)
def get_team(login: Login, team_id: int) -> Response:
    """One of my teams, with its members"""
    return answer(_shown(team_id, login.person_id))


@routes.put("/teams/<id:team_id>")
@citizen()
@takes(RenameTeam, example={"name": "早起骑行"})
@gives(TeamShown)
@refuses(NOT_FOUND, teams.CAPTAIN_ONLY)
def rename_team(login: Login, body: dict[str, Any], team_id: int) -> Response:
    """Rename a team

    The present name stands until the new one has passed its check.
    """
    with transaction():
        teams.rename(team_id=team_id, captain_id=login.person_id, name=body["name"], at=now())
        shown = _shown(team_id, login.person_id)
    return answer(shown)


@routes.post("/teams/<id:team_id>/code")
@citizen()
@gives(TeamShown)
@refuses(NOT_FOUND, teams.CAPTAIN_ONLY)
def renew_code(login: Login, team_id: int) -> Response:
    """A new invitation code

    The old one opens nothing any more.
    """
    with transaction():
        teams.renew_code(team_id=team_id, captain_id=login.person_id)
        shown = _shown(team_id, login.person_id)
    return answer(shown)


@routes.post("/teams/<id:team_id>/removals")
@citizen()
@takes(Removal, example={"member_id": "42"})
@gives(None, status=204)
@refuses(NOT_FOUND, teams.CAPTAIN_ONLY)
def remove_member(login: Login, body: dict[str, Any], team_id: int) -> Response:
    """Let a member go

    By the captain; the member is told. Again changes nothing.
    """
    with transaction():
        teams.remove(team_id=team_id, captain_id=login.person_id, member_id=body["member_id"], at=now())
    return nothing()


@routes.post("/teams/<id:team_id>/leave")
@citizen()
@gives(None, status=204)
@refuses(NOT_FOUND)
def leave_team(login: Login, team_id: int) -> Response:
    """Leave a team

    What was contributed stays or goes as the challenge's rules say. The next captain is who joined first.
    """
    with transaction():
        teams.leave(team_id=team_id, person_id=login.person_id, at=now())
    return nothing()


@routes.delete("/teams/<id:team_id>")
@citizen()
@gives(None, status=204)
@refuses(NOT_FOUND, teams.CAPTAIN_ONLY)
def close_team(login: Login, team_id: int) -> Response:
    """Dissolve a team

    By the captain; everybody is told.
    """
    with transaction():
        teams.close(team_id=team_id, captain_id=login.person_id, at=now())
    return nothing()


def _shown(team_id: int, person_id: int) -> dict[str, Any]:
    mine = teams.mine(person_id, team_id=team_id)
    if not mine:
        raise NOT_FOUND(team=str(team_id))
    captain = mine[0].captain_id
    return {**_line(mine[0], person_id), "seats": [_seat(row, captain, person_id) for row in teams.seated(team_id)]}


def _line(row: Any, person_id: int) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "program": row.program,
        "kind": row.kind,
        "name": teams.shown_name(row),
        "code": row.code,
        "members": row.members,
        "size_most": row.size_most,
        "captain": row.captain_id == person_id,
        "joined_at": when(row.joined_at),
    }


def _seat(row: Any, captain: int, person_id: int) -> dict[str, Any]:
    shows = row.show_name and row.state == "active"
    return {
        "id": str(row.id),
        "name": people.shown_name(row),
        "avatar_url": avatar(row.avatar_url) if shows else None,
        "captain": row.person_id == captain,
        "me": row.person_id == person_id,
        "joined_at": when(row.joined_at),
    }
