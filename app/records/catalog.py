"""What a batch of acts is judged by: programs, scenarios, sources, memberships, consents, methodology versions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, text

from app import methodologies
from app.db import connection
from app.people.models import Consent
from app.programs.models import Membership, Program
from app.records.acts import Act
from app.scenarios.models import Scenario
from app.sources.models import Source


class Catalog:
    """Everything a batch needs to know, read with a fixed number of statements."""

    def __init__(self, acts: Sequence[Act], at: datetime) -> None:
        people = {act.person_id for act in acts}
        self.at = at
        self.memberships = self._memberships(people)
        programs = {act.program_id for act in acts}
        programs |= {row.program_id for rows in self.memberships.values() for row in rows}
        self.programs: dict[int, Any] = {row.id: row for row in _rows(select(Program).where(Program.id.in_(programs)))}
        found = _rows(select(Scenario).where(Scenario.program_id.in_(programs)))
        self.scenarios: dict[tuple[int, str], Any] = {(row.program_id, row.code): row for row in found}
        self.by_methodology: dict[tuple[int, str], list[Any]] = defaultdict(list)
        for row in found:
            self.by_methodology[row.program_id, row.methodology].append(row)
        sources = {act.source_id for act in acts}
        self.sources: dict[int, Any] = {row.id: row for row in _rows(select(Source).where(Source.id.in_(sources)))}
        self.book = methodologies.book()
        self._consents = self._live_consents(people)

    def membership(self, person_id: int, program_id: int) -> Any | None:
        """The person's active membership in a program."""
        return next((row for row in self.memberships.get(person_id, ()) if row.program_id == program_id), None)

    def consents_to(self, person_id: int, purpose: str, program_id: int) -> bool:
        """Whether the person agrees to a purpose at this moment, in general or for this program (MET-8)."""
        found = self._consents.get((person_id, purpose), set())
        return None in found or program_id in found

    @staticmethod
    def _memberships(people: Iterable[int]) -> dict[int, list[Any]]:
        query = select(Membership).where(Membership.person_id.in_(set(people)), Membership.state == "active")
        found: dict[int, list[Any]] = defaultdict(list)
        for row in _rows(query.order_by(Membership.person_id, Membership.rank, Membership.id)):
            found[row.person_id].append(row)
        return found

    @staticmethod
    def _live_consents(people: Iterable[int]) -> dict[tuple[int, str], set[int | None]]:
        query = select(Consent.person_id, Consent.purpose, Consent.program_id)
        query = query.where(Consent.person_id.in_(set(people)), Consent.withdrawn_at.is_(None))
        found: dict[tuple[int, str], set[int | None]] = defaultdict(set)
        for row in _rows(query.with_for_update(read=True)):
            found[row.person_id, row.purpose].add(row.program_id)
        return found


class Vehicles:
    """The vehicles that a batch names, who held them when, and the persons who have a bound vehicle at all."""

    def __init__(self, vehicle_ids: set[int], people: set[int]) -> None:
        self.holders: dict[int, list[Any]] = defaultdict(list)
        self.vehicles: dict[int, Any] = {}
        self.bound_people: dict[int, list[Any]] = defaultdict(list)
        if not vehicle_ids and not people:
            return
        query = text(
            """
            select b.vehicle_id, b.person_id, b.bound_at, b.unbound_at, v.mileage_from, v.mileage_until, v.hint
            from vehicle_bindings b join vehicles v on v.id = b.vehicle_id
            where b.vehicle_id = any (cast(:vehicles as bigint[])) or b.person_id = any (cast(:people as bigint[]))
            """
        )
        for row in connection().execute(query, {"vehicles": sorted(vehicle_ids), "people": sorted(people)}):
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


def _rows(query: Any) -> list[Any]:
    return list(connection().execute(query))
