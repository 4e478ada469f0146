"""What people do on an ordinary day: rides, walking, sorting, office acts, and the check-in of the morning."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

from app import checkins, records, sources
from app.checkins import Fare
from app.clock import day_start
from app.db import transaction
from app.records import Act
from demo.month.crowd import Somebody
from demo.places import CITY, COMMUNITY, ENTERPRISE

BATCH = 400
# scenario, source, how often on a day for the keenest, field, least and most of it, hour it begins
HABITS: dict[str, tuple[tuple[str, str, float, str, int, int, int], ...]] = {
    CITY.code: (
        ("metro-ride", "metro", 0.6, "distance_km", 3, 25, 8),
        ("bus-ride", "bus", 0.4, "distance_km", 2, 12, 12),
        ("cycling", "bike", 0.4, "distance_km", 1, 6, 18),
    ),
    COMMUNITY.code: (
        ("waste-sorting", "sorting", 0.6, "waste_kg", 1, 4, 19),
        ("bus-ride", "file", 0.4, "distance_km", 2, 9, 9),
    ),
    ENTERPRISE.code: (
        ("metro-ride", "file", 0.6, "distance_km", 4, 20, 8),
        ("paperless-office", "office", 0.5, "sheets", 5, 60, 15),
    ),
}


def day(everybody: Sequence[Somebody], *, seed: int, on: date) -> None:
    """One Shanghai day of everybody's."""
    _check_in(everybody, seed, on)
    acts = list(_acts(everybody, seed, on))
    for start in range(0, len(acts), BATCH):
        with transaction():
            records.take_many(acts[start : start + BATCH], at=day_start(on) + timedelta(hours=23))


def _check_in(everybody: Sequence[Somebody], seed: int, on: date) -> None:
    coming = [
        one for one in everybody if random.Random(f"{seed}:in:{one.number}:{on}").random() < 0.35 + one.zeal * 0.6
    ]
    for start in range(0, len(coming), BATCH):
        with transaction():
            fares = [Fare(one.program_id, one.person_id) for one in coming[start : start + BATCH]]
            checkins.check_in_many(fares, at=_moment(on, 7, start))


def _acts(everybody: Sequence[Somebody], seed: int, on: date) -> Iterator[Act]:
    known: dict[tuple[int, str], int] = {}
    for one in everybody:
        chance = random.Random(f"{seed}:act:{one.number}:{on}")
        for scenario, source, often, field, least, most, hour in HABITS[one.program]:
            if chance.random() >= often * one.zeal:
                continue
            key = one.program_id, source
            if key not in known:
                known[key] = _source(*key)
            begun = _moment(on, hour, chance.randrange(3_000))
            yield Act(
                program_id=one.program_id,
                scenario=scenario,
                person_id=one.person_id,
                source_id=known[key],
                reference=f"month-{seed}-{one.number}-{on}-{scenario}",
                facts={field: str(chance.randint(least, most))},
                occurred_at=begun,
                ended_at=begun + timedelta(minutes=30),
            )


def _source(program_id: int, code: str) -> int:
    with transaction():
        return sources.register(program_id=program_id, code=code, kind=code, name=code).id


def _moment(on: date, hour: int, seconds: int) -> datetime:
    return day_start(on) + timedelta(hours=hour, seconds=seconds)
