"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from app.db import connection

COLUMNS: Mapping[str, str] = {
    "wallets.person_id": "kept: the books balance under a pseudonym",
    "awards.person_id": "kept: the books balance under a pseudonym",
    "cap_uses.person_id": "kept: proof that a cap held",
    "boosts.person_id": "kept: proof of the rule that multiplied an award",
}
EXPORT: Mapping[str, str] = {
    "wallets": (
        "select p.code as program, a.balance as credits, m.balance as reduced_mg, w.carry_micro, w.debt_credits"
        " from wallets w join programs p on p.id = w.program_id join accounts a on a.id = w.credits_account_id"
        " join accounts m on m.id = w.mg_account_id where w.person_id = :person_id order by w.id"
    ),
    "awards": (
        "select id::text, record_id::text, reason, share_bps, boost_bps, earned_micro, cut_micro,"
        " cut_by, credits, state,"
        " expires_at, created_at, paid_at from awards where person_id = :person_id order by id"
    ),
    "statement": (
        "select t.id::text as transfer, p.code as program, t.reason, t.source_ref, a.asset, a.kind, e.amount,"
        " e.balance_after, t.posted_at from wallets w"
        " join entries e on e.account_id in (w.credits_account_id, w.hold_account_id, w.mg_account_id)"
        " join accounts a on a.id = e.account_id join transfers t on t.id = e.transfer_id join"
        " programs p on p.id = t.program_id"
        " where w.person_id = :person_id order by t.id, e.leg"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Credits in the wallets, and those that wait for a budget. Their lots expire and return to"
    " their budgets."""
    statement = text(
        "select 'credits' as what, p.code as program, p.name as name, a.balance as amount"
        " from wallets w join programs p on p.id = w.program_id join accounts a on a.id = w.credits_account_id"
        " where w.person_id = :person_id and a.balance > 0"
        " union all select 'pending_credits', p.code, p.name, sum(w.credits)::bigint from awards w"
        " join programs p on p.id = w.program_id"
        " where w.person_id = :person_id and w.state = 'pending' group by p.code, p.name order by 1, 2"
    )
    return [dict(row) for row in connection().execute(statement, {"person_id": person_id, "at": at}).mappings()]


def erase(person_id: int, at: datetime) -> None:
    """What waits for a budget is not paid any more."""
    connection().execute(
        text("update awards set state = 'cancelled' where person_id = :person_id and state = 'pending'"),
        {"person_id": person_id},
    )
