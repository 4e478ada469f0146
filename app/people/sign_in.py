"""Sign in and out: a WeChat identity becomes a person, a person gets an opaque token per device."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, text, update

from app import audit, notices, safety, vault
from app.db import connection, run, session
from app.errors import NOT_FOUND, Kind, declare
from app.people.models import FormerIdentity, LoginSession, Person, WeChatIdentity

TOKEN_BYTES = 32
MOST_SESSIONS = 10
SESSION_KEY = "wechat-session-key"
"""The vault's purpose of session keys."""
ENDED_KEPT = timedelta(days=30)

PERSON_DISABLED = declare(
    "person_disabled",
    Kind.NOT_ALLOWED,
    zh="该账号已被停用。如有疑问，请联系客服申诉。",
    en="This account is disabled. If you think that is wrong, contact us and appeal.",
)


UNDER_AGE = declare(
    "under_age",
    Kind.NOT_ALLOWED,
    zh="本服务面向年满 14 周岁的用户。未满 14 周岁请在监护人陪同下联系客服了解。",
    en="This service is for people of 14 and over. If you are younger, ask a guardian to write to customer service.",
)
AGE_UNDECLARED = declare(
    "age_undeclared",
    Kind.CONFLICT,
    zh="加入前请先确认您已年满 14 周岁（登录时提交 of_age）。我们不收集出生日期。",
    en="Before joining, say that you are 14 or older (of_age at sign-in). We never ask for a birth date.",
)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A fresh login. The token is known to the caller alone: we keep its keyed hash.

    ``ended`` are the hashes of old sessions that gave way, for the edge to evict. ``other_account``: WeChat says by the
    unionid that somebody else here is the same human.
    """

    token: str
    person_id: int
    session_id: int
    expires_at: datetime
    is_new: bool
    ended: tuple[bytes, ...]
    of_age: bool = False
    other_account: bool = False


def sign_in(
    *,
    appid: str,
    openid: str,
    at: datetime,
    session_days: int,
    unionid: str | None = None,
    session_key: str | None = None,
    device: str = "",
    language: str = "zh",
    of_age: bool | None = None,
) -> SignedIn:
    """Log in the person of a WeChat identity, made at its first sight; two phones at once find one person.

    The identity must come from WeChat's own answer, never from the caller. ``of_age`` is the person's word to be 14 or
    older (None: nothing said). Raises PERSON_DISABLED, UNDER_AGE.
    """
    if of_age is False:
        raise UNDER_AGE()
    session().flush()
    who = {"appid": appid, "openid": openid}
    known, is_new = run(_KNOWN, who), False
    if not known:
        _, is_new = _identity(appid, openid, unionid, at, language)
        known = run(_KNOWN, who)
    identity = known[0]
    if identity.state != "active":
        raise PERSON_DISABLED()
    if not is_new:
        safety.author_is_back(person_id=identity.person_id, at=at)
    token, until = secrets.token_urlsafe(TOKEN_BYTES), at + timedelta(days=session_days)
    values = {
        "identity": identity.id,
        "unionid": unionid,
        "key": None if session_key is None else vault.encrypt(SESSION_KEY, session_key),
        "person": identity.person_id,
        "of_age": bool(of_age),
        "hash": token_hash(token),
        "epoch": identity.epoch,
        "device": device,
        "at": at,
        "until": until,
        "others": MOST_SESSIONS - 1,
    }
    opened = run(_OPEN, values)[0]
    if opened.other is not None:
        _tell_of_other(identity.person_id, opened.other, at)
    session().expire_all()  # whoever looks at these rows again in this transaction sees what was written
    return SignedIn(
        token, identity.person_id, opened.id, until, is_new, tuple(map(bytes, opened.ended)),
        bool(of_age) or identity.of_age_at is not None, opened.other is not None,
    )  # fmt: skip


def _tell_of_other(person_id: int, other_id: int, at: datetime) -> None:
    """Two accounts of one human, found out late: nothing is merged by itself, but they hear what to do. Once."""
    notices.tell(
        key=f"other-account:{person_id}:{other_id}",
        person_id=person_id,
        kind="account.other",
        zh="微信显示您在本平台还有另一个账号，积分和记录分别保存，不会自动合并。如需合并，请联系客服。",
        en="WeChat says that you have a second account here. Credits and records stay apart, nothing is merged by "
        "itself. Write to customer service to join them.",
        at=at,
    )


_KNOWN = """
    select i.id, i.person_id, p.state, p.epoch, p.of_age_at
    from wechat_identities i join persons p on p.id = i.person_id
    where i.appid = %(appid)s and i.openid = %(openid)s
"""
# A known person's sign-in is one statement: thousands come at eight in the morning. Ten logins a person: the oldest
# gives way.
_OPEN = """
    with seen as (
      update wechat_identities set seen_at = %(at)s, unionid = coalesce(unionid, %(unionid)s),
        session_key_sealed = coalesce(%(key)s, session_key_sealed)
      where id = %(identity)s
    ), aged as (
      update persons set of_age_at = %(at)s where id = %(person)s and %(of_age)s and of_age_at is null
    ), opened as (
      insert into sessions (token_hash, person_id, epoch, device, created_at, expires_at)
      values (%(hash)s, %(person)s, %(epoch)s, %(device)s, %(at)s, %(until)s) returning id
    ), surplus as (
      update sessions set revoked_at = %(at)s
      where person_id = %(person)s and revoked_at is null and expires_at > %(at)s and id not in (
        select id from sessions where person_id = %(person)s and revoked_at is null and expires_at > %(at)s
        order by id desc limit %(others)s)
      returning token_hash
    )
    select (select id from opened) as id, array(select token_hash from surplus) as ended,
      (select min(w.person_id) from wechat_identities w join persons p on p.id = w.person_id and p.state = 'active'
       where w.unionid = %(unionid)s::text and w.person_id <> %(person)s) as other
"""


def token_hash(token: str) -> bytes:
    """What is kept of a token."""
    return vault.keyed_hash("session", token)


def sign_out(*, session_id: int, person_id: int, at: datetime) -> bytes:
    """End one of a person's sessions; the others stay. Answers the hash to evict. Raises NOT_FOUND."""
    found = session().get(LoginSession, session_id, with_for_update=True)
    if found is None or found.person_id != person_id or found.revoked_at is not None:
        raise NOT_FOUND(session=str(session_id))
    found.revoked_at = at
    return found.token_hash


def end_sessions(*, person_id: int, at: datetime, but: int | None = None) -> list[bytes]:
    """End all sessions of a person, except ``but``. Answers the hashes to evict."""
    living = (LoginSession.person_id == person_id, LoginSession.revoked_at.is_(None))
    statement = update(LoginSession).where(*living).values(revoked_at=at).returning(LoginSession.token_hash)
    if but is not None:
        statement = statement.where(LoginSession.id != but)
    return list(session().scalars(statement))


def disable(*, person_id: int, actor: str, reason: str, at: datetime) -> list[bytes]:
    """Disable a person: the epoch rises, every login ends. Answers the hashes to evict. Raises NOT_FOUND."""
    person = session().get(Person, person_id, with_for_update=True)
    if person is None or person.state == "deleted":
        raise NOT_FOUND(person=str(person_id))
    person.state, person.epoch = "disabled", person.epoch + 1
    _audit(person, actor, "person.disable", reason, at)
    return end_sessions(person_id=person_id, at=at)


def enable(*, person_id: int, actor: str, reason: str, at: datetime) -> None:
    """Let a disabled person log in again. Raises NOT_FOUND."""
    person = session().get(Person, person_id, with_for_update=True)
    if person is None or person.state != "disabled":
        raise NOT_FOUND(person=str(person_id))
    person.state = "active"
    _audit(person, actor, "person.enable", reason, at)


def purge(*, at: datetime) -> int:
    """Forget what has had its time: ended sessions after 30 days, former identities after theirs. Answers how many."""
    ended = text("delete from sessions where least(coalesce(revoked_at, expires_at), expires_at) < :before")
    gone = connection().execute(ended, {"before": at - ENDED_KEPT}).rowcount
    return gone + connection().execute(delete(FormerIdentity).where(FormerIdentity.forget_at <= at)).rowcount


def identity_key(appid: str, openid: str) -> bytes:
    """The keyed hash by which a deleted identity is recognised, for a limited time, as no newcomer."""
    return vault.keyed_hash("former-identity", f"{appid}/{openid}")


def _identity(appid: str, openid: str, unionid: str | None, at: datetime, language: str) -> tuple[WeChatIdentity, bool]:
    wanted = select(WeChatIdentity).where(WeChatIdentity.appid == appid, WeChatIdentity.openid == openid)
    found = session().scalars(wanted).first()
    if found is not None:
        return found, False
    # Two phones at once: the second waits here and then finds what the first has made. The unique key stands behind.
    lock = text("select pg_advisory_xact_lock(hashtextextended(:key, 1))")
    if unionid is not None:  # first, for the same person in two mini-programs at once
        connection().execute(lock, {"key": f"union/{unionid}"})
    connection().execute(lock, {"key": f"identity/{appid}/{openid}"})
    found = session().scalars(wanted).first()
    if found is not None:
        return found, False
    known = _person_of_union(unionid)
    person_id = known or _new_person(identity_key(appid, openid), at, language).id
    found = WeChatIdentity(person_id=person_id, appid=appid, openid=openid, unionid=unionid, seen_at=at)
    session().add(found)
    session().flush()
    return found, known is None


def _person_of_union(unionid: str | None) -> int | None:
    """One WeChat account in several mini-programs of ours is one person."""
    if unionid is None:
        return None
    same = select(WeChatIdentity.person_id).where(WeChatIdentity.unionid == unionid).order_by(WeChatIdentity.id)
    return session().scalars(same.limit(1)).first()


def _new_person(former: bytes, at: datetime, language: str) -> Person:
    known = session().get(FormerIdentity, former)
    person = Person(
        pseudonym=secrets.token_hex(8),
        state="active",
        language=language,
        created_at=at,
        newcomer=known is None or known.forget_at <= at,
    )
    session().add(person)
    session().flush()
    return person


def _audit(person: Person, actor: str, action: str, reason: str, at: datetime) -> None:
    audit.write(actor=actor, action=action, object_type="person", object_id=person.id, at=at, reason=reason)


def require_of_age(person_id: int) -> None:
    """Raise AGE_UNDECLARED unless the person has declared to be 14 or older."""
    if session().get_one(Person, person_id).of_age_at is None:
        raise AGE_UNDECLARED()


def keep_session_key(*, identity_id: int, session_key: str | None) -> None:
    """Keep WeChat's new session key of an identity, or that it has none any more."""
    sealed = None if session_key is None else vault.encrypt(SESSION_KEY, session_key)
    session().execute(update(WeChatIdentity).where(WeChatIdentity.id == identity_id).values(session_key_sealed=sealed))
