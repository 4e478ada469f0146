"""Green meetings: register one, its report, office acts by department; where Tencent Meeting tells who was there."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import structlog
from apiflask import APIBlueprint
from flask import Response, request
from marshmallow import ValidationError, fields

from app import clock, gatherings, programs
from app.clock import now
from app.db import retrying, transaction
from app.errors import IDEMPOTENCY_CONFLICT, NOT_FOUND, Refusal
from app.gatherings import tencent
from app.people import Login
from app.programs import NOT_A_MEMBER
from edge import schemas
from edge.answers import answer
from edge.guards import Guard, mark
from edge.reading import json_body
from edge.routes import asks, gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import either, when

routes = APIBlueprint("meetings", __name__, tag="Gatherings")
webhook = APIBlueprint("tencent_meeting", __name__, enable_openapi=False)
log = structlog.get_logger("tencent_meeting")
PATH = "/meetings/tencent/<code:program>"


class Ahead(schemas.Moment):
    """A time with its offset, also one to come."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, str) or not self._form.fullmatch(value):
            raise self.make_error("invalid")
        try:
            found = datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            raise self.make_error("invalid") from None
        if not datetime(2000, 1, 1, tzinfo=UTC) <= found <= now() + timedelta(days=366):
            raise ValidationError(
                "时间超出允许范围（2000 年至一年后）|must lie between the year 2000 and a year from now"
            )
        return found


class MeetingIn(schemas.Request):
    client_ref = schemas.reference(required=True, metadata={"description": "my own reference; once per meeting"})
    name = schemas.Text(longest=60, required=True)
    starts_at = Ahead(required=True)
    ends_at = Ahead(required=True)
    online = schemas.Boolean(required=True, metadata={"description": "instead of trips, which attendees declare"})
    sheets = schemas.Integer(
        least=0, most=gatherings.MAX_SHEETS, load_default=0,
        metadata={"description": "A4 sheets that nobody prints, each"},
    )  # fmt: skip
    no_bottled_water = schemas.Boolean(load_default=False)
    meeting_code = schemas.Pattern(
        r"[0-9]{6,12}", expected="应为 6–12 位会议号|must be a meeting number of 6 to 12 digits",
        load_default=None, allow_none=True, metadata={"description": "its number at Tencent Meeting"},
    )  # fmt: skip


class MeetingShown(schemas.Answer):
    id = fields.String(required=True)
    name = fields.String(required=True)
    starts_at = fields.String(required=True)
    ends_at = fields.String(required=True)


class ActsShown(schemas.Answer):
    scenario = fields.String(required=True)
    acts = fields.Integer(required=True)
    recorded = fields.Integer(required=True)
    mg = fields.String(required=True, allow_none=True)
    credits = fields.Integer(required=True, allow_none=True)


class ReportShown(schemas.Answer):
    id = fields.String(required=True)
    name = fields.String(required=True)
    state = fields.String(required=True)
    starts_at = fields.String(required=True)
    ends_at = fields.String(required=True)
    signed = fields.Integer(required=True)
    attended = fields.Integer(required=True)
    person_minutes = fields.Integer(required=True)
    acts = fields.List(fields.Nested(ActsShown), required=True)


class OfficeQuery(schemas.Request):
    month = schemas.Pattern(
        r"20[0-9]{2}-(0[1-9]|1[0-2])", expected="应为年月，如 2026-11|must be a month like 2026-11", load_default=None
    )


class OfficeUnit(schemas.Answer):
    code = fields.String(required=True)
    name = fields.String(required=True)
    people = fields.Integer(required=True, allow_none=True, metadata={"description": "null below five persons"})
    acts = fields.Integer(required=True, allow_none=True)
    mg = fields.String(required=True, allow_none=True)


class OfficeShown(schemas.Answer):
    month = fields.String(required=True)
    items = fields.List(fields.Nested(OfficeUnit), required=True)


@routes.post("/programs/<code:program>/meetings")
@citizen()
@takes(
    MeetingIn,
    example={
        "client_ref": "weekly-1", "name": "周例会", "starts_at": "2026-11-02T14:00:00+08:00",
        "ends_at": "2026-11-02T15:30:00+08:00", "online": True, "sheets": 5, "no_bottled_water": True,
        "meeting_code": "530812452",
    },
)  # fmt: skip
@gives(MeetingShown, status=201)
@refuses(
    NOT_FOUND, NOT_A_MEMBER, gatherings.MEETING_INVALID, gatherings.MEETINGS_A_DAY, gatherings.GATHERING_INVALID,
    IDEMPOTENCY_CONFLICT,
)  # fmt: skip
def post_meeting(login: Login, body: dict[str, Any], program: str) -> Response:
    """Register a green meeting

    Its host opens the screen for those in the room, or names the meeting's number at Tencent Meeting. The same
    `client_ref` is answered with the first (200); with other content it is refused.
    """
    here = programs.known(program)
    wish = gatherings.Wish(**{name: value for name, value in body.items() if name != "client_ref"})

    def command() -> tuple[dict[str, Any], bool]:
        with transaction():
            found, fresh = gatherings.register(
                program_id=here.id, person_id=login.person_id, client_ref=body["client_ref"], wish=wish, at=now()
            )
            times = {"starts_at": when(found.starts_at), "ends_at": when(found.ends_at)}
            return {"id": str(found.id), "name": found.name, **times}, fresh

    if not programs.is_member(here.id, login.person_id):
        raise NOT_A_MEMBER(program=program)
    shown, fresh = retrying(command)
    return answer(shown, 201 if fresh else 200)


@routes.get("/gatherings/<id:gathering_id>/report")
@citizen()
@gives(ReportShown)
@refuses(NOT_FOUND)
def get_report(login: Login, gathering_id: int) -> Response:
    """The report of my gathering

    For its host, once it is settled: who came in numbers, what it avoided. Below five attendees grams and credits are
    not shown, so that nobody's own can be read from them.
    """
    found = gatherings.report(gathering_id=gathering_id, person_id=login.person_id)
    here = found.gathering
    shown = {
        "id": str(here.id),
        "name": either(here.name, here.name_en),
        "state": here.state,
        "starts_at": when(here.starts_at),
        "ends_at": when(here.ends_at),
        "signed": found.signed,
        "attended": found.attended,
        "person_minutes": found.person_minutes,
        "acts": [{**one, "mg": None if one["mg"] is None else str(one["mg"])} for one in found.acts],
    }
    return answer(shown)


@routes.get("/programs/<code:program>/office/units")
@citizen()
@asks(OfficeQuery)
@gives(OfficeShown)
@refuses(NOT_FOUND, NOT_A_MEMBER)
def get_office(login: Login, query: dict[str, Any], program: str) -> Response:
    """Office acts by department

    Paper, online meetings, attendance of a month; departments below five persons show no figure.
    """
    here = programs.known(program)
    if not programs.is_member(here.id, login.person_id):
        raise NOT_A_MEMBER(program=program)
    key = query["month"] or clock.period("month", clock.business_day(now())).key
    month = clock.period_by_key("month", key)
    last = (month.end_day or date.max) - timedelta(days=1)
    items = [
        {"code": one["code"], "name": either(one["name"], one["name_en"]), "people": one["people"],
         "acts": one["acts"], "mg": None if one["mg"] is None else str(one["mg"])}
        for one in gatherings.office_by_unit(program_id=here.id, first=month.first_day, last=last)
    ]  # fmt: skip
    return answer({"month": key, "items": items})


# -- Tencent Meeting calls: no login, the signature is the guard

_WORD = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)


@webhook.get(PATH)
def echo(program: str) -> Response:
    """The console's check of our address: the decoded text, as it came."""
    data = request.args.get("check_str", "")
    try:
        content = _verified(program, data)
    except tencent.Unreadable as error:
        return _refused(error.reason)
    return Response(content, 200, mimetype="text/plain")


@webhook.post(PATH)
def told(program: str) -> Response:
    """One message: verified, applied once by its sequence, answered at once."""
    try:
        body = json_body(tencent.LARGEST_BYTES)
        data = body.get("data") if isinstance(body, dict) else None
        content = _verified(program, data if isinstance(data, str) else "")
        here = programs.known(program)

        def command() -> int:
            with transaction():
                return gatherings.heard(program_id=here.id, content=content, at=now())

        retrying(command)
    except tencent.Unreadable as error:
        return _refused(error.reason)
    except Refusal:  # no JSON of ours to look for a signature in, or too large
        return _refused("signature")
    return Response("successfully received callback", 200, mimetype="text/plain")


mark(echo, Guard("partner", "tencent-meeting"))
mark(told, Guard("partner", "tencent-meeting"))


def _verified(program: str, data: str) -> bytes:
    """What a signed message says. Raises Unreadable, alike for an unknown program and a wrong signature."""
    try:
        token, key = gatherings.link_of(programs.known(program).id)
    except Refusal:
        raise tencent.Unreadable("signature") from None
    words = [request.headers.get(name, "") for name in ("timestamp", "nonce", "signature")]
    if not all(_WORD.fullmatch(word) for word in words) or not data:
        raise tencent.Unreadable("signature")
    timestamp, nonce, signed = words
    if not tencent.genuine(token=token, timestamp=timestamp, nonce=nonce, data=data, signed=signed):
        raise tencent.Unreadable("signature")
    return tencent.decoded(data, key)


def _refused(reason: str) -> Response:
    """401 for what nobody we know signed, 422 for what can't be read; why stands in the log."""
    log.warning("meeting_message_refused", kind=reason)
    return Response(status=401 if reason == "signature" else 422)
