"""One act, one claim (domain.md, records 4): overlaps collapse onto the better tier, at equal tier onto the first.

A scenario's ``claim`` says what its acts exclude: ``trip`` other trips of the person in that time, ``day`` the same
kind of daily total, ``vehicle`` other records of the vehicle in that time, ``meter`` other readings of the meter,
``none`` nothing. Daily totals never exclude trips. Claims belong to the person, over all programs.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app import clock
from app.db import run
from app.records.acts import Work
from app.records.reasons import reason

INSTANT = timedelta(microseconds=1)
# Mileage has priority over charging: both describe the same kilometres (methodologies.md 7). Then the tier decides.
PRIORITY = {"nev-mileage": 0, "phev-mileage": 0}


@dataclass(slots=True)
class Wanted:
    """A claim that a record wants to make."""

    kind: str
    subject_key: int
    starts: datetime
    ends: datetime
    tier: str
    rank: tuple[int, str]


@dataclass(slots=True)
class Standing:
    """A live claim: of the database, or of an earlier act of the same batch."""

    subject_key: int
    starts: datetime
    ends: datetime
    rank: tuple[int, str]
    person_id: int
    record_id: int | None
    work: Work | None


def settle(works: Sequence[Work]) -> None:
    """Decide each act of a batch against what stands: it claims, collapses, overtakes, or is held."""
    for work in works:
        work.claims = wanted(work) if work.state == "counted" else []
    standing = _standing([claim for work in works for claim in work.claims])
    for work in works:
        for claim in work.claims:
            rivals = [s for s in standing[claim.subject_key] if s.starts < claim.ends and claim.starts < s.ends]
            rivals = [s for s in rivals if s.work is None or s.work.state == "counted"]
            _meet(work, claim, rivals)
            if work.state != "counted":
                break
        if work.state == "counted":
            for claim in work.claims:
                standing[claim.subject_key].append(
                    Standing(claim.subject_key, claim.starts, claim.ends, claim.rank, work.act.person_id, None, work)
                )


def _meet(work: Work, claim: Wanted, rivals: Sequence[Standing]) -> None:
    for rival in rivals:
        if rival.person_id != work.act.person_id:
            work.hold(reason("claimed_by_two"))
            return
    if any(rival.rank <= claim.rank for rival in rivals):
        first = next(rival for rival in rivals if rival.rank <= claim.rank)
        work.collapse(reason("same_act", _name(first)))
        return
    for rival in rivals:
        if rival.work is not None:
            rival.work.collapse(reason("better_source", work.act.reference))
        elif rival.record_id is not None:
            work.overtaken.append(rival.record_id)


def wanted(work: Work) -> list[Wanted]:
    """The claims that an act makes by its scenario."""
    act, kind = work.act, work.scenario.claim
    rank = (PRIORITY.get(work.scenario.methodology, 1), work.tier)
    starts, ends = act.occurred_at, max(act.until, act.occurred_at + INSTANT)
    if kind == "none":
        return []
    if kind == "trip":
        return [Wanted(kind, subject_key("person-trip", act.person_id), starts, ends, work.tier, rank)]
    if kind == "day":
        day = clock.period("day", clock.business_day(act.occurred_at))
        subject = subject_key(f"day:{work.scenario.methodology}", act.person_id)
        return [Wanted(kind, subject, day.starts, day.ends or ends, work.tier, rank)]
    what = act.subject or f"person:{act.person_id}"
    return [Wanted(kind, subject_key(kind, what), starts, ends, work.tier, rank)]


def subject_key(kind: str, subject: str | int) -> int:
    """A signed 64-bit hash of what physically took part."""
    digest = hashlib.sha256(f"{kind}|{subject}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True) % (2**63 - 1)


_OVERLAPS = """
    select c.subject_key, lower(c.during) as starts, upper(c.during) as ends, c.tier, c.person_id, c.record_id,
           s.methodology
    from claims c join records r on r.id = c.record_id
    join scenarios s on s.program_id = r.program_id and s.id = r.scenario_id
    join (select k, range_agg(tstzrange(a, b)) as spans
          from unnest(%(k)s::bigint[], %(a)s::timestamptz[], %(b)s::timestamptz[]) as x (k, a, b)
          group by k) as w on int8range(c.subject_key, c.subject_key, '[]') && int8range(w.k, w.k, '[]')
         and c.during && w.spans
    where c.live order by c.id for update of c
"""


def _standing(claims: Sequence[Wanted]) -> dict[int, list[Standing]]:
    found: dict[int, list[Standing]] = defaultdict(list)
    if not claims:
        return found
    values = {
        "k": [claim.subject_key for claim in claims],
        "a": [claim.starts for claim in claims],
        "b": [claim.ends for claim in claims],
    }
    for row in run(_OVERLAPS, values):
        rank = (PRIORITY.get(row.methodology, 1), row.tier)
        standing = Standing(row.subject_key, row.starts, row.ends, rank, row.person_id, row.record_id, None)
        found[row.subject_key].append(standing)
    return found


def rows(works: Sequence[Work]) -> list[dict[str, Any]]:
    """The claims of counted records, as ``record_batch`` stores them."""
    return [
        {
            "record_id": work.record_id,
            "person_id": work.act.person_id,
            "kind": claim.kind,
            "subject_key": claim.subject_key,
            "starts": claim.starts.isoformat(),
            "ends": claim.ends.isoformat(),
            "tier": claim.tier,
        }
        for work in works
        if work.state == "counted"
        for claim in work.claims
    ]


def release(record_id: int) -> None:
    """Give up the claims of a record that does not count any more."""
    run("update claims set live = false where record_id = %(id)s and live", {"id": record_id})


def _name(rival: Standing) -> str:
    return str(rival.record_id) if rival.record_id is not None else rival.work.act.reference if rival.work else ""
