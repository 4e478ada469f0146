"""The routes of partners: one record, a batch, presets for rides and bikes, growing days, cancellations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import Schema

from app import records, sources
from app.clock import now
from app.db import retrying, session, transaction
from app.errors import INVALID_FIELD, Kind, Refusal, declare
from app.people.consents import CONSENT_REQUIRED
from app.records import CONTENT_CONFLICT, Taken
from app.records.checks import (
    BEFORE_PROGRAM,
    FACTS_INVALID,
    IN_FUTURE,
    NOT_A_MEMBER,
    SOURCE_NOT_ALLOWED,
    TIME_IMPOSSIBLE,
    UNKNOWN_SCENARIO,
)
from edge.answers import answer
from edge.language import language
from edge.routes import gives, refuses, takes
from edge.schemas import load
from ingestion.partners import schemas
from ingestion.partners.guard import LARGEST_BATCH, QUERY_NOT_ALLOWED, partner
from ingestion.partners.mapping import (
    ACCOUNT_NOT_BOUND,
    CORRECTED_UNKNOWN,
    Message,
    act_of,
    bike,
    general,
    observation,
    ride,
    standing,
)

routes = APIBlueprint("partners", __name__, tag="Partners")

BATCH_TOO_LARGE = declare(
    "batch_too_large",
    Kind.TOO_LARGE,
    zh="一批最多 500 条，请分批发送。",
    en="A batch holds at most 500 records. Send them in parts.",
)

METRO_EXAMPLE = {
    "record_id": "RIDE-20261120-000001",
    "type": "metro",
    "account_hash": "5d41402abc4b2a76b9719d911017c592",
    "line": "1",
    "in_station": "S01",
    "out_station": "S09",
    "in_time": "2026-11-20T08:01:00+08:00",
    "out_time": "2026-11-20T08:25:00+08:00",
    "fare_cents": 400,
    "distance_m": 10000,
}
BIKE_EXAMPLE = {
    "record_id": "BIKE-20261120-000001",
    "type": "bike",
    "account_hash": "5d41402abc4b2a76b9719d911017c592",
    "e_bike": False,
    "city": "510100",
    "start_time": "2026-11-20T08:30:00+08:00",
    "end_time": "2026-11-20T08:46:00+08:00",
    "distance_m": 3200,
}
NEV_EXAMPLE = {
    "record_id": "NEV-20261120-000001",
    "scenario": "nev-mileage",
    "vin": "LDEMO00000000001",
    "facts": {"distance_km": 32.3},
    "occurred_at": "2026-11-20T00:00:00+08:00",
    "ended_at": "2026-11-20T23:59:59+08:00",
}
SEEN_EXAMPLE = {
    "scenario": "nev-mileage",
    "vin": "LDEMO00000000001",
    "day": "2026-11-24",
    "fact": "distance_km",
    "value": 12.5,
    "read_at": "2026-11-24T12:00:00+08:00",
}
SIGNED = (
    sources.UNKNOWN_KEY,
    sources.STALE_TIMESTAMP,
    sources.BAD_SIGNATURE,
    sources.NONCE_REUSED,
    QUERY_NOT_ALLOWED,
)
PER_RECORD = (
    CONTENT_CONFLICT,
    ACCOUNT_NOT_BOUND,
    UNKNOWN_SCENARIO,
    SOURCE_NOT_ALLOWED,
    NOT_A_MEMBER,
    CONSENT_REQUIRED,
    FACTS_INVALID,
    IN_FUTURE,
    BEFORE_PROGRAM,
    TIME_IMPOSSIBLE,
)


class _TestMode(Exception):
    """Takes back what a test-mode call did."""


@routes.post("/rides")
@partner()
@takes(schemas.Ride, example=METRO_EXAMPLE)
@gives(schemas.ItemAnswer)
@refuses(*SIGNED, *PER_RECORD)
def post_ride(source: Any, body: dict[str, Any]) -> Response:
    """A metro or bus ride"""
    return _one(source, ride(body))


@routes.post("/bikes")
@partner()
@takes(schemas.Bike, example=BIKE_EXAMPLE)
@gives(schemas.ItemAnswer)
@refuses(*SIGNED, *PER_RECORD)
def post_bike(source: Any, body: dict[str, Any]) -> Response:
    """A shared-bike ride"""
    return _one(source, bike(body))


@routes.post("/records")
@partner()
@takes(schemas.General, example=NEV_EXAMPLE)
@gives(schemas.ItemAnswer)
@refuses(*SIGNED, *PER_RECORD, CORRECTED_UNKNOWN)
def post_record(source: Any, body: dict[str, Any]) -> Response:
    """An act of any scenario

    The same record_id again with the same content answers with the first. With `corrects`, the named record is
    reversed and this one takes its place.
    """
    return _one(source, general(body))


@routes.post("/records/batch")
@partner(largest=LARGEST_BATCH)
@takes(schemas.Batch, example={"records": [NEV_EXAMPLE]}, largest=LARGEST_BATCH)
@gives(schemas.BatchAnswer)
@refuses(*SIGNED, BATCH_TOO_LARGE)
def post_batch(source: Any, body: dict[str, Any]) -> Response:
    """Up to 500 acts

    Each is answered on its own, in order; good ones count although others are refused. Rides and bikes are
    recognised by their `type`.
    """
    items = body["records"]
    if len(items) > schemas.MAX_BATCH:
        raise BATCH_TOO_LARGE(most=schemas.MAX_BATCH)
    if not items:
        raise INVALID_FIELD(fields=[{"field": "records", "expected": "1–500"}])
    understood = [_understood(item) for item in items]
    answered = _in_transaction(source, lambda: _take_batch(source, understood))
    lines = [_line(source, item, found) for item, found in zip(items, answered, strict=True)]
    counts = {name: sum(line["outcome"] == name for line in lines) for name in ("accepted", "duplicate", "refused")}
    return answer({"items": lines, **counts})


@routes.post("/observations")
@partner()
@takes(schemas.Seen, example=SEEN_EXAMPLE)
@gives({"type": "object", "properties": {"outcome": {"type": "string"}}})
@refuses(*SIGNED, ACCOUNT_NOT_BOUND, UNKNOWN_SCENARIO)
def post_observation(source: Any, body: dict[str, Any]) -> Response:
    """How far a growing day has come

    Provisional and replaceable: per source, person and day the largest value stays. The record is made when the day
    has ended and was read after its end; a later, larger value is a revision.
    """
    try:
        day = date.fromisoformat(body["day"])
    except ValueError:
        raise INVALID_FIELD(fields=[{"field": "day", "expected": "YYYY-MM-DD"}]) from None

    def observe() -> None:
        records.observe([observation(body, day, source)])

    _in_transaction(source, observe)
    return answer({"outcome": "kept", "test": bool(source.test_mode)})


@routes.post("/cancellations")
@partner()
@takes(schemas.Cancel, example={"record_id": "RIDE-20261120-000001"})
@gives({"type": "object", "properties": {"outcome": {"type": "string"}}})
@refuses(*SIGNED, CORRECTED_UNKNOWN)
def post_cancellation(source: Any, body: dict[str, Any]) -> Response:
    """Take a record back

    Exact opposite entries; the person is told. Twice is the same answer.
    """

    def cancel() -> None:
        record = standing(source, body["record_id"])
        records.supersede(record_id=record.id, by_reference="", at=now())

    _in_transaction(source, cancel)
    return answer({"outcome": "cancelled", "test": bool(source.test_mode)})


def _one(source: Any, message: Message) -> Response:
    taken = _in_transaction(source, lambda: _take_one(source, message))
    if taken.refusal is not None:
        raise taken.refusal
    return answer(_line(source, {"record_id": message.record_id}, taken))


def _take_one(source: Any, message: Message) -> Taken:
    """Take one act. A correction is one with what it corrects: refused, the old record stands as it was."""
    act = act_of(message, source)
    if act.supersedes_id is None:
        return records.take(act, at=now())
    try:
        with session().begin_nested():
            records.supersede(record_id=act.supersedes_id, by_reference=message.record_id, at=now())
            taken = records.take(act, at=now())
            if taken.refusal is not None:
                raise taken.refusal
    except Refusal as refusal:
        return Taken("refused", refusal=refusal)
    return taken


def _understood(item: Any) -> Message | Refusal:
    """One item of a batch by its own schema, or why not."""
    kinds: Mapping[str, tuple[type[Schema], Callable[[Any], Message]]] = {
        "metro": (schemas.Ride, ride),
        "bus": (schemas.Ride, ride),
        "bike": (schemas.Bike, bike),
    }
    schema, mapped = kinds.get(str(item.get("type", "")), (schemas.General, general))
    try:
        found: Message = mapped(load(schema(), item))
    except Refusal as refusal:
        return refusal
    return found


def _take_batch(source: Any, understood: list[Message | Refusal]) -> list[Taken]:
    """Take what can be taken, in one go; corrections one by one; the others keep their refusal."""
    found: list[Taken | None] = [None] * len(understood)
    acts = []
    for number, message in enumerate(understood):
        try:
            if isinstance(message, Refusal):
                raise message
            if message.corrects:
                found[number] = _take_one(source, message)
            else:
                acts.append((number, act_of(message, source)))
        except Refusal as refusal:
            found[number] = Taken("refused", refusal=refusal)
    for (number, _), taken in zip(acts, records.take_many([act for _, act in acts], at=now()), strict=True):
        found[number] = taken
    return [taken for taken in found if taken is not None]


def _in_transaction(source: Any, work: Callable[[], Any]) -> Any:
    """Do it in one transaction; in test mode, take it back afterwards. The answer is the same."""

    def once() -> Any:
        kept = None
        try:
            with transaction():
                kept = work()
                if source.test_mode:
                    raise _TestMode
        except _TestMode:
            return kept
        return kept

    return retrying(once)


def _line(source: Any, item: Mapping[str, Any], taken: Taken) -> dict[str, Any]:
    """What a partner learns of one record: its state and reason, never what the person earned."""
    line: dict[str, Any] = {
        "record_id": str(item.get("record_id", ""))[:100],
        "outcome": taken.outcome,
        "id": str(taken.record_id) if taken.record_id else None,
        "state": taken.state,
        "reason": {"code": taken.reason.code, "zh": taken.reason.zh, "en": taken.reason.en} if taken.reason else None,
        "mg": str(taken.mg),
        "test": bool(source.test_mode),
    }
    if taken.refusal is not None:
        refusal = taken.refusal
        line["error"] = {
            "code": refusal.code,
            "message": refusal.message(language()),
            "details": refusal.details,
        }
    return line
