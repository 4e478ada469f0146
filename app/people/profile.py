"""The profile: what a person shows of themselves, and to whom."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Protocol, cast

from sqlalchemy import select

from app import events, outbox
from app.db import read, session
from app.errors import INVALID_FIELD, NOT_FOUND
from app.people.models import LoginSession, Person

LONGEST_NICKNAME = 32
LANGUAGES = ("zh", "en")
# WeChat's own store of avatars; other addresses would make our pages fetch what a stranger likes.
_AVATAR = re.compile(r"https://([a-z0-9-]+\.)*qlogo\.cn/[A-Za-z0-9/_.\-]{1,300}", re.ASCII)


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


def get(person_id: int) -> Person:
    """An active person. Raises NOT_FOUND."""
    found = session().get(Person, person_id)
    if found is None or found.state == "deleted":
        raise NOT_FOUND(person=str(person_id))
    return found


_SHOWN = (
    "select id, pseudonym, state, nickname, avatar_url, language, show_name, on_boards, created_at"
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


def put(
    *,
    person_id: int,
    nickname: str | None,
    avatar_url: str | None,
    language: str,
    show_name: bool,
    on_boards: bool,
) -> Person:
    """Replace the profile as a whole. Boards hear of it. Raises NOT_FOUND, INVALID_FIELD for a foreign avatar."""
    person = get(person_id)
    if avatar_url is not None and not _AVATAR.fullmatch(avatar_url):
        raise INVALID_FIELD(fields=[{"field": "avatar_url", "expected": "https://….qlogo.cn/…"}])
    before = (person.nickname, person.avatar_url, person.show_name, person.on_boards)
    person.nickname, person.avatar_url, person.language = nickname, avatar_url, language
    person.show_name, person.on_boards = show_name, on_boards
    if before != (nickname, avatar_url, show_name, on_boards):
        tell_boards(person)
    return person


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


def shown_name(person: Person | Profile) -> str:
    """The name that others see: the chosen one where the person wants it shown, else a mask."""
    if person.state == "deleted":
        return "已注销"
    if person.show_name and person.nickname:
        return person.nickname
    return masked(person.nickname, person.pseudonym)


def masked(nickname: str | None, pseudonym: str) -> str:
    """``小**`` for a name, ``用户3f9a`` for none: recognisable to oneself, to nobody else."""
    return f"{nickname[0]}**" if nickname else f"用户{pseudonym[:4]}"
