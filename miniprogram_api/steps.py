"""My steps, from WeRun."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import people, records
from app.clock import business_day, now
from app.people import Login
from courier import steps
from edge import schemas
from edge.answers import answer
from edge.routes import gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import when

routes = APIBlueprint("steps", __name__, tag="Steps")
DAYS = 31


class WeRun(schemas.Request):
    encrypted_data = schemas.Pattern(
        r"[A-Za-z0-9+/]{16,60000}={0,2}",
        expected="应为 wx.getWeRunData 返回的 encryptedData|must be encryptedData of wx.getWeRunData",
        required=True,
    )
    iv = schemas.Pattern(
        r"[A-Za-z0-9+/]{22}==", expected="应为 wx.getWeRunData 返回的 iv|must be iv of wx.getWeRunData", required=True
    )


class StepDay(schemas.Answer):
    day = fields.String(required=True)
    steps = fields.Integer(required=True)
    state = fields.String(
        required=True,
        metadata={"description": "provisional (today), closing (open the applet once after midnight), or settled"},
    )
    read_at = fields.String(required=True)
    record_id = fields.String(required=True, allow_none=True)


class Steps(schemas.Answer):
    items = fields.List(fields.Nested(StepDay), required=True)


EXAMPLE = {"encrypted_data": "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZM", "iv": "r7BXXKkLb8qrSNn05n0qiA=="}


@routes.post("/steps/werun")
@citizen()
@takes(WeRun, example=EXAMPLE)
@gives(Steps)
@refuses(people.CONSENT_REQUIRED, steps.WERUN_EXPIRED, records.NOWHERE_TO_WALK)
def post_werun(login: Login, body: dict[str, Any]) -> Response:
    """Send my steps

    What `wx.getWeRunData` gave, as it is. Needs the consent `steps`. `werun_expired`: log in, fetch again, send once
    more. The same again changes nothing; a day is credited once, after it has closed, whichever program pays it.
    """
    steps.take(login.person_id, body["encrypted_data"], body["iv"])
    return answer(_shown(login.person_id))


@routes.get("/steps")
@citizen()
@gives(Steps)
def get_steps(login: Login) -> Response:
    """My steps

    The last 31 days, newest first.
    """
    return answer(_shown(login.person_id))


def _shown(person_id: int) -> dict[str, Any]:
    today = business_day(now())
    rows = records.steps_of(person_id, [today - timedelta(days=back) for back in range(DAYS + 1)])
    return {
        "items": [
            {
                "day": row.day.isoformat(),
                "steps": int(row.value),
                "state": _state(row, row.day == today),
                "read_at": when(row.read_at),
                "record_id": None if row.record_id is None else str(row.record_id),
            }
            for row in rows
        ]
    }


def _state(row: Any, is_today: bool) -> str:
    if row.settled_value == row.value:
        return "settled"
    return "provisional" if is_today else "closing"
