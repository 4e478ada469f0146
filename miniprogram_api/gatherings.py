"""Gatherings: what is on, signing up, attending by the organiser's code or by presence, the organiser's screen."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import gatherings, limits, programs
from app.clock import now
from app.db import retrying, transaction
from app.errors import INVALID_FIELD, NOT_FOUND, Refusal
from app.gatherings import Attended
from app.green import VENUE_PLACE_NEEDED, VENUE_TOO_FAR
from app.people import CONSENT_REQUIRED, Login
from app.programs import NOT_A_MEMBER
from edge import schemas
from edge.answers import answer, nothing
from edge.language import pick
from edge.paging import PageQuery, decode, page, paged
from edge.routes import asks, gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import either, when, when_or_none

routes = APIBlueprint("gatherings", __name__, tag="Gatherings")
WRONG_CODE = limits.Limit("gathering-code", 10, 600, closed=True)


class GatheringShown(schemas.Answer):
    id = fields.String(required=True)
    program = fields.String(required=True)
    code = fields.String(required=True)
    kind = fields.String(required=True, metadata={"description": "on-site, online or meeting"})
    name = fields.String(required=True)
    text = fields.String(required=True)
    attend_by = fields.String(required=True, metadata={"description": "code (on the organiser's screen) or minutes"})
    least_minutes = fields.Integer(required=True)
    repeats = fields.String(required=True, metadata={"description": "once, or daily (a station)"})
    needs_sign_up = fields.Boolean(required=True)
    opens_at = fields.String(required=True, metadata={"description": "signing up"})
    closes_at = fields.String(required=True)
    starts_at = fields.String(required=True)
    ends_at = fields.String(required=True)
    capacity = fields.Integer(required=True, allow_none=True)
    signed = fields.Integer(required=True, metadata={"description": "places taken"})
    state = fields.String(required=True, metadata={"description": "open, cancelled or settled"})
    my_state = fields.String(
        required=True, allow_none=True, metadata={"description": "signed, waiting, cancelled, attended, no_show"}
    )
    place_in_queue = fields.Integer(required=True)
    round_trip_km = fields.String(required=True, allow_none=True)
    attended_at = fields.String(required=True, allow_none=True)
    hosting = fields.Boolean(required=True)


class SignUpIn(schemas.Request):
    round_trip_km = schemas.Quantity(
        load_default=None,
        allow_none=True,
        metadata={"description": "of an online meeting: the trip I would have made, there and back, 0.5 to 3000"},
    )


class SignUpShown(schemas.Answer):
    state = fields.String(required=True, metadata={"description": "signed or waiting"})
    place_in_queue = fields.Integer(required=True)
    round_trip_km = fields.String(required=True, allow_none=True)


class ScreenScan(schemas.Request):
    code = schemas.Pattern(
        r"[A-Za-z0-9:/?=&._%+\-]{1,512}", expected="应为扫码得到的文本或 8 位数字|must be a scanned text or 8 digits",
        required=True,
    )  # fmt: skip
    gathering_id = schemas.Id(
        load_default=None, allow_none=True, metadata={"description": "needed with a typed code"}
    )  # fmt: skip
    lat = schemas.Quantity(load_default=None, allow_none=True, metadata={"description": "only where the place asks"})
    lng = schemas.Quantity(load_default=None, allow_none=True)


class AttendedShown(schemas.Answer):
    gathering_id = fields.String(required=True)
    gathering = fields.String(required=True)
    place = fields.String(required=True, allow_none=True)
    day = fields.String(required=True)
    at = fields.String(required=True)
    first = fields.Boolean(required=True, metadata={"description": "false: I was noted already"})
    record_id = fields.String(required=True, allow_none=True)
    state = fields.String(required=True, metadata={"description": "of the record; later: it earns when it is over"})
    credits = fields.Integer(required=True)


class PresenceShown(schemas.Answer):
    minutes = fields.Integer(required=True)
    least_minutes = fields.Integer(required=True)


class ScreenQuery(schemas.Request):
    place = schemas.code(load_default=None)


class PlaceShown(schemas.Answer):
    code = fields.String(required=True)
    name = fields.String(required=True)


class ScreenShown(schemas.Answer):
    place = fields.String(required=True)
    text = fields.String(required=True, metadata={"description": "of the QR code"})
    typed = fields.String(required=True, metadata={"description": "the same to type"})
    seconds_left = fields.Float(required=True, metadata={"description": "then ask again"})
    attended = fields.Integer(required=True)
    attended_today = fields.Integer(required=True)
    signed = fields.Integer(required=True)
    waiting = fields.Integer(required=True)
    places = fields.List(fields.Nested(PlaceShown), required=True)


@routes.get("/programs/<code:program>/gatherings")
@citizen()
@asks(PageQuery)
@gives(paged("GatheringPage", GatheringShown))
@refuses(NOT_FOUND)
def get_gatherings(login: Login, query: dict[str, Any], program: str) -> Response:
    """What is on in a program

    Events and stations that are open, what ends first first. Meetings stand among mine only.
    """
    after = decode(query["cursor"], 2)
    rows = gatherings.listed(
        program_id=programs.known(program).id, person_id=login.person_id, limit=query["limit"] + 1, at=now(),
        after=None if after is None else (after[0], after[1]),
    )  # fmt: skip
    return answer(page(rows, query["limit"], _shown, lambda row: (int(row.ends_at.timestamp() * 1e6), row.id)))


@routes.get("/gatherings")
@citizen()
@asks(PageQuery)
@gives(paged("MyGatheringPage", GatheringShown))
def get_my_gatherings(login: Login, query: dict[str, Any]) -> Response:
    """My gatherings

    What I signed up for, host or attended, newest first.
    """
    before = decode(query["cursor"], 1)
    rows = gatherings.mine(
        person_id=login.person_id, before=before[0] if before else None, limit=query["limit"] + 1
    )  # fmt: skip
    return answer(page(rows, query["limit"], _shown, lambda row: (row.id,)))


@routes.get("/gatherings/<id:gathering_id>")
@citizen()
@gives(GatheringShown)
@refuses(NOT_FOUND)
def get_gathering(login: Login, gathering_id: int) -> Response:
    """One gathering"""
    return answer(_shown(_visible(gathering_id, login.person_id)))


@routes.put("/gatherings/<id:gathering_id>/sign-up")
@citizen()
@takes(SignUpIn, example={"round_trip_km": "24.5"})
@gives(SignUpShown)
@refuses(
    NOT_FOUND, NOT_A_MEMBER, gatherings.GATHERING_OVER, gatherings.SIGN_UP_CLOSED, gatherings.GATHERING_NOT_FOR_YOU,
    gatherings.NO_SHOW_PAUSE,
)  # fmt: skip
def put_sign_up(login: Login, body: dict[str, Any], gathering_id: int) -> Response:
    """Sign up

    A place, or the next in the queue; whoever gives one back makes room for the first in it. Again is the same; a
    declared trip is brought up to date.
    """
    trip: Decimal | None = body["round_trip_km"]
    if trip is not None and not Decimal("0.5") <= trip <= 3000:
        expected = pick("0.5 到 3000 公里|0.5 to 3000 km")
        raise INVALID_FIELD(fields=[{"field": "round_trip_km", "expected": expected}])

    def command() -> dict[str, Any]:
        with transaction():
            _visible(gathering_id, login.person_id)
            kept, position = gatherings.sign_up(
                gathering_id=gathering_id, person_id=login.person_id, at=now(), round_trip_km=trip
            )
            return {"state": kept.state, "place_in_queue": position, "round_trip_km": _km(kept.round_trip_km)}

    return answer(retrying(command))


@routes.delete("/gatherings/<id:gathering_id>/sign-up")
@citizen()
@gives(None, status=204)
@refuses(NOT_FOUND, gatherings.GATHERING_OVER)
def delete_sign_up(login: Login, gathering_id: int) -> Response:
    """Give my place back

    Until it begins; afterwards not coming is a no-show.
    """
    with transaction():
        gatherings.cancel_sign_up(gathering_id=gathering_id, person_id=login.person_id, at=now())
    return nothing()


@routes.post("/gatherings/scan")
@citizen()
@takes(ScreenScan, example={"code": "12345678", "gathering_id": "1"})
@gives(AttendedShown, status=201)
@refuses(
    gatherings.CODE_UNKNOWN, gatherings.CODE_STALE, gatherings.CODE_ELSEWHERE, gatherings.NOT_BEGUN,
    gatherings.GATHERING_OVER, gatherings.SIGN_UP_NEEDED, gatherings.GATHERING_NOT_FOR_YOU, NOT_A_MEMBER,
    VENUE_PLACE_NEEDED, VENUE_TOO_FAR, CONSENT_REQUIRED,
)  # fmt: skip
def scan(login: Login, body: dict[str, Any]) -> Response:
    """Attend by the code on the organiser's screen

    It changes every 30 seconds, so a forwarded one or a photo is too old. Once a gathering (a station: once a day);
    again it is answered with the first (200).
    """
    here = (float(body["lat"]), float(body["lng"])) if body["lat"] is not None and body["lng"] is not None else None
    limits.check(WRONG_CODE, str(login.person_id))

    def command() -> Attended:
        with transaction():
            return gatherings.scan(
                code=body["code"], person_id=login.person_id, at=now(), gathering_id=body["gathering_id"], position=here
            )

    try:
        found = retrying(command)
    except Refusal as refusal:
        if refusal.declared is gatherings.CODE_UNKNOWN:
            limits.take(WRONG_CODE, str(login.person_id))
        raise
    return answer(_attended(found), 201 if found.fresh else 200)


@routes.post("/gatherings/<id:gathering_id>/presence")
@citizen()
@gives(PresenceShown)
@refuses(
    NOT_FOUND, NOT_A_MEMBER, gatherings.NOT_BEGUN, gatherings.GATHERING_OVER, gatherings.SIGN_UP_NEEDED,
    gatherings.GATHERING_NOT_FOR_YOU,
)  # fmt: skip
def beat(login: Login, gathering_id: int) -> Response:
    """I am here

    Sent by the applet each minute of an online event or meeting; what lies between two of them counts, by our clock,
    once for all of my devices.
    """

    def command() -> dict[str, Any]:
        with transaction():
            least = _visible(gathering_id, login.person_id).least_minutes
            minutes = gatherings.beat(gathering_id=gathering_id, person_id=login.person_id, at=now())
            return {"minutes": minutes, "least_minutes": least}

    return answer(retrying(command))


@routes.get("/gatherings/<id:gathering_id>/screen")
@citizen()
@asks(ScreenQuery)
@gives(ScreenShown)
@refuses(NOT_FOUND)
def get_screen(login: Login, query: dict[str, Any], gathering_id: int) -> Response:
    """The organiser's screen

    The code of now for one place, and how many have come; ask each second or two for the count.
    """
    found = gatherings.screen(gathering_id=gathering_id, person_id=login.person_id, place=query["place"], at=now())
    shown = {
        "place": either(found.place, found.place_en),
        "text": found.text,
        "typed": found.typed,
        "seconds_left": round(found.seconds_left, 1),
        "attended": found.attended,
        "attended_today": found.attended_today,
        "signed": found.signed,
        "waiting": found.waiting,
        "places": [{"code": one.code, "name": either(one.name, one.name_en)} for one in found.places],
    }
    return answer(shown, headers={"Cache-Control": "no-store"})


@routes.post("/gatherings/<id:gathering_id>/close")
@citizen()
@gives(GatheringShown)
@refuses(NOT_FOUND)
def close(login: Login, gathering_id: int) -> Response:
    """End my gathering now

    For its host; what it earned is settled a quarter of an hour later. Again changes nothing.
    """
    with transaction():
        gatherings.close(gathering_id=gathering_id, person_id=login.person_id, at=now())
    return answer(_shown(gatherings.shown(gathering_id=gathering_id, person_id=login.person_id)))


def _visible(gathering_id: int, person_id: int) -> Any:
    """A gathering of a program of mine; a meeting only to those of its program. Raises NOT_FOUND."""
    found = gatherings.shown(gathering_id=gathering_id, person_id=person_id)
    if not programs.is_member(found.program_id, person_id):
        raise NOT_FOUND(gathering=str(gathering_id))
    return found


def _km(kept: Decimal | None) -> str | None:
    return None if kept is None else f"{kept.normalize():f}"


def _shown(row: Any) -> dict[str, Any]:
    plain = ("program", "code", "kind", "attend_by", "least_minutes", "repeats", "needs_sign_up", "capacity", "signed",
             "state", "place_in_queue", "hosting")  # fmt: skip
    return {
        "id": str(row.id),
        **{name: getattr(row, name) for name in plain},
        "name": either(row.name, row.name_en),
        "text": either(row.text_zh, row.text_en),
        **{name: when(getattr(row, name)) for name in ("opens_at", "closes_at", "starts_at", "ends_at")},
        "my_state": row.mine,
        "round_trip_km": _km(row.round_trip_km),
        "attended_at": when_or_none(row.attended_at),
    }


def _attended(found: Attended) -> dict[str, Any]:
    taken, place = found.taken, found.place
    return {
        "gathering_id": str(found.gathering.id),
        "gathering": either(found.gathering.name, found.gathering.name_en),
        "place": None if place is None else either(place.name, place.name_en),
        "day": found.attendance.day.isoformat(),
        "at": when(found.attendance.at),
        "first": found.fresh,
        "record_id": None if taken is None or taken.record_id is None else str(taken.record_id),
        "state": "later" if taken is None else taken.state,
        "credits": 0 if taken is None or taken.paid_in is not None else taken.credits,
    }
