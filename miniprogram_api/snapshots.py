"""My snapshots: acts by photo, looked at by a person before they count."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response, current_app
from marshmallow import fields

from app import media, programs, snapshots
from app.clock import now
from app.db import retrying, transaction
from app.errors import IDEMPOTENCY_CONFLICT, INVALID_FIELD, NOT_FOUND, TOO_MANY
from app.media import files
from app.people import Login
from app.records import checks
from courier import safety
from edge import schemas
from edge.answers import answer
from edge.language import pick
from edge.paging import PageQuery, decode, page, paged
from edge.routes import asks, gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import either, when

routes = APIBlueprint("snapshots", __name__, tag="Snapshots")


class SendSnapshot(schemas.Request):
    program = schemas.code(required=True)
    scenario = schemas.code(required=True, metadata={"description": "a photo scenario, such as clean-plate"})
    client_ref = schemas.reference(required=True, metadata={"description": "my own reference; once per photo"})
    medium_id = schemas.Id(required=True, metadata={"description": "of `POST /media` with the purpose photo"})
    taken_at = schemas.Moment(required=True, metadata={"description": "at most 48 hours ago"})
    note = schemas.Text(longest=200, shortest=0, load_default="")


class SnapshotShown(schemas.Answer):
    id = fields.String(required=True)
    record_id = fields.String(required=True)
    program = fields.String(required=True)
    scenario = fields.String(required=True)
    state = fields.String(required=True, metadata={"description": "of its record: held until somebody has looked"})
    reason = fields.String(required=True)
    credits = fields.Integer(required=True)
    photo_state = fields.String(required=True, metadata={"description": "of its content check; gone when thinned"})
    photo_url = fields.String(required=True, allow_none=True, metadata={"description": "mine, for an hour"})
    note = fields.String(required=True)
    taken_at = fields.String(required=True)
    sent_at = fields.String(required=True)


@routes.post("/snapshots")
@citizen()
@takes(
    SendSnapshot,
    example={
        "program": "rongcheng", "scenario": "clean-plate", "client_ref": "plate-1", "medium_id": "42",
        "taken_at": "2026-11-20T12:30:00+08:00", "note": "光盘",
    },
)  # fmt: skip
@gives(SnapshotShown, status=201)
@refuses(
    NOT_FOUND, INVALID_FIELD, IDEMPOTENCY_CONFLICT, TOO_MANY, programs.NOT_A_MEMBER, snapshots.NO_PHOTO_SCENARIO,
    snapshots.SNAPSHOT_TOO_OLD, checks.IN_FUTURE, checks.BEFORE_PROGRAM, checks.PROGRAM_CLOSED,
)  # fmt: skip
def send(login: Login, body: dict[str, Any]) -> Response:
    """Send a snapshot

    A photo of a green act. It counts when its content check has passed and a person has looked; by the rules of the day
    it was taken. The same again is answered with the first (200).
    """
    program = programs.known(body["program"])
    mark = _fingerprint(body["medium_id"], login.person_id)
    wanted = {name: body[name] for name in ("scenario", "client_ref", "medium_id", "taken_at", "note")}

    def command() -> tuple[dict[str, Any], bool]:
        with transaction():
            made, taken = snapshots.send(
                program_id=program.id, person_id=login.person_id, fingerprint=mark, at=now(), **wanted
            )
            return _shown(snapshots.one(made.id, login.person_id)), taken is not None

    shown, fresh = retrying(command)
    return answer(shown, 201 if fresh else 200)


@routes.get("/snapshots")
@citizen()
@asks(PageQuery)
@gives(paged("SnapshotPage", SnapshotShown))
def get_snapshots(login: Login, query: dict[str, Any]) -> Response:
    """My snapshots

    Newest first, with what became of them.
    """
    before = decode(query["cursor"], 1)
    rows = snapshots.of_person(login.person_id, before=before[0] if before else None, limit=query["limit"] + 1)
    return answer(page(rows, query["limit"], _shown, lambda row: (row.id,)))


@routes.get("/snapshots/<id:snapshot_id>")
@citizen()
@gives(SnapshotShown)
@refuses(NOT_FOUND)
def get_snapshot(login: Login, snapshot_id: int) -> Response:
    """One of my snapshots"""
    return answer(_shown(snapshots.one(snapshot_id, login.person_id)))


def _fingerprint(medium_id: int, person_id: int) -> int:
    """What the photo looks like; read outside of the transaction. Raises INVALID_FIELD for one that isn't mine."""
    found = media.shown(medium_id, person_id)
    body = None if found is None else files.read(current_app.config["SETTINGS"].media_folder, found.name)
    if body is None:
        expected = pick("应为您上传的照片编号|must be the id of a photo that you uploaded")
        raise INVALID_FIELD(fields=[{"field": "medium_id", "expected": expected}])
    return snapshots.fingerprint_of(body)


def _shown(row: Any) -> dict[str, Any]:
    base = current_app.config["SETTINGS"].public_base_url
    return {
        "id": str(row.id),
        "record_id": str(row.record_id),
        "program": row.program,
        "scenario": row.scenario,
        "state": row.state,
        "reason": either(row.reason_zh or "", row.reason_en or ""),
        "credits": int(row.credits),
        "photo_state": row.photo_state or "gone",
        "photo_url": base + safety.signed_path(row.photo_name, now()) if row.photo_name else None,
        "note": row.note,
        "taken_at": when(row.taken_at),
        "sent_at": when(row.sent_at),
    }
