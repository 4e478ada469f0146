"""Scenes: what a code or link of ours means. The token in it is opaque, has one purpose and an end, and is not kept.

WeChat's codes never expire, so expiry is ours. The applet asks what a token means (``POST /api/v1/scenes/resolve``).
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, or_, update
from sqlalchemy.dialects.postgresql import insert

from app import audit, vault
from app.db import connection, session
from app.errors import NOT_FOUND, Kind, declare
from app.scenes.models import CodeImage, Scene

TOKEN_BYTES = 18  # 24 characters; a scene has at most 32
INVITATION, VENUE = "invitation", "venue"
PURPOSES = {INVITATION: "pages/join/index", VENUE: "pages/venue/index"}
"""Purpose → page of the applet that the code leads to."""
LONGEST = timedelta(days=366)

SCENE_INVALID = declare(
    "scene_invalid",
    Kind.INVALID,
    zh="该码已失效、已使用或不存在，请向提供者索取新的码。",
    en="This code is no longer valid, was used up, or never was. Ask whoever gave it to you for a new one.",
)


@dataclass(frozen=True, slots=True)
class Made:
    """A new scene; the token is shown this once."""

    scene_id: int
    token: str
    page: str
    expires_at: datetime


def make(
    *, purpose: str, payload: dict[str, Any], program_id: int | None, uses: int | None, expires_at: datetime, by: str,
    at: datetime,
) -> Made:  # fmt: skip
    """Make a token for a purpose. ``uses`` None: any number until it ends. Raises ValueError for a longer life."""
    if not at < expires_at <= at + LONGEST:
        raise ValueError("a code lives up to a year")
    token = secrets.token_urlsafe(TOKEN_BYTES)
    scene = Scene(
        token_hash=_hash(token),
        purpose=purpose,
        payload=payload,
        program_id=program_id,
        page=PURPOSES[purpose],
        uses_left=uses,
        made_by=by,
        made_at=at,
        expires_at=expires_at,
    )
    session().add(scene)
    session().flush()
    audit.write(
        actor=by,
        action="scene.make",
        object_type="scene",
        object_id=scene.id,
        at=at,
        program_id=program_id,
        after=payload,
    )
    return Made(scene.id, token, scene.page, expires_at)


def resolve(token: str, *, purpose: str | None, at: datetime) -> Scene:
    """What a token means; uses it up where uses are counted. Raises SCENE_INVALID, alike for every reason."""
    good = [
        Scene.token_hash == _hash(token),
        Scene.expires_at > at,
        Scene.revoked_at.is_(None),
        or_(Scene.uses_left.is_(None), Scene.uses_left > 0),
    ]
    if purpose is not None:
        good.append(Scene.purpose == purpose)
    taken = update(Scene).where(*good).values(uses_left=Scene.uses_left - 1).returning(Scene)
    found = session().scalars(taken).first()
    if found is None:
        raise SCENE_INVALID()
    return found


def revoke(*, scene_id: int, by: str, at: datetime) -> None:
    """End a scene now. Raises NOT_FOUND."""
    scene = session().get(Scene, scene_id, with_for_update=True)
    if scene is None:
        raise NOT_FOUND(scene=str(scene_id))
    scene.revoked_at = scene.revoked_at or at
    audit.write(actor=by, action="scene.revoke", object_type="scene", object_id=scene_id, at=at)


def image_key(*, appid: str, page: str, scene: str, version: str, width: int) -> bytes:
    """The name of an image; from a hash, so that no token stands in the table."""
    return hashlib.sha256(vault.keyed_hash("code-image", f"{appid}|{page}|{scene}|{version}|{width}")).digest()


def kept_image(key: bytes) -> bytes | None:
    """An image that was made before."""
    found = session().get(CodeImage, key)
    return None if found is None else found.image


def keep_image(*, key: bytes, image: bytes, at: datetime) -> None:
    row = {"image_key": key, "image": image, "made_at": at}
    connection().execute(insert(CodeImage).values(row).on_conflict_do_nothing())


def purge(*, at: datetime) -> int:
    """Forget images that nobody can want any more: older than the longest life of a scene."""
    return int(connection().execute(delete(CodeImage).where(CodeImage.made_at < at - LONGEST)).rowcount)


def _hash(token: str) -> bytes:
    return vault.keyed_hash("scene", token)


__all__ = [
    "INVITATION",
    "LONGEST",
    "PURPOSES",
    "SCENE_INVALID",
    "VENUE",
    "CodeImage",
    "Made",
    "Scene",
    "image_key",
    "keep_image",
    "kept_image",
    "make",
    "purge",
    "resolve",
    "revoke",
]
