"""Post transfers through the database function ``ledger_post``; open accounts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg import errors as pg
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.db import connection, run
from app.errors import Kind, declare
from app.ledger.models import Account, Entry, Transfer

# Kinds of account that can never be negative, by asset. All others are system accounts without a stored balance.
GUARDED = {
    *("wallet", "hold", "budget", "budget_money", "saved"),
    *("payable", "payout", "welfare", "match", "order_money", "refund_due"),
}

INSUFFICIENT = declare(
    "insufficient",
    Kind.CONFLICT,
    zh="余额不足。请查看可用积分后重试。",
    en="The balance is not enough. Look at what is available and try again.",
)
LEDGER_CONFLICT = declare(
    "ledger_conflict",
    Kind.CONFLICT,
    zh="同一凭证已记账且内容不同，原有记账保持不变。请核对凭证编号。",
    en="This source was posted before with other entries; the first stands. Check the reference.",
)

_POST = "select ord, transfer_id, fresh from ledger_post(%(batch)s::jsonb, %(at)s)"


@dataclass(slots=True)
class Draft:
    """A transfer to be posted. ``legs`` are (account id, amount); (reason, source_ref) is its natural key.

    ``transfer_id`` is known once it is posted.
    """

    program_id: int
    reason: str
    source_ref: str
    legs: Sequence[tuple[int, int]]
    memo: Mapping[str, Any] = field(default_factory=dict)
    reverses: int | None = None
    transfer_id: int | None = None


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of a draft: its transfer, and whether this call made it."""

    transfer_id: int
    fresh: bool


def post(drafts: Sequence[Draft], *, at: datetime) -> list[Posted]:
    """Post a batch in one statement; answers in the order of the drafts.

    A draft whose (reason, source_ref) stands already changes nothing and is answered with the first. Raises
    LEDGER_CONFLICT when it stands with other legs, INSUFFICIENT when a guarded account would go below zero; then
    nothing of the batch is posted.
    """
    if not drafts:
        return []
    try:
        rows = run(_POST, {"batch": json.dumps(as_json(drafts), separators=(",", ":")), "at": at})
    except psycopg.Error as error:
        raise refusal(error) from error
    for draft, row in zip(drafts, rows, strict=True):
        draft.transfer_id = row.transfer_id
    return [Posted(row.transfer_id, row.fresh) for row in rows]


def posted(reason: str, source_ref: str) -> int | None:
    """The transfer of a natural key, if there is one."""
    query = select(Transfer.id).where(Transfer.reason == reason, Transfer.source_ref == source_ref)
    return connection().execute(query).scalar_one_or_none()


def reversal_of(transfer_id: int, *, reason: str, source_ref: str) -> Draft:
    """The exact negation of a transfer, as a draft (LED-9: the database allows one per transfer)."""
    legs = connection().execute(
        select(Entry.program_id, Entry.account_id, Entry.amount)
        .where(Entry.transfer_id == transfer_id)
        .order_by(Entry.leg)
    )
    found = legs.all()
    return Draft(
        program_id=found[0].program_id,
        reason=reason,
        source_ref=source_ref,
        legs=[(leg.account_id, -leg.amount) for leg in found],
        reverses=transfer_id,
    )


def account(*, program_id: int, asset: str, kind: str, owner_key: str = "") -> int:
    """The account of an owner, opened when there is none."""
    return accounts([(program_id, asset, kind, owner_key)])[program_id, asset, kind, owner_key]


Key = tuple[int, str, str, str]


def accounts(keys: Iterable[Key]) -> dict[Key, int]:
    """The accounts of many owners, those that lack opened with one statement. Keys: (program, asset, kind, owner)."""
    wanted = sorted(set(keys))
    found = _existing(wanted)
    missing = [key for key in wanted if key not in found]
    if missing:
        rows = [
            {
                "program_id": program,
                "asset": asset,
                "kind": kind,
                "owner_key": owner,
                "guarded": kind in GUARDED,
                "balance": 0 if kind in GUARDED else None,
            }
            for program, asset, kind, owner in missing
        ]
        connection().execute(insert(Account).on_conflict_do_nothing(), rows)
        found |= _existing(missing)
    return found


_FIND = """
    select a.program_id, a.asset, a.kind, a.owner_key, a.id from accounts a
    join unnest(%(p)s::bigint[], %(a)s::text[], %(k)s::text[], %(o)s::text[]) as w (p, a, k, o)
      on a.program_id = w.p and a.asset = w.a and a.kind = w.k and a.owner_key = w.o
"""


def _existing(keys: Sequence[Key]) -> dict[Key, int]:
    if not keys:
        return {}
    columns = list(zip(*keys, strict=True))
    values = {name: list(column) for name, column in zip("pako", columns, strict=True)}
    rows = run(_FIND, values)
    return {(row.program_id, row.asset, row.kind, row.owner_key): row.id for row in rows}


def as_json(drafts: Sequence[Draft]) -> list[dict[str, Any]]:
    """Drafts as ``ledger_post`` takes them."""
    return [
        {
            "p": draft.program_id,
            "r": draft.reason,
            "s": draft.source_ref,
            "m": dict(draft.memo),
            "v": draft.reverses,
            "l": [list(leg) for leg in draft.legs],
        }
        for draft in drafts
    ]


def refusal(error: psycopg.Error) -> Exception:
    """The plain words for what a constraint of the ledger refused; anything else stays what it was."""
    if isinstance(error, pg.CheckViolation):
        if error.diag.constraint_name in ("ck_accounts_never_negative", "ck_entries_balance_after"):
            return INSUFFICIENT()
    elif error.sqlstate == "DL409":
        return LEDGER_CONFLICT()
    return error
