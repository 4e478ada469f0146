"""Reads: what a person has in each program: credits, what is carried or owed, grams, lots by their end."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.db import read
from app.errors import NOT_FOUND

_WALLETS = """
    select p.code, p.name, p.name_en, p.kind, w.id, w.credits_account_id, w.carry_micro, w.debt_credits,
           coalesce(l.credits, 0)::bigint as available, coalesce(mg.balance, 0) as mg,
           coalesce(a.credits, 0)::bigint as pending, coalesce(h.balance, 0) as held
    from wallets w
    join programs p on p.id = w.program_id
    left join accounts mg on mg.id = w.mg_account_id
    left join accounts h on h.id = w.hold_account_id
    left join lateral (
      select sum(remaining) as credits from lots
      where account_id = w.credits_account_id and remaining > 0 and expires_at > %(at)s
    ) l on true
    left join lateral (
      select sum(credits) as credits from awards where wallet_id = w.id and state = 'pending'
    ) a on true
    left join memberships m on m.person_id = w.person_id and m.program_id = w.program_id
    where w.person_id = %(person)s
    order by m.rank nulls last, w.id
"""
_LOTS = """
    select w.id as wallet_id, l.expires_at, sum(l.remaining)::bigint as credits, s.name as sponsor,
           s.name_en as sponsor_en, s.logo_url
    from wallets w
    join lots l on l.account_id = w.credits_account_id
    join budgets b on b.id = l.budget_id join sponsors s on s.id = b.sponsor_id
    where w.person_id = %(person)s and l.remaining > 0 and l.expires_at > %(at)s
    group by w.id, l.expires_at, s.id order by w.id, l.expires_at, s.id
"""


def of_person(person_id: int, *, at: datetime) -> list[Any]:
    """A person's wallets in the person's order of programs. ``available`` are credits that can be spent now."""
    return read(_WALLETS, {"person": person_id, "at": at})


def lots_of(person_id: int, *, at: datetime) -> list[Any]:
    """What can be spent, by when it expires and who paid for it."""
    return read(_LOTS, {"person": person_id, "at": at})


def credits_account(person_id: int, program_id: int) -> int:
    """The account of a person's credits in a program. Raises NOT_FOUND when there is no wallet yet."""
    query = "select credits_account_id from wallets where person_id = %(person)s and program_id = %(program)s"
    rows = read(query, {"person": person_id, "program": program_id})
    if not rows:
        raise NOT_FOUND(wallet="none yet")
    return int(rows[0].credits_account_id)


_SPENDABLE = """
    select coalesce(sum(l.remaining), 0)::bigint as credits
    from wallets w join lots l on l.account_id = w.credits_account_id
    where w.person_id = %(person)s and w.program_id = %(program)s and l.remaining > 0 and l.expires_at > %(at)s
"""


def spendable(person_id: int, program_id: int, *, at: datetime) -> int:
    """The credits that a person can spend in a program now."""
    return int(read(_SPENDABLE, {"person": person_id, "program": program_id, "at": at})[0].credits)
