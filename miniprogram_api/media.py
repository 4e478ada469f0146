"""Pictures: uploaded by their owner, checked, then served to everybody under a random name."""

from __future__ import annotations

from typing import Any

import structlog
from apiflask import APIBlueprint
from apiflask.fields import File
from flask import Response, current_app, request
from marshmallow import fields

from app import limits, media
from app.clock import now
from app.db import transaction
from app.errors import INVALID_FIELD, NOT_FOUND, TOO_MANY
from app.media import files
from app.people import Login
from courier import safety
from edge import schemas
from edge.answers import BODY_TOO_LARGE, answer, nothing
from edge.guards import public
from edge.language import pick
from edge.reading import UNSUPPORTED_TYPE
from edge.routes import gives, refuses, spec_of
from miniprogram_api.guards import citizen
from miniprogram_api.show import when, when_or_none

routes = APIBlueprint("media", __name__, tag="Media")
served = APIBlueprint("media_served", __name__, enable_openapi=False)
log = structlog.get_logger("media")
UPLOADS = limits.Limit("uploads", 30, 3_600)
OVERHEAD = 64 * 1024
SEEN = "public, max-age=3600"  # no longer: a picture that is removed must go


class Upload(schemas.Request):
    file = File(required=True, metadata={"description": "JPG, PNG, GIF or BMP, at most 5 MB; the content decides"})
    purpose = schemas.OneOf(*files.LONGEST_SIDE, required=True)


class Picture(schemas.Answer):
    id = fields.String(required=True)
    purpose = fields.String(required=True)
    state = fields.String(
        required=True, metadata={"description": "pending, review (a person looks), pass, risky (not shown), failed"}
    )
    url = fields.String(required=True, metadata={"description": "for everybody once passed; else mine for an hour"})
    width = fields.Integer(required=True)
    height = fields.Integer(required=True)
    uploaded_at = fields.String(required=True)
    decided_at = fields.String(required=True, allow_none=True)


class Pictures(schemas.Answer):
    items = fields.List(fields.Nested(Picture), required=True)


@routes.post("/media")
@citizen(limit=UPLOADS)
@gives(Picture, status=201)
@refuses(
    media.IMAGE_REFUSED, media.IMAGE_TOO_LARGE, media.MEDIUM_LIMIT, INVALID_FIELD, BODY_TOO_LARGE, UNSUPPORTED_TYPE,
    TOO_MANY,
)  # fmt: skip
def upload(login: Login) -> Response:
    """Upload a picture

    `multipart/form-data` with `file` and `purpose` (`wx.uploadFile`). An avatar becomes mine by itself when it has
    passed its check; until then others see the old one.
    """
    sent, purpose = _form()
    picture = files.look(sent, purpose=purpose)
    files.save(_folder(), picture)
    try:
        with transaction():
            made = media.add(person_id=login.person_id, purpose=purpose, picture=picture, at=now())
            shown = _shown(made)
    except BaseException:
        files.delete(_folder(), picture.name)  # no file without its row
        raise
    return answer(shown, 201)


spec_of(upload).update(body=Upload(), body_example=None, body_examples=None, content_type="multipart/form-data")


@routes.get("/media")
@citizen()
@gives(Pictures)
def get_media(login: Login) -> Response:
    """My pictures

    Newest first, with how their checks stand.
    """
    return answer({"items": [_shown(one) for one in media.mine(login.person_id)]})


@routes.delete("/media/<id:medium_id>")
@citizen()
@gives(None, status=204)
@refuses(NOT_FOUND)
def remove(login: Login, medium_id: int) -> Response:
    """Remove one of my pictures

    Nobody sees it from now on, and its file is deleted within the hour.
    """
    with transaction():
        media.remove(medium_id=medium_id, person_id=login.person_id, at=now())
    return nothing()


@served.get("/media/<string(maxlength=40):name>")
@public()
def serve(name: str) -> Response:
    """A picture that has passed; any other only by a signed address: for its owner, and for WeChat's check."""
    found = media.by_name(name) if set(name) <= files.ALPHABET else None
    signed = safety.opens(name, request.args.get("until", ""), request.args.get("mark", ""), now())
    if found is None or not (found.state == "pass" or signed):
        raise NOT_FOUND()
    body = files.read(_folder(), name)
    if body is None:
        log.error("picture_without_file", kind=found.purpose)
        raise NOT_FOUND()
    headers = {
        "Cache-Control": SEEN if found.state == "pass" else "private, no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'",
    }
    return Response(body, 200, headers, mimetype=found.content_type)


def _form() -> tuple[bytes, str]:
    """The one file and its purpose, nothing else."""
    if request.mimetype != "multipart/form-data":
        raise UNSUPPORTED_TYPE()
    largest = media.LARGEST_BYTES + OVERHEAD
    if (request.content_length or 0) > largest:
        raise media.IMAGE_TOO_LARGE(largest_bytes=media.LARGEST_BYTES)
    request.max_content_length = largest
    purpose, sent = request.form.get("purpose", ""), request.files.get("file")
    if purpose not in files.LONGEST_SIDE:
        expected = pick("应为 avatar 或 photo|must be avatar or photo")
        raise INVALID_FIELD(fields=[{"field": "purpose", "expected": expected}])
    if sent is None or set(request.form) != {"purpose"} or len(list(request.files.items(multi=True))) != 1:
        expected = pick("应恰好包含一个文件|must be one file, and no other field")
        raise INVALID_FIELD(fields=[{"field": "file", "expected": expected}])
    return sent.stream.read(media.LARGEST_BYTES + 1), purpose


def _folder() -> Any:
    return current_app.config["SETTINGS"].media_folder


def _shown(one: Any) -> dict[str, Any]:
    base = current_app.config["SETTINGS"].public_base_url
    path = f"/media/{one.name}" if one.state == "pass" else safety.signed_path(one.name, now())
    return {
        "id": str(one.id),
        "purpose": one.purpose,
        "state": one.state,
        "url": base + path,
        "width": one.width,
        "height": one.height,
        "uploaded_at": when(one.uploaded_at),
        "decided_at": when_or_none(one.decided_at),
    }
