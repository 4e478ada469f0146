"""Risk rules: each looks at one act and holds it with a reason; none deletes (domain.md, records 8).

Limits are project rules (data-sources.md 5; methodologies.md 5); a held act is decided by a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from app.db import run
from app.records.acts import Work
from app.records.reasons import Reason, reason

KMH_LIMITS: Mapping[str, int] = {
    "cycling": 30,
    "bus-ride": 100,
    "metro-ride": 120,
    "low-carbon-line": 120,
    "carpooling": 150,
    "nev-mileage": 150,
    "phev-mileage": 150,
}
KW_LIMIT = 360
STEPS_A_DAY = 50_000
REVIEWED_TIER = "D"


def assess(work: Work) -> Iterator[Reason]:
    """Every reason to hold this act."""
    for rule in RULES:
        found = rule(work)
        if found is not None:
            yield found


_SEEN_BEFORE = """
    select x.n,
           exists (select from records r where r.facts->>'photo_hash' = x.photo and r.state <> 'rejected') as photo,
           (select count(distinct r.person_id) from records r
            where r.facts->>'device' = x.device and r.person_id <> x.person and r.received_at > %(since)s) as others
    from unnest(%(n)s::int[], %(photo)s::text[], %(device)s::text[], %(person)s::bigint[])
         as x (n, photo, device, person)
"""
PERSONS_A_DEVICE = 3
DEVICE_MEMORY = timedelta(days=30)


def assess_together(works: Sequence[Work], at: datetime) -> None:
    """Rules that look at other records: a photo handed in before, one device for many. One statement for a batch, and
    none when no act has such facts."""
    marked = [work for work in works if work.act.facts.get("photo_hash") or work.act.facts.get("device")]
    if not marked:
        return
    values = {
        "n": list(range(len(marked))),
        "photo": [work.act.facts.get("photo_hash") for work in marked],
        "device": [work.act.facts.get("device") for work in marked],
        "person": [work.act.person_id for work in marked],
        "since": at - DEVICE_MEMORY,
    }
    photos: set[Any] = set()
    for row in run(_SEEN_BEFORE, values):
        work = marked[row.n]
        photo = work.act.facts.get("photo_hash")
        if photo and (row.photo or photo in photos):
            work.hold(reason("repeated_photo"))
        if row.others >= PERSONS_A_DEVICE:
            work.hold(reason("shared_device"))
        photos.add(photo)


def await_review(works: Sequence[Work]) -> None:
    """Evidence of tier D is a photo that a person has looked at: by whatever door it comes, it waits for that."""
    for work in works:
        if work.tier == REVIEWED_TIER:
            work.hold(reason("photo_review"))


def _speed(work: Work) -> Reason | None:
    limit = KMH_LIMITS.get(work.scenario.methodology)
    hours = _hours(work)
    distance = _number(work, "distance_km")
    if limit is None or distance is None or hours <= 0:
        return None
    kmh = distance / hours
    return reason("impossible_speed", f"{kmh:.0f} km/h") if kmh > limit else None


def _power(work: Work) -> Reason | None:
    hours = _hours(work)
    energy = _number(work, "energy_kwh")
    if energy is None or hours <= 0:
        return None
    kilowatts = energy / hours
    return reason("impossible_power", f"{kilowatts:.0f} kW") if kilowatts > KW_LIMIT else None


def _steps(work: Work) -> Reason | None:
    steps = _number(work, "steps")
    return reason("step_spike", f"{steps}") if steps is not None and steps > STEPS_A_DAY else None


RULES: tuple[Callable[[Work], Reason | None], ...] = (_speed, _power, _steps)


def _hours(work: Work) -> Decimal:
    return Decimal(int((work.act.until - work.act.occurred_at).total_seconds())) / 3600


def _number(work: Work, name: str) -> Decimal | None:
    value = work.act.facts.get(name)
    try:
        return None if value is None else Decimal(str(value))
    except InvalidOperation:
        return None
