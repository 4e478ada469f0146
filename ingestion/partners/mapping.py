"""From a partner's message to an act: presets for rides and bikes, and the general form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from app import clock, sources, vehicles
from app.db import connection
from app.errors import INVALID_FIELD, Kind, declare
from app.records import Act, Seen
from app.records.checks import UNKNOWN_SCENARIO
from app.records.models import Record
from app.scenarios.models import Scenario
from app.vehicles.models import Vehicle, VehicleBinding

RIDE_SCENARIOS = {"metro": "metro-ride", "bus": "bus-ride"}

ACCOUNT_NOT_BOUND = declare(
    "account_not_bound",
    Kind.NOT_FOUND,
    zh="该账号（或车辆）在行为发生时没有绑定用户，未存储任何数据。用户绑定之后发生的行为才能上报。",
    en="Nobody had bound this account (or vehicle) when it happened; nothing was stored. Send acts after a binding.",
)
CORRECTED_UNKNOWN = declare(
    "corrected_unknown",
    Kind.NOT_FOUND,
    zh="没有找到被更正或撤销的记录编号。",
    en="There is no record of yours under the reference that is to be corrected or cancelled.",
)


@dataclass(frozen=True, slots=True)
class Message:
    """What a partner says, in the general form. Exactly one of ``account`` and ``vin`` may be missing."""

    record_id: str
    scenario: str
    account: str | None
    vin: str | None
    facts: Mapping[str, Any]
    occurred_at: datetime
    ended_at: datetime
    corrects: str | None = None


def ride(body: Mapping[str, Any]) -> Message:
    """A metro or bus ride by card or ride code."""
    facts = {"distance_km": kilometres(body["distance_m"])}
    for name in ("line", "in_station", "out_station"):
        if body.get(name):
            facts[name] = body[name]
    if body.get("fare_cents") is not None:
        facts["fare_fen"] = str(body["fare_cents"])
    scenario = RIDE_SCENARIOS[body["type"]]
    return Message(body["record_id"], scenario, body["account_hash"], None, facts, body["in_time"], body["out_time"])


def bike(body: Mapping[str, Any]) -> Message:
    """A shared-bike ride."""
    facts = {"distance_km": kilometres(body["distance_m"]), "e_bike": "yes" if body.get("e_bike") else "no"}
    if body.get("city"):
        facts["city"] = body["city"]
    return Message(
        body["record_id"], "cycling", body["account_hash"], None, facts, body["start_time"], body["end_time"]
    )


def general(body: Mapping[str, Any]) -> Message:
    """Any act, by the facts of its scenario's methodology. Raises INVALID_FIELD when nobody is named."""
    if not body.get("account") and not body.get("vin"):
        raise INVALID_FIELD(fields=[{"field": "account", "expected": "account or vin"}])
    facts = {name: as_fact(value) for name, value in body["facts"].items()}
    ended_at = body.get("ended_at") or body["occurred_at"]
    return Message(
        body["record_id"], body["scenario"], body.get("account"), body.get("vin"), facts, body["occurred_at"], ended_at,
        body.get("corrects"),
    )  # fmt: skip


def act_of(message: Message, source: Any) -> Act:
    """The act of a message; whose it is comes from the binding at the time. Raises ACCOUNT_NOT_BOUND."""
    subject, holder = _vehicle(message)
    if message.account:
        holder = sources.holder_of(source.source_id, message.account, message.occurred_at)
    if holder is None:
        raise ACCOUNT_NOT_BOUND(record_id=message.record_id)
    return Act(
        program_id=source.program_id,
        scenario=message.scenario,
        person_id=holder,
        source_id=source.source_id,
        reference=message.record_id,
        facts=message.facts,
        occurred_at=message.occurred_at,
        ended_at=message.ended_at,
        subject=subject,
        supersedes_id=standing(source, message.corrects).id if message.corrects else None,
    )


def standing(source: Any, reference: str) -> Any:
    """The partner's own record of a reference. Raises CORRECTED_UNKNOWN."""
    query = select(Record.id, Record.person_id, Record.state).where(
        Record.source_id == source.source_id, Record.reference == reference
    )
    found = connection().execute(query.order_by(Record.primary_id.nulls_first())).first()
    if found is None:
        raise CORRECTED_UNKNOWN(record_id=reference)
    return found


def _vehicle(message: Message) -> tuple[str | None, int | None]:
    """The vehicle that a message names, and who held it then."""
    if not message.vin:
        return None, None
    query = (
        select(Vehicle.id, VehicleBinding.person_id)
        .join(VehicleBinding, VehicleBinding.vehicle_id == Vehicle.id)
        .where(Vehicle.vin_hash == vehicles.vin_hash(message.vin), VehicleBinding.bound_at <= message.occurred_at)
        .where((VehicleBinding.unbound_at.is_(None)) | (VehicleBinding.unbound_at > message.occurred_at))
    )
    found = connection().execute(query).first()
    if found is None:
        raise ACCOUNT_NOT_BOUND(record_id=message.record_id)
    return f"vehicle:{found.id}", int(found.person_id)


def kilometres(metres: int) -> str:
    """Whole metres as an exact decimal of kilometres."""
    return format((Decimal(metres) / 1000).normalize(), "f")


def as_fact(value: Any) -> Any:
    """A number of the message as exact text; text stays."""
    return format(value, "f") if isinstance(value, Decimal) else value


def observation(body: Mapping[str, Any], day: date, source: Any) -> Seen:
    """A growing day as the domain keeps it. Raises ACCOUNT_NOT_BOUND, UNKNOWN_SCENARIO."""
    starts = clock.day_start(day)
    named = Message("", body["scenario"], body.get("account"), body.get("vin"), {}, starts, starts)
    subject, holder = _vehicle(named)
    if named.account:
        holder = sources.holder_of(source.source_id, named.account, starts)
    if holder is None:
        raise ACCOUNT_NOT_BOUND(day=day.isoformat())
    query = select(Scenario.id).where(Scenario.program_id == source.program_id, Scenario.code == body["scenario"])
    scenario_id = connection().execute(query.where(Scenario.state == "active")).scalar_one_or_none()
    if scenario_id is None:
        raise UNKNOWN_SCENARIO(scenario=body["scenario"])
    return Seen(
        program_id=source.program_id,
        scenario_id=scenario_id,
        source_id=source.source_id,
        person_id=holder,
        day=day,
        fact=body["fact"],
        value=format(body["value"], "f"),
        read_at=body["read_at"],
        subject=subject or "",
    )
