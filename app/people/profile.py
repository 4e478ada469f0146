"""The profile: what a person shows of themselves, and to whom."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Protocol, cast

from sqlalchemy import select

from app import events, outbox, safety
from app.db import read, session
from app.errors import INVALID_FIELD, NOT_FOUND
from app.people.models import LoginSession, Person

LONGEST_NICKNAME = 32
LANGUAGES = ("zh", "en")
NICKNAME = "nickname"
# WeChat's own store of avatars; other addresses would make our pages fetch what a stranger likes.
_AVATAR = re.compile(r"https://([a-z0-9-]+\.)*qlogo\.cn/[A-Za-z0-9/_.\-]{1,300}", re.ASCII)


class Named(Protocol):
    """What a shown name is made of."""

    pseudonym: Any
    state: Any
    nickname: Any
    show_name: Any


class Profile(Protocol):
    """What is read of a person to show it."""

    id: int
    pseudonym: str
    state: str
    nickname: str | None
    avatar_url: str | None
    language: str
    show_name: bool
    on_boards: bool
    created_at: datetime
    nickname_pending: str | None


def get(person_id: int) -> Person:
    """An active person. Raises NOT_FOUND."""
    found = session().get(Person, person_id)
    if found is None or found.state == "deleted":
        raise NOT_FOUND(person=str(person_id))
    return found


_SHOWN = (
    "select id, pseudonym, state, nickname, avatar_url, language, show_name, on_boards, created_at,"
    " (select body from text_checks where kind = 'nickname' and object_id = persons.id"
    "  and state in ('pending','review')) as nickname_pending"
    " from persons where id = %(person_id)s and state <> 'deleted'"
)


def shown(person_id: int) -> Profile:
    """A person's profile for reading, in one statement. Raises NOT_FOUND."""
    rows = read(_SHOWN, {"person_id": person_id})
    if not rows:
        raise NOT_FOUND(person=str(person_id))
    return cast(Profile, rows[0])


def openid(person_id: int, appid: str) -> str | None:
    """Who the person is to one mini-program: whom WeChat bills, and tells that goods are on their way."""
    query = (
        "select openid from wechat_identities where person_id = %(person)s and appid = %(appid)s order by id limit 1"
    )
    rows = read(query, {"person": person_id, "appid": appid})
    return str(rows[0].openid) if rows else None


def identities(person_id: int) -> list[Any]:
    """Who the person is to our mini-programs, the one used last first: id, appid, openid, sealed session key."""
    query = (
        "select id, appid, openid, session_key_sealed from wechat_identities where person_id = %(person)s"
        " order by seen_at desc, id desc"
    )
    return read(query, {"person": person_id})


def person_of(appid: str, openid: str) -> int | None:
    """The person behind an identity, if we know one."""
    query = "select person_id from wechat_identities where appid = %(appid)s and openid = %(openid)s"
    rows = read(query, {"appid": appid, "openid": openid})
    return int(rows[0].person_id) if rows else None


def put(
    *,
    person_id: int,
    nickname: str | None,
    avatar_url: str | None,
    language: str,
    show_name: bool,
    on_boards: bool,
    at: datetime,
) -> Person:
    """Replace the profile as a whole. Boards hear of it. A new nickname is shown when it has passed its check.

    Raises NOT_FOUND, INVALID_FIELD for a foreign avatar.
    """
    person = get(person_id)
    if avatar_url not in (None, person.avatar_url) and not _AVATAR.fullmatch(avatar_url or ""):
        raise INVALID_FIELD(fields=[{"field": "avatar_url", "expected": "https://….qlogo.cn/…"}])
    before = (person.nickname, person.avatar_url, person.show_name, person.on_boards)
    if nickname is None or nickname == person.nickname:
        safety.withdraw(kind=NICKNAME, object_id=person_id, at=at)
        person.nickname = nickname
    else:
        safety.ask(kind=NICKNAME, object_id=person_id, person_id=person_id, body=nickname, at=at)
    person.avatar_url, person.language = avatar_url, language
    person.show_name, person.on_boards = show_name, on_boards
    if before != (person.nickname, avatar_url, show_name, on_boards):
        tell_boards(person)
    return person


def nickname_passed(person_id: int, body: str) -> None:
    """Show a nickname that has passed; nothing for somebody who is gone."""
    person = session().get(Person, person_id)
    if person is not None and person.state != "deleted" and person.nickname != body:
        person.nickname = body
        tell_boards(person)


def set_avatar(person_id: int, url: str | None) -> None:
    """Show a picture that has passed, or none any more."""
    person = session().get(Person, person_id)
    if person is not None and person.state != "deleted":
        person.avatar_url = url
        tell_boards(person)


def clear_name(person_id: int, at: datetime) -> None:
    """The person takes the nickname back."""
    person = session().get(Person, person_id)
    if person is not None:
        safety.withdraw(kind=NICKNAME, object_id=person_id, at=at)
        person.nickname = None
        tell_boards(person)


def tell_boards(person: Person) -> None:
    """Publish whether a person stands on boards and that the name may read anew; absolute: a repeat is harmless."""
    seen = {"person_id": person.id, "on_boards": person.on_boards, "show_name": person.show_name}
    outbox.publish(events.PERSON_CHANGED, seen)


def sessions_of(person_id: int, at: datetime) -> list[LoginSession]:
    """A person's living logins, newest first."""
    living = (
        LoginSession.person_id == person_id,
        LoginSession.revoked_at.is_(None),
        LoginSession.expires_at > at,
    )
    return list(session().scalars(select(LoginSession).where(*living).order_by(LoginSession.id.desc())))


def shown_name(person: Named) -> str:
    """The name that others see: the chosen one where the person wants it shown, else a mask."""
    if person.state == "deleted":
        return "已注销"
    if person.show_name and person.nickname:
        return str(person.nickname)
    return masked(person.nickname, person.pseudonym)


def masked(nickname: str | None, pseudonym: str) -> str:
    """``小**`` for a name, ``用户3f9a`` for none: recognisable to oneself, to nobody else."""
    return f"{nickname[0]}**" if nickname else f"用户{pseudonym[:4]}"
