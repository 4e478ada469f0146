"""Pictures of items in three sizes. They are operators' own, named by their content, and served for ever under it."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path

from PIL import Image

from app.errors import NOT_FOUND
from app.media import files

SIZES = {"small": 240, "medium": 640, "large": 1280}
FOLDER = "items"
NAME = re.compile(r"[0-9a-f]{32}-(small|medium|large)\.jpg", re.ASCII)
PREFIX = "picture:"
"""What ``items.picture`` holds before the name of one of ours; anything else is an address as it stands."""


def store(folder: Path, sent: bytes) -> str:
    """Write a picture anew in each size; answers what ``items.picture`` keeps. Raises IMAGE_REFUSED, IMAGE_TOO_LARGE.

    The same picture twice is the same files.
    """
    clean = files.look(sent, purpose="photo")
    name = hashlib.sha256(clean.body).hexdigest()[:32]
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    for size, side in SIZES.items():
        path = folder / FOLDER / f"{name}-{size}.jpg"
        draft = path.with_suffix(".new")
        draft.write_bytes(_shrunk(clean.body, side))
        draft.replace(path)
    return PREFIX + name


def addresses(picture: str) -> dict[str, str]:
    """A picture's address by size, as paths of ours; one address for all sizes when it isn't ours."""
    if not picture:
        return {}
    if not picture.startswith(PREFIX):
        return dict.fromkeys(SIZES, picture)
    return {size: f"/pictures/{picture.removeprefix(PREFIX)}-{size}.jpg" for size in SIZES}


def read(folder: Path, name: str) -> bytes:
    """The bytes of one size. Raises NOT_FOUND."""
    path = folder / FOLDER / name
    if not NAME.fullmatch(name) or not path.is_file():
        raise NOT_FOUND()
    return path.read_bytes()


def _shrunk(body: bytes, side: int) -> bytes:
    with Image.open(io.BytesIO(body)) as opened:
        opened.thumbnail((side, side))
        out = io.BytesIO()
        opened.save(out, "JPEG", quality=85)
    return out.getvalue()
