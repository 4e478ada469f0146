"""Retire grams: they leave a person's account for good and are in no export. Each record's grams once at most.

Only what a market would take can be given away: counted, of evidence tiers A to C, oldest act first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, update

from app import funding, ledger
from app.db import connection, run
from app.errors import Kind, declare
from app.ledger import Draft
from app.records.models import RetiredGrams
from app.units import MG

GRAMS_SHORT = declare(
    "grams_short",
    Kind.CONFLICT,
    zh="可捐赠的减排量不足（仅限证据等级 A–C、已计入且未捐赠过的）。可捐数量见 details。",
    en="You can't give that many grams: only counted ones of tiers A to C that were not given yet. See `details`.",
)

_FREE = """
    select x.record_id, x.mg from exportable_grams x join records r on r.id = x.record_id
    where r.person_id = %(person)s and r.program_id = %(program)s order by r.occurred_at, r.id
"""


@dataclass(frozen=True, slots=True)
class Retired:
    """The transfer that retired grams, and from how many records they came."""

    transfer_id: int
    records: int


def retire(*, person_id: int, program_id: int, mg: int, source_ref: str, at: datetime) -> Retired:
    """Retire so many milligrams of a person in a program. Raises GRAMS_SHORT. Locks: wallet, ledger accounts."""
    wallet = funding.lock_wallet(person_id=person_id, program_id=program_id, at=at)
    rows, left = [], mg
    for row in run(_FREE, {"person": person_id, "program": program_id}):
        part = min(left, row.mg)
        if part > 0:
            rows.append({"record_id": row.record_id, "mg": part})
            left -= part
    if left:
        raise GRAMS_SHORT(needed=str(mg), available=str(mg - left))
    retired = ledger.account(program_id=program_id, asset=MG, kind="retired")
    legs = [(wallet.mg_account_id, -mg), (retired, mg)]
    done = ledger.post([Draft(program_id, "grams.retire", source_ref, legs)], at=at)[0]
    connection().execute(insert(RetiredGrams), [{"transfer_id": done.transfer_id, **row} for row in rows])
    return Retired(done.transfer_id, len(rows))


def available(person_id: int, program_id: int) -> int:
    """How many milligrams a person could give away in a program."""
    return sum(row.mg for row in run(_FREE, {"person": person_id, "program": program_id}))


def unretire(record: Any, *, at: datetime) -> int:
    """A record is taken back: what it had given away comes back first, so that its grams can be negated exactly.

    Answers the milligrams; whoever they were given to shows less from now on.
    """
    query = """select coalesce(sum(mg), 0)::bigint as mg from retired_grams
               where record_id = %(record)s and returned_at is null"""
    mg = int(run(query, {"record": record.id})[0].mg)
    if mg:
        wallet = funding.lock_wallet(person_id=record.person_id, program_id=record.program_id, at=at)
        retired = ledger.account(program_id=record.program_id, asset=MG, kind="retired")
        legs = [(retired, -mg), (wallet.mg_account_id, mg)]
        # A record that was restored may give and be taken back again: the time tells the one from the other.
        source = f"record:{record.id}:{at.isoformat()}"
        ledger.post([Draft(record.program_id, "grams.return", source, legs)], at=at)
        gone = update(RetiredGrams).where(RetiredGrams.record_id == record.id, RetiredGrams.returned_at.is_(None))
        connection().execute(gone.values(returned_at=at))
    return mg
