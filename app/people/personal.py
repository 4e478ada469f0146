"""What this feature holds about a person: how it is handed out, and how it is erased (see"
" app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from app import inbox
from app.db import connection, session
from app.people.models import Consent, FormerIdentity, LoginSession, Person, WeChatIdentity
from app.people.sign_in import identity_key

REMEMBERED_AS_FORMER = timedelta(days=180)

COLUMNS: Mapping[str, str] = {
    "wechat_identities.person_id": "erased",
    "sessions.person_id": "erased",
    "consents.person_id": "kept: proof of what was agreed and withdrawn, without the person",
}
EXPORT: Mapping[str, str] = {
    "profile": (
        "select id::text, nickname, avatar_url, language, show_name, on_boards, created_at"
        " from persons where id = :person_id"
    ),
    "wechat": (
        "select appid, openid, unionid, seen_at from wechat_identities where person_id = :person_id order by id"
    ),
    "sessions": (
        "select id::text, device, created_at, expires_at, revoked_at from sessions where person_id = :person_id"
        " order by id"
    ),
    "consents": (
        "select c.purpose, p.code as program, c.text_version, encode(c.text_hash, 'hex') as"
        " text_hash, c.granted_at,"
        " c.withdrawn_at from consents c left join programs p on p.id = c.program_id where"
        " c.person_id = :person_id"
        " order by c.id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing here is a loss to regret."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """Erase identity, sessions, profile and what WeChat has pushed about the person; the row of the person stays as a
    pseudonym for the ledger.

    A keyed hash of the identity is kept for 180 days, so that leaving and coming back earns no newcomer's bonus.
    """
    for identity in session().scalars(select(WeChatIdentity).where(WeChatIdentity.person_id == person_id)):
        inbox.forget_sender(origin=f"wechat:{identity.appid}", sender=identity.openid)
        known = {"identity_hash": identity_key(identity.appid, identity.openid), "forget_at": at + REMEMBERED_AS_FORMER}
        statement = insert(FormerIdentity).values(known)
        connection().execute(
            statement.on_conflict_do_update(
                index_elements=["identity_hash"], set_={"forget_at": statement.excluded.forget_at}
            )
        )
    session().execute(delete(WeChatIdentity).where(WeChatIdentity.person_id == person_id))
    session().execute(delete(LoginSession).where(LoginSession.person_id == person_id))
    live = (Consent.person_id == person_id, Consent.withdrawn_at.is_(None))
    session().execute(update(Consent).where(*live).values(withdrawn_at=at))
    person = session().get_one(Person, person_id)
    person.state, person.epoch, person.deleted_at = "deleted", person.epoch + 1, at
    person.nickname = person.avatar_url = None
    person.show_name = person.on_boards = False
