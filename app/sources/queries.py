"""Reads about sources: whose account it was, and how late each source is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import select, text

from app.db import connection, read
from app.errors import NOT_FOUND
from app.memo import remember
from app.sources.actions import account_hash
from app.sources.models import AccountBinding


def holders_of(source_id: int, accounts: Iterable[tuple[str, datetime]]) -> dict[tuple[str, datetime], int | None]:
    """Who held each account at its moment, with one statement."""
    wanted = list(dict.fromkeys(accounts))
    hashes = {account: account_hash(source_id, account) for account, _ in wanted}
    query = select(
        AccountBinding.account_hash, AccountBinding.person_id, AccountBinding.bound_at, AccountBinding.unbound_at
    ).where(AccountBinding.source_id == source_id, AccountBinding.account_hash.in_(set(hashes.values())))
    held: dict[bytes, list[Any]] = defaultdict(list)
    for row in connection().execute(query):
        held[bytes(row.account_hash)].append(row)

    def holder(account: str, when: datetime) -> int | None:
        for row in held[hashes[account]]:
            if row.bound_at <= when and (row.unbound_at is None or when < row.unbound_at):
                return int(row.person_id)
        return None

    return {(account, when): holder(account, when) for account, when in wanted}


def holder_of(source_id: int, account: str, when: datetime) -> int | None:
    """Who held one account at a moment."""
    return holders_of(source_id, [(account, when)])[account, when]


def id_of(program_id: int, code: str) -> int:
    """The id of a program's source by its code, remembered for a moment. Raises NOT_FOUND."""
    found = remember(("source id", program_id, code), lambda: _id_of(program_id, code))
    if found is None:
        raise NOT_FOUND(source=code)
    return found


def _id_of(program_id: int, code: str) -> int | None:
    rows = read("select id from sources where program_id = %(p)s and code = %(c)s", {"p": program_id, "c": code})
    return int(rows[0].id) if rows else None


def partners(program_id: int) -> list[Any]:
    """The active partners of a program, where a person may bind an account: code and name."""
    query = (
        "select id, code, name from sources where program_id = %(program)s and kind = 'partner' and state = 'active'"
        " order by code"
    )
    return read(query, {"program": program_id})


def accounts_of(person_id: int) -> list[Any]:
    """The accounts at partners that a person has bound now, oldest first."""
    query = """
        select b.id, b.hint, b.bound_at, s.code as partner, s.name as partner_name, p.code as program
        from account_bindings b join sources s on s.id = b.source_id join programs p on p.id = s.program_id
        where b.person_id = %(person)s and b.unbound_at is null order by b.id
    """
    return read(query, {"person": person_id})


_FRESHNESS = text(
    """
    select s.id, s.code, s.name, s.kind, s.state, s.expected_lag_hours, r.newest_act_at, r.last_received_at, r.records,
           r.held
    from sources s
    left join lateral (
      select max(occurred_at) as newest_act_at, max(received_at) as last_received_at, count(*) as records,
             count(*) filter (where state = 'held') as held
      from records where program_id = s.program_id and source_id = s.id
    ) r on true
    where s.program_id = :program order by s.code
    """
)


def freshness(program_id: int, *, at: datetime) -> list[dict[str, Any]]:
    """How late each source of a program is: hours since its newest act, and whether that is more than expected."""
    found = []
    for row in connection().execute(_FRESHNESS, {"program": program_id}):
        lag = None if row.newest_act_at is None else int((at - row.newest_act_at).total_seconds() // 3600)
        found.append(
            {
                "code": row.code,
                "name": row.name,
                "kind": row.kind,
                "state": row.state,
                "newest_act_at": row.newest_act_at,
                "last_received_at": row.last_received_at,
                "lag_hours": lag,
                "late": lag is not None and lag > row.expected_lag_hours,
                "records": row.records,
                "held": row.held,
            }
        )
    return found
