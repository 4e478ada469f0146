"""My profile, my logins, my programs in my order."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response, current_app
from marshmallow import fields

from app import people, programs
from app.clock import now
from app.db import transaction
from app.errors import NOT_FOUND
from app.people import Login
from app.people.profile import LANGUAGES, LONGEST_NICKNAME
from edge import schemas
from edge.answers import answer, nothing
from edge.routes import gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import avatar, either, when, when_or_none

routes = APIBlueprint("me", __name__, tag="Me")

EXAMPLE = {"nickname": "小点滴", "avatar_url": None, "language": "zh", "show_name": False, "on_boards": True}


class ProfileIn(schemas.Request):
    nickname = schemas.Text(longest=LONGEST_NICKNAME, required=True, allow_none=True)
    avatar_url = schemas.Pattern(
        r"https://([a-z0-9\-]{1,40}\.){0,3}qlogo\.cn/[A-Za-z0-9/_.\-]{1,300}"
        r"|https?://[A-Za-z0-9.:\-]{1,100}/media/[A-Za-z0-9_\-]{32}",
        expected="应为微信头像地址，或您现有的头像|must be an address of WeChat's avatar store, or my present one",
        required=True,
        allow_none=True,
    )
    language = schemas.OneOf(*LANGUAGES, required=True)
    show_name = schemas.Boolean(required=True, metadata={"description": "my name instead of a mask on boards"})
    on_boards = schemas.Boolean(required=True, metadata={"description": "whether I stand on boards at all"})


class Profile(schemas.Answer):
    id = fields.String(required=True)
    nickname = fields.String(required=True, allow_none=True)
    avatar_url = fields.String(required=True, allow_none=True)
    language = fields.String(required=True)
    show_name = fields.Boolean(required=True)
    on_boards = fields.Boolean(required=True)
    nickname_pending = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "a new nickname that waits for its check; others see the old one meanwhile"},
    )
    seen_as = fields.String(required=True, metadata={"description": "the name that others see"})
    created_at = fields.String(required=True)


class LoginLine(schemas.Answer):
    id = fields.String(required=True)
    device = fields.String(required=True)
    created_at = fields.String(required=True)
    expires_at = fields.String(required=True)
    this_device = fields.Boolean(required=True)


class Logins(schemas.Answer):
    items = fields.List(fields.Nested(LoginLine), required=True)


class MyProgram(schemas.Answer):
    code = fields.String(required=True)
    name = fields.String(required=True)
    kind = fields.String(required=True)
    state = fields.String(required=True, metadata={"description": "active, or pending until somebody approves"})
    org_unit = fields.String(required=True, allow_none=True)
    joined_at = fields.String(required=True, allow_none=True)
    agreed_terms = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "the version I agreed to; older than the present: ask me"},
    )
    present_terms = fields.Integer(required=True)


class MyPrograms(schemas.Answer):
    items = fields.List(fields.Nested(MyProgram), required=True)


class Order(schemas.Request):
    order = schemas.Items(schemas.code(), longest=50, required=True)


@routes.get("/me")
@citizen()
@gives(Profile)
def get_me(login: Login) -> Response:
    """My profile"""
    return answer(_profile(people.shown(login.person_id)))


@routes.put("/me")
@citizen()
@takes(ProfileIn, example=EXAMPLE)
@gives(Profile)
def put_me(login: Login, body: dict[str, Any]) -> Response:
    """Replace my profile

    As a whole: what is not to change is sent again. A new nickname is shown when it has passed its check. An avatar of
    one's own is uploaded (`POST /media`), not set here.
    """
    if body["avatar_url"] is not None:
        body["avatar_url"] = body["avatar_url"].removeprefix(_base())
    with transaction():
        people.put(person_id=login.person_id, at=now(), **body)
    return answer(_profile(people.shown(login.person_id)))


@routes.get("/me/sessions")
@citizen()
@gives(Logins)
def get_sessions(login: Login) -> Response:
    """My logins

    One per device, newest first.
    """
    rows = people.sessions_of(login.person_id, now())
    return answer(
        {
            "items": [
                {
                    "id": str(row.id),
                    "device": row.device,
                    "created_at": when(row.created_at),
                    "expires_at": when(row.expires_at),
                    "this_device": row.id == login.session_id,
                }
                for row in rows
            ]
        }
    )


@routes.delete("/me/sessions/<id:session_id>")
@citizen()
@gives(None, status=204)
@refuses(NOT_FOUND)
def end_session(login: Login, session_id: int) -> Response:
    """End one of my logins"""
    with transaction():
        ended = people.sign_out(session_id=session_id, person_id=login.person_id, at=now())
    people.logins.evict([ended])
    return nothing()


@routes.get("/me/programs")
@citizen()
@gives(MyPrograms)
def get_my_programs(login: Login) -> Response:
    """My programs in my order

    The first one that offers an act pays for it.
    """
    return answer(_my_programs(login.person_id))


@routes.put("/me/programs")
@citizen()
@takes(Order, example={"order": []})
@gives(MyPrograms)
def put_my_programs(login: Login, body: dict[str, Any]) -> Response:
    """Set the order of my programs

    Names each of them once.
    """
    with transaction():
        programs.reorder(person_id=login.person_id, codes=body["order"])
        shown = _my_programs(login.person_id)
    return answer(shown)


def _my_programs(person_id: int) -> dict[str, Any]:
    return {"items": [program_line(row) for row in programs.memberships_shown(person_id)]}


def program_line(row: Any) -> dict[str, Any]:
    """One of my programs, as here and on the home page."""
    return {
        "code": row.code,
        "name": either(row.name, row.name_en),
        "kind": row.kind,
        "state": row.state,
        "org_unit": None if row.unit is None else either(row.unit, row.unit_en),
        "joined_at": when_or_none(row.joined_at),
        "agreed_terms": None if row.agreed_terms is None else int(row.agreed_terms),
        "present_terms": programs.terms_in_force(row.id, now()).version,
    }


def _base() -> str:
    found: str = current_app.config["SETTINGS"].public_base_url
    return found


def _profile(person: people.Profile) -> dict[str, Any]:
    return {
        "id": str(person.id),
        "nickname": person.nickname,
        "avatar_url": avatar(person.avatar_url),
        "nickname_pending": person.nickname_pending,
        "language": person.language,
        "show_name": person.show_name,
        "on_boards": person.on_boards,
        "seen_as": people.shown_name(person),
        "created_at": when(person.created_at),
    }
