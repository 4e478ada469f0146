"""The organiser's rotating code: a picture (QR text) and one to type, bound to a gathering, a place and 30 seconds.

gathering id ‖ place id ‖ key id ‖ step ‖ first 8 bytes of HMAC-SHA-256(key, those), in base32. A step is 30 seconds of
the server's time. A code counts for 31 seconds after it first stood on the screen: a second for the way, and no longer,
so that a picture of it is stale before it has been forwarded.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app import vault

STEP_SECONDS = 30
COUNTS_FOR = timedelta(seconds=31)
AHEAD = timedelta(seconds=1)  # another of our machines may be a moment ahead
PREFIX = "DG"
KEY_ID = 1
KEYS = (KEY_ID,)
TYPED_DIGITS = 8
TYPED_MEMORY = 20
"""For so many steps a typed code is told to be old instead of unknown: ten minutes."""
_MAC, _LENGTH, _CHARACTERS = 8, 8 + 8 + 1 + 4 + 8, 47


@dataclass(frozen=True, slots=True)
class Seen:
    """What a code says, believed only once it is ``genuine``."""

    gathering_id: int
    place_id: int
    key_id: int
    step: int
    mac: bytes

    @property
    def shown_at(self) -> datetime:
        return datetime.fromtimestamp(self.step * STEP_SECONDS, UTC)


def step_of(at: datetime) -> int:
    return int(at.timestamp()) // STEP_SECONDS


def seconds_left(at: datetime) -> float:
    """How long the screen shows this code."""
    return STEP_SECONDS - at.timestamp() % STEP_SECONDS


def text_of(gathering_id: int, place_id: int, at: datetime) -> str:
    """The text of the picture in this step."""
    body = _body(gathering_id, place_id, KEY_ID, step_of(at))
    return PREFIX + base64.b32encode(body + _mac(KEY_ID, b"picture" + body)).decode().rstrip("=")


def typed_of(gathering_id: int, place_id: int, step: int) -> str:
    """The eight digits of a step."""
    digest = _mac(KEY_ID, b"typed" + _body(gathering_id, place_id, KEY_ID, step))
    return f"{int.from_bytes(digest, 'big') % 10**TYPED_DIGITS:0{TYPED_DIGITS}d}"


def read(text: str) -> Seen | None:
    """The parts of a picture's text; None for what is no code of ours."""
    text = text.strip()
    if len(text) != len(PREFIX) + _CHARACTERS or not text.startswith(PREFIX):
        return None
    try:
        whole = base64.b32decode(text[len(PREFIX) :] + "=")
    except (binascii.Error, ValueError):
        return None
    if len(whole) != _LENGTH:
        return None
    gathering, place, step = (int.from_bytes(whole[start:end], "big") for start, end in ((0, 8), (8, 16), (17, 21)))
    seen = Seen(gathering, place, whole[16], step, whole[21:])
    return seen if _genuine(seen) else None


def counts(shown_at: datetime, at: datetime) -> bool:
    """Whether a code that first stood on the screen at ``shown_at`` counts at ``at``."""
    return -AHEAD <= at - shown_at < COUNTS_FOR


def _genuine(seen: Seen) -> bool:
    if seen.key_id not in KEYS:
        return False
    body = _body(seen.gathering_id, seen.place_id, seen.key_id, seen.step)
    return hmac.compare_digest(_mac(seen.key_id, b"picture" + body), seen.mac)


def _body(gathering_id: int, place_id: int, key_id: int, step: int) -> bytes:
    return gathering_id.to_bytes(8, "big") + place_id.to_bytes(8, "big") + bytes([key_id]) + step.to_bytes(4, "big")


def _mac(key_id: int, body: bytes) -> bytes:
    return hmac.digest(vault.key_for(f"gathering-code:{key_id}"), body, "sha256")[:_MAC]
