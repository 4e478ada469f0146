"""What a batch of acts is judged by: programs, scenarios, sources, memberships, consents, methodology versions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import select

from app import methodologies
from app.db import connection, run
from app.memo import remember
from app.programs.models import Program
from app.records.acts import Act
from app.scenarios.models import Scenario
from app.sources.models import Source


@dataclass(frozen=True, slots=True)
class Membership:
    """An active membership, the person's first choice first."""

    program_id: int
    org_unit_id: int | None


class Catalog:
    """Everything a batch needs to know, read with a fixed number of statements.

    ``belongings`` are the acts' persons' memberships and consents, as the first look saw them.
    """

    def __init__(self, acts: Sequence[Act], at: datetime, belongings: Iterable[Mapping[str, Any]]) -> None:
        self.at = at
        self.memberships: dict[int, list[Membership]] = defaultdict(list)
        self._consents: dict[tuple[int, str], set[int | None]] = defaultdict(set)
        self._sort(belongings)
        wanted = {act.program_id for act in acts} | {
            row.program_id for rows in self.memberships.values() for row in rows
        }
        offers = {program: remember(("offer", program), partial(_offer, program)) for program in wanted}
        self.programs: dict[int, Any] = {key: offer[0] for key, offer in offers.items() if offer[0] is not None}
        self.scenarios: dict[tuple[int, str], Any] = {}
        self.by_methodology: dict[tuple[int, str], list[Any]] = defaultdict(list)
        for program, (_, scenarios) in offers.items():
            for row in scenarios:
                self.scenarios[program, row.code] = row
                self.by_methodology[program, row.methodology].append(row)
        sources = {act.source_id for act in acts}
        self.sources: dict[int, Any] = {key: remember(("source", key), partial(_source, key)) for key in sources}
        self.book = remember("methodologies", methodologies.book_of_all)

    def membership(self, person_id: int, program_id: int) -> Membership | None:
        """The person's active membership in a program."""
        return next((row for row in self.memberships.get(person_id, ()) if row.program_id == program_id), None)

    def consents_to(self, person_id: int, purpose: str, program_id: int) -> bool:
        """Whether the person agrees to a purpose at this moment, in general or for this program (MET-8)."""
        found = self._consents.get((person_id, purpose), set())
        return None in found or program_id in found

    def _sort(self, belongings: Iterable[Mapping[str, Any]]) -> None:
        """Who belongs where, and who agrees to what."""
        for row in belongings:
            if row["purpose"] is None:
                self.memberships[row["person_id"]].append(Membership(row["program_id"], row["org_unit_id"]))
            else:
                self._consents[row["person_id"], row["purpose"]].add(row["program_id"])


def _offer(program_id: int) -> tuple[Any, list[Any]]:
    """A program and its scenarios."""
    link = connection()
    program = link.execute(select(Program).where(Program.id == program_id)).first()
    return program, list(link.execute(select(Scenario).where(Scenario.program_id == program_id)))


def _source(source_id: int) -> Any:
    return connection().execute(select(Source).where(Source.id == source_id)).first()


_BINDINGS = """
    select b.vehicle_id, b.person_id, b.bound_at, b.unbound_at, v.mileage_from, v.mileage_until, v.hint
    from vehicle_bindings b join vehicles v on v.id = b.vehicle_id
    where b.vehicle_id = any (%(vehicles)s::bigint[]) or b.person_id = any (%(people)s::bigint[])
"""


class Vehicles:
    """The vehicles that a batch names, who held them when, and the persons who have a bound vehicle at all."""

    def __init__(self, vehicle_ids: set[int], people: set[int]) -> None:
        self.holders: dict[int, list[Any]] = defaultdict(list)
        self.vehicles: dict[int, Any] = {}
        self.bound_people: dict[int, list[Any]] = defaultdict(list)
        if not vehicle_ids and not people:
            return
        for row in run(_BINDINGS, {"vehicles": sorted(vehicle_ids), "people": sorted(people)}):
            self.holders[row.vehicle_id].append(row)
            self.bound_people[row.person_id].append(row)
            self.vehicles[row.vehicle_id] = row

    def holder_at(self, vehicle_id: int, when: datetime) -> int | None:
        """Who held the vehicle at an instant (MET-3)."""
        for row in self.holders[vehicle_id]:
            if row.bound_at <= when and (row.unbound_at is None or when < row.unbound_at):
                return int(row.person_id)
        return None

    def mileage_counts(self, vehicle_id: int, when: datetime) -> bool:
        """Whether the vehicle has an active mileage source at an instant: then its charging is evidence only."""
        row = self.vehicles.get(vehicle_id)
        if row is None or row.mileage_from is None or when < row.mileage_from:
            return False
        return row.mileage_until is None or when < row.mileage_until

    def has_vehicle(self, person_id: int, when: datetime) -> bool:
        return any(
            row.bound_at <= when and (row.unbound_at is None or when < row.unbound_at)
            for row in self.bound_people[person_id]
        )


def vehicle_of(subject: str | None) -> int | None:
    """The vehicle that a subject names, if it names one."""
    if subject is None or not subject.startswith("vehicle:"):
        return None
    return int(subject.removeprefix("vehicle:"))
