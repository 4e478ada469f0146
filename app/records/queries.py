"""Reads: a person's records with what became of them."""

from __future__ import annotations

from typing import Any

from app.db import read

_LINES = """
    select r.id, r.state, r.tier, r.occurred_at, r.ended_at, r.received_at, r.reason_code, r.reason_zh, r.reason_en,
           p.code as program, s.code as scenario, s.name, s.name_en, s.picture, payer.code as paid_in,
           case when r.state in ('counted', 'mirrored') then coalesce(d.counted_mg, 0) else 0 end as mg,
           coalesce(a.credits, 0)::bigint as credits, a.award_state
    from records r
    join programs p on p.id = r.program_id
    join scenarios s on s.program_id = r.program_id and s.id = r.scenario_id
    left join reductions d on d.record_id = coalesce(r.primary_id, r.id)
    left join records q on q.id = r.primary_id
    left join programs payer on payer.id = q.program_id
    left join lateral (
      select sum(w.credits) filter (where w.state in ('paid', 'pending')) as credits,
             min(w.state) filter (where w.reason = 'record') as award_state
      from awards w where w.record_id = r.id
    ) a on true
    where r.person_id = %(person)s
"""
_PAGE = """
      and r.id < %(before)s and (%(program)s::bigint is null or r.program_id = %(program)s)
      and (%(state)s::text is null or r.state = %(state)s)
    order by r.id desc limit %(limit)s
"""


def of_person(
    person_id: int, *, before: int | None, limit: int, program_id: int | None = None, state: str | None = None
) -> list[Any]:
    """A person's records, newest first, below the cursor: what happened, its state, milligrams, credits, award."""
    values = {"person": person_id, "before": before or 2**63 - 1, "limit": limit}
    return read(_LINES + _PAGE, {**values, "program": program_id, "state": state})


def line(record_id: int, person_id: int) -> Any | None:
    """One of a person's records as in the list; None for somebody else's."""
    rows = read(_LINES + " and r.id = %(record)s", {"person": person_id, "record": record_id})
    return rows[0] if rows else None
