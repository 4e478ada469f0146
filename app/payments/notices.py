"""Notices of WeChat Pay: each kept once by its id, with a hash of what was inside and without the payer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.db import run

_KEEP = """
    with kept as (
      insert into payment_notices (mchid, notice_id, event_type, content_hash, number, state, received_at, settled_at)
      values (%(mchid)s, %(id)s, %(type)s, %(hash)s, %(number)s, 'settled', %(at)s, %(at)s)
      on conflict (mchid, notice_id) do update set times = payment_notices.times + 1,
        content_hash = case when payment_notices.state = 'refused' then excluded.content_hash
                            else payment_notices.content_hash end
      returning id as kept_id, state as kept_as, content_hash = %(hash)s as same, times
    )
    select k.*, p.id, p.subject_ref, p.appid, p.mchid, p.payer_hash, p.out_trade_no, p.total_fen, p.state,
           p.transaction_id
    from kept k left join payments p on p.out_trade_no = %(number)s
"""
_END = """
    update payment_notices set state = %(state)s, problem = %(problem)s,
      settled_at = case when %(state)s = 'refused' then null else %(at)s end
    where id = %(id)s
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A notice as it stands: ``settled`` before this time; not ``same`` when the id was settled with other content.

    One that was refused is judged anew each time: its repeats give us time to mend what was wrong with us.
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
    refused = row.kept_as == "refused"
    return Kept(row.kept_id, row.times > 1 and not refused, row.same, refused, None if row.id is None else row)


def end(kept: Kept, *, state: str, problem: str | None, at: datetime) -> None:
    """How it ended, where that isn't plainly settled: refused with its problem, or ignored."""
    run(_END, {"id": kept.id, "state": state, "problem": problem, "at": at})
