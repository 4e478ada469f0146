"""The bytes of a picture: known by its content, written anew without anything but the picture, kept in a folder."""

from __future__ import annotations

import hashlib
import io
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageOps

from app.errors import Kind, declare

LARGEST_BYTES = 5 * 1024 * 1024
MOST_PIXELS = 40_000_000
LONGEST_SIDE = {"avatar": 512, "photo": 2048}
FORMATS = ("JPEG", "PNG", "GIF", "BMP")
"""What WeChat's check takes (reference: media_check_async)."""
CONTENT_TYPE = "image/jpeg"

IMAGE_REFUSED = declare(
    "image_refused",
    Kind.INVALID,
    zh="文件不是可用的图片，请上传 JPG、PNG、GIF 或 BMP 格式的图片。",
    en="The file is no picture that we can read. Send a JPG, PNG, GIF or BMP.",
)
IMAGE_TOO_LARGE = declare(
    "image_too_large",
    Kind.TOO_LARGE,
    zh="图片过大，请压缩后上传（不超过 5 MB、4000 万像素）。",
    en="The picture is too large. Send at most 5 MB and 40 million pixels.",
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as we keep it."""

    name: str
    width: int
    height: int
    body: bytes = field(repr=False)

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.body).digest()


def look(sent: bytes, *, purpose: str) -> Picture:
    """Decide by the content, turn upright, shrink, and write it anew. Raises IMAGE_REFUSED, IMAGE_TOO_LARGE."""
    if len(sent) > LARGEST_BYTES:
        raise IMAGE_TOO_LARGE(largest_bytes=LARGEST_BYTES)
    try:
        with Image.open(io.BytesIO(sent), formats=FORMATS) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise IMAGE_TOO_LARGE(most_pixels=MOST_PIXELS)
            upright = ImageOps.exif_transpose(opened)
            upright.thumbnail((LONGEST_SIDE[purpose],) * 2)
            clean = _on_white(upright)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, IndexError, KeyError, EOFError) as error:
        raise IMAGE_REFUSED() from error
    out = io.BytesIO()
    clean.save(out, "JPEG", quality=88)
    return Picture(secrets.token_urlsafe(24), clean.width, clean.height, out.getvalue())


def _on_white(picture: Image.Image) -> Image.Image:
    """Pixels alone, on white where it was transparent: a new picture carries no metadata of the old."""
    shown = picture.convert("RGBA")
    page = Image.new("RGB", shown.size, "white")
    page.paste(shown, mask=shown.getchannel("A"))
    return page


def save(folder: Path, picture: Picture) -> None:
    """Write the file, whole or not at all. Raises OSError."""
    path = path_of(folder, picture.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_bytes(picture.body)
    draft.replace(path)


def read(folder: Path, name: str) -> bytes | None:
    """The file's bytes, None when it is gone."""
    path = path_of(folder, name)
    return path.read_bytes() if path.is_file() else None


def delete(folder: Path, name: str) -> None:
    path_of(folder, name).unlink(missing_ok=True)


def path_of(folder: Path, name: str) -> Path:
    """Where a picture lies. ``name`` is one that we made, letters, digits, ``-`` and ``_``."""
    if not name or not set(name) <= ALPHABET:
        raise ValueError("no name of ours")
    return folder / name[:2] / name


ALPHABET = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
