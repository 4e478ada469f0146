"""Two persons that are one human: their mini-programs told the common unionid only when both had an account already.

Nothing is merged by itself: credits, records and memberships belong to the person who has them. Support can move the
identities of the one to the other, after a second person's word; the account that is given up is then deleted as its
owner could delete it.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, text, update

from app import audit, notices, people
from app.db import connection, read, session
from app.errors import STATE_CONFLICT, Kind, declare
from app.people.models import WeChatIdentity
from app.phones import Phone

ACCOUNTS_STRANGE = declare(
    "accounts_strange",
    Kind.CONFLICT,
    zh="这两个账号没有共同的微信 unionid，不能确认属于同一人。",
    en="These two accounts share no unionid of WeChat, so nothing shows that they are one person's.",
)


def check_join(*, keep_id: int, give_id: int) -> None:
    """Whether WeChat itself says that both are one person's. Raises NOT_FOUND, ACCOUNTS_STRANGE, STATE_CONFLICT."""
    for person_id in (keep_id, give_id):
        if people.get(person_id).state != "active":
            raise STATE_CONFLICT(person=str(person_id))
    query = """
        select k.appid from wechat_identities k join wechat_identities g on g.unionid = k.unionid
        where k.person_id = %(keep)s and g.person_id = %(give)s and k.person_id <> g.person_id limit 1
    """
    if not read(query, {"keep": keep_id, "give": give_id}):
        raise ACCOUNTS_STRANGE()


def join(*, keep_id: int, give_id: int, by: str, at: datetime) -> list[bytes]:
    """Move the identities, and the phone number where there is no other, to the person who is kept. Answers session
    hashes to evict; whoever calls deletes the other person in the same transaction.

    Raises as :func:`check_join`. Locks: persons by id.
    """
    both = {"ids": sorted((keep_id, give_id))}
    connection().execute(text("select 1 from persons where id = any (:ids) order by id for update"), both)
    check_join(keep_id=keep_id, give_id=give_id)
    moved = update(WeChatIdentity).where(WeChatIdentity.person_id == give_id).values(person_id=keep_id)
    session().execute(moved)
    if session().scalars(select(Phone.id).where(Phone.person_id == keep_id)).first() is None:
        session().execute(update(Phone).where(Phone.person_id == give_id).values(person_id=keep_id))
    ended = people.end_sessions(person_id=give_id, at=at)
    notices.tell(
        key=f"joined:{give_id}:{keep_id}",
        person_id=keep_id,
        kind="account.joined",
        zh="您的两个账号已合并为此账号，请在各小程序重新登录。",
        en="Your two accounts are this one now. Log in again in each mini-program.",
        at=at,
    )
    audit.write(
        actor=by, action="person.join", object_type="person", object_id=keep_id, at=at, after={"given_up": give_id}
    )
    return ended


__all__ = ["ACCOUNTS_STRANGE", "check_join", "join"]
