"""Signs at certified venues: whoever scans one earns by its scenario, once a day and venue (tier C: a code on site)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from app import audit, clock, records, scenes, sources
from app.db import session
from app.errors import NOT_FOUND, Kind, declare
from app.green.models import Venue
from app.green.products import SOURCE, require_scenario
from app.records import Act, Taken

EARTH_M = 6_371_008

VENUE_REVOKED = declare(
    "venue_revoked",
    Kind.CONFLICT,
    zh="该场所的绿色认证已撤销，扫码不再计入。",
    en="This venue's green certificate was revoked, so its sign counts no longer.",
)
VENUE_TOO_FAR = declare(
    "venue_too_far",
    Kind.CONFLICT,
    zh="您不在该场所附近，请到现场扫码。",
    en="You are not near this venue. Scan its sign on the spot.",
)
VENUE_PLACE_NEEDED = declare(
    "venue_place_needed",
    Kind.INVALID,
    zh="该场所需要核对位置，请允许使用位置后再扫码。位置只用于本次核对，不会保存。",
    en="This venue checks the place: allow your position and scan again. It is used for this check and not kept.",
)


@dataclass(frozen=True, slots=True)
class Scanned:
    """A sign that was scanned: the venue, and what became of the act."""

    venue: Venue
    taken: Taken


def certify(
    *,
    program_id: int,
    code: str,
    name: str,
    name_en: str,
    scenario: str,
    certificate_ref: str,
    by: str,
    at: datetime,
    facts: Mapping[str, Any] | None = None,
    shop_id: int | None = None,
    place: tuple[int, int, int] | None = None,
) -> tuple[Venue, str]:
    """A venue with the token of its sign, shown this once and printed. ``place``: lat and lng (millionths), metres.

    A venue of this code gets a new sign; the old one ends. Raises NOT_FOUND for an unknown scenario.
    """
    require_scenario(program_id, scenario)
    query = select(Venue).where(Venue.program_id == program_id, Venue.code == code).with_for_update()
    venue = session().scalars(query).first() or Venue(program_id=program_id, code=code, made_at=at)
    venue.name, venue.name_en, venue.scenario, venue.certificate_ref = name, name_en, scenario, certificate_ref
    venue.facts, venue.shop_id, venue.made_by = dict(facts or {}), shop_id, by
    venue.lat_e6, venue.lng_e6, venue.radius_m = place or (None, None, None)
    venue.state, venue.revoked_at, venue.reason = "certified", None, ""
    session().add(venue)
    session().flush()
    if venue.scene_id is not None:
        scenes.revoke(scene_id=venue.scene_id, by=by, at=at)
    made = scenes.make(
        purpose=scenes.VENUE,
        payload={"venue": str(venue.id)},
        program_id=program_id,
        uses=None,
        expires_at=at + scenes.LONGEST,
        by=by,
        at=at,
    )
    venue.scene_id = made.scene_id
    session().flush()
    return venue, made.token


def revoke_venue(*, venue: Venue, reason: str, by: str, at: datetime) -> None:
    """The sign counts no longer, and says so; twice is once."""
    if venue.state == "revoked":
        return
    venue.state, venue.reason, venue.revoked_at = "revoked", reason, at
    session().flush()
    audit.write(
        actor=by, action="venue.revoke", object_type="green_venue", object_id=venue.id, at=at,
        program_id=venue.program_id, reason=reason,
    )  # fmt: skip


def venue_of(program_id: int, code: str) -> Venue:
    """A venue by its code. Raises NOT_FOUND."""
    found = session().scalars(select(Venue).where(Venue.program_id == program_id, Venue.code == code)).first()
    if found is None:
        raise NOT_FOUND(venue=code)
    return found


def venues(program_id: int) -> list[Venue]:
    """A program's venues by code."""
    return list(session().scalars(select(Venue).where(Venue.program_id == program_id).order_by(Venue.code)))


def scan(*, token: str, person_id: int, at: datetime, position: tuple[float, float] | None = None) -> Scanned:
    """Scan a sign. The first of a Shanghai day counts, the rest answer with it. The position is judged and forgotten.

    Raises SCENE_INVALID, VENUE_REVOKED, VENUE_PLACE_NEEDED, VENUE_TOO_FAR, and what ``records.take`` refuses.
    """
    scene = scenes.resolve(token, purpose=scenes.VENUE, at=at)
    venue = session().get_one(Venue, int(scene.payload["venue"]))
    if venue.state != "certified":
        raise VENUE_REVOKED(venue=venue.name)
    _near(venue, position)
    day = clock.business_day(at)
    source = sources.register(program_id=venue.program_id, code=SOURCE, kind="system", name="绿色消费")
    act = Act(
        program_id=venue.program_id,
        scenario=venue.scenario,
        person_id=person_id,
        source_id=source.id,
        reference=f"venue:{venue.id}:{person_id}:{day.isoformat()}",
        facts=dict(venue.facts),
        occurred_at=clock.day_start(day),  # so that the day's second scan is the same act again
        ended_at=clock.day_start(day),
    )
    taken = records.take(act, at=at)
    if taken.refusal is not None:
        raise taken.refusal
    return Scanned(venue, taken)


def _near(venue: Venue, position: tuple[float, float] | None) -> None:
    if venue.lat_e6 is None or venue.lng_e6 is None or venue.radius_m is None:
        return
    if position is None:
        raise VENUE_PLACE_NEEDED()
    if distance_m((venue.lat_e6 / 1e6, venue.lng_e6 / 1e6), position) > venue.radius_m:
        raise VENUE_TOO_FAR()


def distance_m(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Metres between two places in degrees, by great circle (haversine)."""
    (lat1, lng1), (lat2, lng2) = ((math.radians(lat), math.radians(lng)) for lat, lng in (one, other))
    half = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lng2 - lng1) / 2) ** 2
    return 2 * EARTH_M * math.asin(min(1.0, math.sqrt(half)))
