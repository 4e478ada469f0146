"""The refreshing picture: a QR text that goes stale, so that a screenshot is worth nothing a minute later.

code id (128 bits) ‖ key id ‖ step ‖ first 8 bytes of HMAC-SHA-256(key, "redeem" ‖ code id ‖ step), in base32
(security.md 5). The code id is the first half of the keyed hash under which the code stands: it names no row and can't
be guessed. A step is 30 seconds of the server's time, accepted one step early or late, and each (code, step) once.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from datetime import datetime

from app import vault

STEP_SECONDS = 30
PREFIX = "DD"
KEY_ID = 1
KEYS = (KEY_ID,)  # those that are accepted: a new key is added here before it is used
_ID, _MAC = 16, 8
_LENGTH = _ID + 1 + 4 + _MAC
_CHARACTERS = 47  # of base32 without padding


@dataclass(frozen=True, slots=True)
class Seen:
    """What a picture says, believed or not. ``mark`` is the first half of the code's keyed hash."""

    mark: bytes
    key_id: int
    step: int
    mac: bytes


def text_of(code_hash: bytes, at: datetime) -> str:
    """The text of a code's picture in this step."""
    mark, step = code_hash[:_ID], step_of(at)
    whole = mark + bytes([KEY_ID]) + step.to_bytes(4, "big") + _mac(KEY_ID, mark, step)
    return PREFIX + base64.b32encode(whole).decode().rstrip("=")


def seconds_left(at: datetime) -> float:
    """How long this step still lasts; then the mini-program asks for the next text."""
    return STEP_SECONDS - at.timestamp() % STEP_SECONDS


def step_of(at: datetime) -> int:
    return int(at.timestamp()) // STEP_SECONDS


def read(text: str) -> Seen | None:
    """The parts of a picture's text; None when it is no picture of ours."""
    text = text.strip()
    if len(text) != len(PREFIX) + _CHARACTERS or not text.startswith(PREFIX):
        return None
    try:
        whole = base64.b32decode(text[len(PREFIX) :] + "=")
    except (binascii.Error, ValueError):
        return None
    if len(whole) != _LENGTH:
        return None
    return Seen(whole[:_ID], whole[_ID], int.from_bytes(whole[_ID + 1 : _ID + 5], "big"), whole[_ID + 5 :])


def genuine(seen: Seen) -> bool:
    """Whether we made it, at some time."""
    if seen.key_id not in KEYS:
        return False
    return hmac.compare_digest(_mac(seen.key_id, seen.mark, seen.step), seen.mac)


def fresh(seen: Seen, at: datetime) -> bool:
    """Whether its step is this one, the last or the next."""
    return abs(step_of(at) - seen.step) <= 1


def _mac(key_id: int, mark: bytes, step: int) -> bytes:
    key = vault.key_for(f"redemption-picture:{key_id}")
    return hmac.digest(key, b"redeem" + mark + step.to_bytes(4, "big"), "sha256")[:_MAC]
