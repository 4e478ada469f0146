"""Notices of WeChat Pay: each kept once by its id, with a hash of what was inside and without the payer.

A genuine one that nobody could read is kept as it came, still sealed with the APIv3 key, until it can be read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.db import read, run

REFUSED, UNREAD = "refused", "unread"
MOST_BODIES = 10_000
"""A flood of what we can't read must not fill the disk: further ones are counted only."""
BODIES_KEPT = timedelta(days=90)

_KEEP = """
    with kept as (
      insert into payment_notices (mchid, notice_id, event_type, content_hash, number, state, received_at, settled_at)
      values (%(mchid)s, %(id)s, %(type)s, %(hash)s, %(number)s, 'settled', %(at)s, %(at)s)
      on conflict (mchid, notice_id) do update set times = payment_notices.times + 1,
        content_hash = case when payment_notices.state in ('refused', 'unread') then excluded.content_hash
                            else payment_notices.content_hash end
      returning id as kept_id, state as kept_as, content_hash = %(hash)s as same, times
    )
    select k.*, p.id, p.subject_ref, p.appid, p.mchid, p.payer_hash, p.out_trade_no, p.total_fen, p.state,
           p.transaction_id
    from kept k left join payments p on p.out_trade_no = %(number)s
"""
_END = """
    update payment_notices set state = %(state)s, problem = %(problem)s, number = coalesce(number, %(number)s),
      event_type = coalesce(%(type)s, event_type), body = null,
      settled_at = case when %(state)s = 'refused' then null else %(at)s end
    where id = %(id)s
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A notice as it stands: ``settled`` before this time; not ``same`` when the id was settled with other content.

    One that was refused or unread is judged anew each time: repeats give us time to mend what was wrong with us.
    ``payment`` is the one of its number, as ``settling.find`` answers it.
    """

    id: int
    settled: bool
    same: bool
    refused: bool = False
    payment: Any | None = None


def keep(
    *, mchid: str, notice_id: str, event_type: str, content: Mapping[str, Any], number: str | None, at: datetime
) -> Kept:
    """Keep a notice, or count it once more. Its row is locked until the transaction ends: a twin waits."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).digest()
    values = {"mchid": mchid, "id": notice_id, "type": event_type, "hash": digest, "number": number, "at": at}
    row = run(_KEEP, values)[0]
    refused = row.kept_as in (REFUSED, UNREAD)
    return Kept(row.kept_id, row.times > 1 and not refused, row.same, refused, None if row.id is None else row)


def end(
    kept: Kept,
    *,
    state: str,
    problem: str | None,
    at: datetime,
    event_type: str | None = None,
    number: str | None = None,
) -> None:
    """How it ended, where that isn't plainly settled: refused with its problem, or ignored.

    ``event_type`` and ``number`` fill in what an unread one didn't tell.
    """
    values = {"id": kept.id, "state": state, "problem": problem, "type": event_type, "number": number, "at": at}
    run(_END, values)


_KEEP_UNREAD = """
    insert into payment_notices (mchid, notice_id, event_type, content_hash, state, problem, body, received_at)
    select %(mchid)s, %(id)s, '', %(hash)s, 'unread', %(problem)s,
           case when (select count(*) from payment_notices where body is not null) < %(most)s then %(body)s::bytea end,
           %(at)s
    on conflict (mchid, notice_id) do update set times = payment_notices.times + 1
"""
_UNREAD = """
    select id, notice_id, body from payment_notices
    where mchid = %(mchid)s and body is not null and id > %(after)s order by id limit 100
"""
_LIST = """
    select id, notice_id, event_type, number, state, problem, times, received_at, body is not null as kept_as_it_came
    from payment_notices where %(all)s or state in ('refused', 'unread') order by id desc limit %(limit)s
"""


def keep_unread(*, mchid: str, notice_id: str, body: bytes, problem: str, at: datetime) -> None:
    """Keep a genuine notice that can't be read, as it came; one that is known already is counted once more."""
    digest = hashlib.sha256(body).digest()
    values = {"mchid": mchid, "id": notice_id, "hash": digest, "problem": problem, "body": body, "at": at}
    run(_KEEP_UNREAD, {**values, "most": MOST_BODIES})


def unread(mchid: str, *, after: int = 0) -> list[Any]:
    """A hundred of those that wait to be read, oldest first."""
    return run(_UNREAD, {"mchid": mchid, "after": after})


def read_as(unread_id: int, notice_id: str) -> None:
    """An unread one has told its id now and was settled under that; its own row is over."""
    run(
        "update payment_notices set state = 'ignored', problem = 'read as another', body = null"
        " where id = %(id)s and notice_id <> %(notice)s",
        {"id": unread_id, "notice": notice_id},
    )


def forget_bodies(at: datetime) -> int:
    """After :data:`BODIES_KEPT` nobody will read them any more: query and bill have long told the same."""
    query = "update payment_notices set body = null where body is not null and received_at < %(before)s returning id"
    return len(run(query, {"before": at - BODIES_KEPT}))


def listed(*, everything: bool = False, limit: int = 1_000) -> list[Any]:
    """Refused and unread notices, or all, newest first."""
    return read(_LIST, {"all": everything, "limit": limit})
