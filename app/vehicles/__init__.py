"""Vehicles: bound to one person at a time; a vehicle with an active mileage source earns by mileage only."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from psycopg import errors as pg
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from app import vault
from app.db import connection, read, session
from app.errors import NOT_FOUND, Kind, declare
from app.vehicles.models import Vehicle, VehicleBinding

FUELS = ("bev", "phev", "fcev", "ice")

VEHICLE_TAKEN = declare(
    "vehicle_taken",
    Kind.CONFLICT,
    zh="该车辆已由其他人绑定。如车辆属于您，请联系客服并提供行驶证。",
    en="This vehicle is bound to somebody else. If it is yours, contact support with its licence.",
)


def vin_hash(vin: str) -> bytes:
    """The keyed hash of a VIN or plate, by which a vehicle is found."""
    return vault.keyed_hash("vehicle", vin.strip().upper())


def register(*, vin: str, fuel: str, model_class: str = "") -> int:
    """The vehicle of this VIN or plate, made when there is none; answers its id."""
    hashed = vin_hash(vin)
    row = insert(Vehicle).values(
        vin_hash=hashed, hint=f"…{vin.strip()[-4:].upper()}", fuel=fuel, model_class=model_class
    )
    connection().execute(row.on_conflict_do_nothing())
    return int(connection().execute(select(Vehicle.id).where(Vehicle.vin_hash == hashed)).scalar_one())


def bind(*, vehicle_id: int, person_id: int, at: datetime, since: datetime | None = None) -> int:
    """Bind a vehicle to a person from now on (or ``since``); bound already to this person, that one is answered.

    Raises VEHICLE_TAKEN when somebody else holds it then: the database's exclusion decides the race (MET-3).
    """
    starts = since or at
    # One tap at a time: the second finds the first's binding.
    connection().execute(select(Vehicle.id).where(Vehicle.id == vehicle_id).with_for_update(key_share=True))
    live = select(VehicleBinding).where(VehicleBinding.vehicle_id == vehicle_id, VehicleBinding.unbound_at.is_(None))
    found = session().scalars(live).first()
    if found is not None:
        if found.person_id != person_id:
            raise VEHICLE_TAKEN()
        return found.id
    row = insert(VehicleBinding).values(vehicle_id=vehicle_id, person_id=person_id, bound_at=starts)
    try:
        return int(connection().execute(row.returning(VehicleBinding.id)).scalar_one())
    except DBAPIError as error:
        if isinstance(error.orig, pg.ExclusionViolation):
            raise VEHICLE_TAKEN() from error
        raise


def unbind(*, binding_id: int, person_id: int, at: datetime) -> None:
    """End a binding. Raises NOT_FOUND."""
    mine = (VehicleBinding.id == binding_id, VehicleBinding.person_id == person_id)
    if session().scalars(select(VehicleBinding.id).where(*mine)).first() is None:
        raise NOT_FOUND(binding=str(binding_id))
    session().execute(update(VehicleBinding).where(*mine, VehicleBinding.unbound_at.is_(None)).values(unbound_at=at))


def bound(*, binding_id: int, person_id: int) -> int:
    """The vehicle of one of a person's bindings, of now or then. Raises NOT_FOUND for somebody else's."""
    query = "select vehicle_id from vehicle_bindings where id = %(id)s and person_id = %(person)s"
    rows = read(query, {"id": binding_id, "person": person_id})
    if not rows:
        raise NOT_FOUND(vehicle=str(binding_id))
    return int(rows[0].vehicle_id)


def start_mileage(*, vehicle_id: int, since: datetime) -> None:
    """From now on this vehicle earns by its mileage; its charging is evidence only (methodologies.md 7)."""
    connection().execute(
        update(Vehicle).where(Vehicle.id == vehicle_id, Vehicle.mileage_from.is_(None)).values(mileage_from=since)
    )


def of_person(person_id: int) -> list[tuple[VehicleBinding, Vehicle]]:
    """The vehicles that a person holds now."""
    query = select(VehicleBinding, Vehicle).join(Vehicle, Vehicle.id == VehicleBinding.vehicle_id)
    query = query.where(VehicleBinding.person_id == person_id, VehicleBinding.unbound_at.is_(None))
    return [(row[0], row[1]) for row in session().execute(query.order_by(VehicleBinding.id))]


def held_by(people: Iterable[int]) -> dict[int, int]:
    """A vehicle that each of these persons holds now, the first one registered; one statement."""
    query = (
        select(VehicleBinding.person_id, func.min(VehicleBinding.vehicle_id))
        .where(VehicleBinding.person_id.in_(set(people)), VehicleBinding.unbound_at.is_(None))
        .group_by(VehicleBinding.person_id)
    )
    return {row[0]: row[1] for row in connection().execute(query)}


__all__ = [
    "FUELS",
    "VEHICLE_TAKEN",
    "Vehicle",
    "VehicleBinding",
    "bind",
    "bound",
    "held_by",
    "of_person",
    "register",
    "start_mileage",
    "unbind",
]
