"""Risk rules: each looks at one act and holds it with a reason; none deletes (domain.md, records 8).

Limits are project rules (data-sources.md 5; methodologies.md 5); a held act is decided by a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation

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


def assess(work: Work) -> Iterator[Reason]:
    """Every reason to hold this act."""
    for rule in RULES:
        found = rule(work)
        if found is not None:
            yield found


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
