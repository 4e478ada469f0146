"""Recovery of an account whose phone is lost: a new WeChat identity proves the bound number and asks for the account.

The wallets are frozen for spending at once, and codes are neither shown nor redeemed, also those that come into being
meanwhile (the triggers ``hold_of_recovery``). For 72 hours the old identity is told and can object; then an operator
asks a second one (``app/approvals``), and the account gets the new identity. Nothing is merged: a claimant who has an
account with something in it is refused.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, text, update

from app import audit, notices, people, phones, tickets
from app.db import connection, read, session
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.people.models import WeChatIdentity
from app.recovery.joining import ACCOUNTS_STRANGE, check_join, join
from app.recovery.models import Recovery

HOLD = timedelta(hours=72)

RECOVERY_NOTHING = declare(
    "recovery_nothing",
    Kind.NOT_FOUND,
    zh="没有绑定该手机号的其他账号。如需帮助，请联系客服。",
    en="No other account is bound to this number. For help, write to customer service.",
)
RECOVERY_OPEN = declare(
    "recovery_open",
    Kind.CONFLICT,
    zh="该账号已有一个找回申请正在处理，请等待结果或联系客服。",
    en="A recovery of this account is under way. Wait for its end, or write to customer service.",
)
RECOVERY_OCCUPIED = declare(
    "recovery_occupied",
    Kind.CONFLICT,
    zh="您当前的微信账号已加入项目，无法直接接收旧账号。请先联系客服处理。",
    en="Your present account belongs to a program already, so the old one can't take its place. Write to us first.",
)
RECOVERY_WAITING = declare(
    "recovery_waiting",
    Kind.CONFLICT,
    zh="有人正在申请找回此账号，处理结束前不能注销。如非本人申请，请先提出异议。",
    en="Somebody asks for this account, so it can't be deleted until that is over. If it wasn't you, object first.",
)
RECOVERY_HOLD = declare(
    "recovery_hold",
    Kind.CONFLICT,
    zh="该账号正在找回处理中，此操作暂停。如非本人申请，请先提出异议。",
    en="Somebody asks for this account, so this is paused until that is over. If it wasn't you, object first.",
)
RECOVERY_EARLY = declare(
    "recovery_early",
    Kind.CONFLICT,
    zh="72 小时的异议期尚未结束，到期后才能提交审批。",
    en="The 72 hours in which the owner may object are not over.",
)


def ask(*, claimant_id: int, country: str, number: str, appid: str, at: datetime) -> Recovery:
    """Ask for the account of a number that WeChat has just proven. The owner is told, the wallets are frozen.

    Raises RECOVERY_NOTHING, RECOVERY_OPEN, RECOVERY_OCCUPIED.
    """
    hashes = phones.number_hashes(country, number)
    owner = phones.holder_of(hashes)
    if owner is None or owner == claimant_id:
        raise RECOVERY_NOTHING()
    _lock(owner)
    standing = _open(owner)
    if standing is not None:
        if standing.claimant_id == claimant_id:
            return standing
        raise RECOVERY_OPEN()
    _check_empty(claimant_id)
    found = Recovery(
        person_id=owner, claimant_id=claimant_id, number_hash=hashes[0], asked_at=at, ripe_at=at + HOLD, state="waiting"
    )
    session().add(found)
    session().flush()
    _freeze(owner, True)
    _tell_owner(found, at)
    tickets.open_about(
        person_id=claimant_id,
        appid=appid,
        at=at,
        body=f"recovery {found.id}: account {owner} asked for by {claimant_id}",
    )
    audit.write(actor=f"person:{claimant_id}", action="recovery.ask", object_type="recovery", object_id=found.id, at=at)
    return found


def object_to(*, recovery_id: int, person_id: int, at: datetime) -> None:
    """The owner is still here and says no: it ends, the wallets are free. Raises NOT_FOUND, STATE_CONFLICT."""
    found = _locked(recovery_id)
    if found.person_id != person_id:
        raise NOT_FOUND(recovery=str(recovery_id))
    _end(found, "objected", f"person:{person_id}", None, at)


def refuse(*, recovery_id: int, words: str, by: str, at: datetime) -> None:
    """An operator refuses, with words for the claimant. Raises NOT_FOUND, STATE_CONFLICT."""
    found = _locked(recovery_id)
    _end(found, "refused", by, words, at)


def check_ripe(recovery_id: int, at: datetime) -> Recovery:
    """A recovery that may be handed over now. Raises NOT_FOUND, STATE_CONFLICT, RECOVERY_EARLY, RECOVERY_OCCUPIED."""
    found = _locked(recovery_id)
    if at < found.ripe_at:
        raise RECOVERY_EARLY(ripe_at=found.ripe_at.isoformat())
    _check_empty(found.claimant_id)
    return found


def hand_over(*, recovery_id: int, by: str, at: datetime) -> list[bytes]:
    """Give the account to the new identity, after both approvals. Answers session hashes to evict.

    The old identity of the same mini-programs goes, the claimant's empty person is closed, all logins end.
    """
    found = check_ripe(recovery_id, at)
    new = session().scalars(select(WeChatIdentity).where(WeChatIdentity.person_id == found.claimant_id)).all()
    appids = [one.appid for one in new]
    session().execute(
        delete(WeChatIdentity).where(WeChatIdentity.person_id == found.person_id, WeChatIdentity.appid.in_(appids))
    )
    session().flush()
    session().execute(
        update(WeChatIdentity).where(WeChatIdentity.person_id == found.claimant_id).values(person_id=found.person_id)
    )
    if phones.of_person(found.claimant_id) is not None:
        phones.unbind(person_id=found.claimant_id, at=at)
    ended = people.end_sessions(person_id=found.person_id, at=at)
    ended += people.end_sessions(person_id=found.claimant_id, at=at)
    claimant = people.get(found.claimant_id)
    claimant.state, claimant.epoch, claimant.deleted_at = "deleted", claimant.epoch + 1, at
    claimant.nickname = claimant.avatar_url = None
    _end(found, "done", by, None, at)
    notices.tell(
        key=f"recovery:{recovery_id}:done",
        person_id=found.person_id,
        kind="recovery.done",
        zh="您的账号已恢复到当前微信。请重新登录查看积分与订单。",
        en="Your account is yours again with this WeChat. Log in to see your credits and orders.",
        at=at,
    )
    return ended


def check_hold(person_id: int) -> None:
    """Raise RECOVERY_HOLD while somebody asks for the account: what would leave it and never come back is paused."""
    if _open(person_id) is not None:
        raise RECOVERY_HOLD()


def check_free(person_id: int) -> None:
    """Raise RECOVERY_WAITING while somebody asks for the account: whoever holds the lost phone must not delete it."""
    if _open(person_id) is not None:
        raise RECOVERY_WAITING()


def of_person(person_id: int) -> list[Any]:
    """Recoveries that a person asked for or that are about their account, newest first."""
    query = """
        select id, state, person_id = %(id)s as about_me, asked_at, ripe_at, ended_at, words from recoveries
        where person_id = %(id)s or claimant_id = %(id)s order by id desc limit 20
    """
    return read(query, {"id": person_id})


def listed(*, everything: bool = False) -> list[Any]:
    """For operators: those that wait, oldest first."""
    query = (
        "select id, state, person_id, claimant_id, asked_at, ripe_at, ended_at, ended_by from recoveries"
        " where %(all)s or state = 'waiting' order by id"
    )
    return read(query, {"all": everything})


def _check_empty(claimant_id: int) -> None:
    if (
        connection()
        .execute(text("select 1 from memberships where person_id = :id limit 1"), {"id": claimant_id})
        .first()
    ):
        raise RECOVERY_OCCUPIED()


def _lock(person_id: int) -> None:
    """Wallets by id, as everywhere, then the person: whoever is making a wallet or a code of theirs comes first."""
    values = {"id": person_id}
    connection().execute(text("select 1 from wallets where person_id = :id order by id for update"), values)
    connection().execute(text("select 1 from persons where id = :id for update"), values)


def _freeze(person_id: int, frozen: bool) -> None:
    """Hold or free what the account can spend. Locks: wallets by id, codes by id."""
    values = {"id": person_id, "frozen": frozen}
    connection().execute(text("select 1 from wallets where person_id = :id order by id for update"), values)
    connection().execute(text("update wallets set frozen = :frozen where person_id = :id"), values)
    held = "select id from codes where person_id = :id and held <> :frozen order by id for no key update"
    connection().execute(text(f"update codes set held = :frozen where id in ({held})"), values)  # noqa: S608


def _tell_owner(found: Recovery, at: datetime) -> None:
    notices.tell(
        key=f"recovery:{found.id}:asked",
        person_id=found.person_id,
        kind="recovery.asked",
        zh="有人用您的手机号申请找回此账号，期间积分暂停使用。如非本人操作，请在 72 小时内提出异议。",
        en="Somebody with your phone number asks for this account; spending is paused. If it isn't you, object within "
        "72 hours.",
        details={"recovery_id": str(found.id)},
        at=at,
    )


def _end(found: Recovery, state: str, by: str, words: str | None, at: datetime) -> None:
    found.state, found.ended_at, found.ended_by, found.words = state, at, by, words
    session().flush()
    _freeze(found.person_id, False)
    audit.write(actor=by, action=f"recovery.{state}", object_type="recovery", object_id=found.id, at=at, reason=words)


def _open(person_id: int) -> Recovery | None:
    return session().scalars(
        select(Recovery).where(Recovery.person_id == person_id, Recovery.state == "waiting")
    ).first()  # fmt: skip


def _locked(recovery_id: int) -> Recovery:
    found = session().get(Recovery, recovery_id, with_for_update=True)
    if found is None:
        raise NOT_FOUND(recovery=str(recovery_id))
    if found.state != "waiting":
        raise STATE_CONFLICT(state=found.state)
    return found


__all__ = [
    "ACCOUNTS_STRANGE",
    "HOLD",
    "RECOVERY_EARLY",
    "RECOVERY_HOLD",
    "RECOVERY_NOTHING",
    "RECOVERY_OCCUPIED",
    "RECOVERY_OPEN",
    "RECOVERY_WAITING",
    "Recovery",
    "ask",
    "check_free",
    "check_hold",
    "check_join",
    "check_ripe",
    "hand_over",
    "join",
    "listed",
    "object_to",
    "of_person",
    "refuse",
]
