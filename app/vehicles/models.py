"""Tables of vehicles: one holder at any instant; a vehicle with an active mileage source earns by mileage only."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Vehicle(Model):
    """A vehicle, found by the keyed hash of its VIN or plate; only a masked hint is shown."""

    __tablename__ = "vehicles"
    __table_args__ = (CheckConstraint("fuel in ('bev','phev','fcev','ice')", name="fuel"),)

    id: Mapped[int] = id_column()
    vin_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    hint: Mapped[str] = mapped_column(Text)
    fuel: Mapped[str] = mapped_column(Text)
    model_class: Mapped[str] = mapped_column(Text, server_default="")
    mileage_from: Mapped[datetime | None]
    mileage_until: Mapped[datetime | None]


class VehicleBinding(Model):
    """A vehicle belongs to a person for a time: ``[bound_at, unbound_at)``, never to two at once (MET-3)."""

    __tablename__ = "vehicle_bindings"
    __table_args__ = (
        ExcludeConstraint(
            (text("int8range(vehicle_id, vehicle_id, '[]')"), "&&"),
            (text("tstzrange(bound_at, unbound_at)"), "&&"),
            name="ex_vehicle_bindings_one_holder",
            using="gist",
        ),
        Index("ix_vehicle_bindings_person", "person_id"),
    )

    id: Mapped[int] = id_column()
    vehicle_id: Mapped[int] = mapped_column(ForeignKey("vehicles.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    bound_at: Mapped[datetime]
    unbound_at: Mapped[datetime | None]
