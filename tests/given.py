"""Builders: what a test starts from, made through the same doors as in life."""

from __future__ import annotations

import secrets
from datetime import UTC, date, datetime
from typing import Any

from app import people, programs, safety
from app.programs import Pass, Program, templates

AT = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
APPID = "wxlocal000000000001"
PROFILE: dict[str, Any] = {
    "nickname": None,
    "avatar_url": None,
    "language": "zh",
    "show_name": False,
    "on_boards": True,
}


def program(code: str = "", *, template: str = "city", at: datetime = AT, **changes: Any) -> Program:
    """A program with its first terms and no scenarios."""
    code = code or f"p-{secrets.token_hex(4)}"
    made = programs.create(
        code=code,
        name=f"项目{code}",
        name_en=f"Program {code}",
        region="CN-SC",
        template=templates.load(template),
        actor="operator:ops",
        at=at,
        starts_on=date(2026, 1, 1),
        **changes,
    )
    return made.program


def login(openid: str = "", *, at: datetime = AT, **changes: Any) -> people.SignedIn:
    """Somebody who has just signed in; a new person unless the openid is known."""
    return people.sign_in(appid=APPID, openid=openid or f"o-{secrets.token_hex(12)}", at=at, session_days=30, **changes)


def profile(person_id: int, *, at: datetime = AT, **changes: Any) -> people.Person:
    """A profile as a whole; a nickname has passed its check."""
    found = people.put(person_id=person_id, at=at, **{**PROFILE, **changes})
    pass_texts(at=at)
    return found


def pass_texts(*, at: datetime = AT) -> None:
    """WeChat finds nothing wrong with any text that waits."""
    for waiting in safety.waiting():
        safety.decide(check_id=waiting.id, verdict="pass", by="wechat", at=at)
        people.nickname_passed(waiting.object_id, waiting.body)


def person(*, at: datetime = AT) -> int:
    """A person's id."""
    return login(at=at).person_id


def member(of: Program, person_id: int | None = None, *, at: datetime = AT, **shown: Any) -> int:
    """Somebody who belongs to a program; answers the person's id."""
    somebody = person_id or person(at=at)
    version = programs.terms_in_force(of.id, at).version
    people.join_program(person_id=somebody, program=of, terms_version=version, shown=Pass(**shown), at=at)
    return somebody
