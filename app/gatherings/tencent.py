"""Tencent Meeting's webhook, as far as it is known (data-sources.md 4): pure.

The signature and the form of the data are the vendor's published sample; encryption and the events of participants are
not verified against an official text, so what is missing in a message is told as unreadable, never guessed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from app.clock import SHANGHAI

LARGEST_BYTES = 256 * 1024
JOINED, LEFT, ENDED = "meeting.participant-joined", "meeting.participant-left", "meeting.end"


class Unreadable(Exception):
    """A message that is not as the vendor describes it; ``reason`` goes to the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Event:
    """One event about one meeting. ``user`` is the vendor's id of the participant."""

    name: str
    sequence: str
    meeting_code: str
    user: str | None
    at: datetime


def signature(token: str, timestamp: str, nonce: str, data: str) -> str:
    """SHA-1 over the four strings, sorted and joined."""
    return hashlib.sha1("".join(sorted((token, timestamp, nonce, data))).encode()).hexdigest()  # noqa: S324 - the vendor's


def genuine(*, token: str, timestamp: str, nonce: str, data: str, signed: str) -> bool:
    """Whether the signature holds, in constant time."""
    wanted = signature(token, timestamp, nonce, data)
    return hmac.compare_digest(wanted.encode(), signed.lower().encode("utf-8", "replace"))


def decoded(data: str, aes_key: str | None = None) -> bytes:
    """The content of ``data``: base64, which may lack its padding; encrypted where a key is set. Raises Unreadable."""
    try:
        content = base64.b64decode(data + "=" * (-len(data) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable("base64") from None
    return content if aes_key is None else _decrypted(content, aes_key)


def _decrypted(content: bytes, aes_key: str) -> bytes:
    """AES-256-CBC, the key's first half as IV, PKCS#7 (unverified)."""
    try:
        key = base64.b64decode(aes_key + "=" * (-len(aes_key) % 4), validate=True)
        opened = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
        plain = opened.update(content) + opened.finalize()
    except (binascii.Error, ValueError):
        raise Unreadable("encryption") from None
    padding = plain[-1] if plain else 0
    if not 1 <= padding <= 32 or plain[-padding:] != bytes([padding]) * padding:
        raise Unreadable("padding")
    return plain[:-padding]


def events(content: bytes) -> Iterator[Event]:
    """The events of a message. Raises Unreadable."""
    try:
        message = json.loads(content)
    except ValueError:
        raise Unreadable("json") from None
    if not isinstance(message, dict) or not isinstance(message.get("payload"), list):
        raise Unreadable("payload")
    name, sequence = message.get("event"), message.get("unique_sequence")
    if not isinstance(name, str) or not isinstance(sequence, str) or not 1 <= len(sequence) <= 128:
        raise Unreadable("event")
    for part in message["payload"]:
        if not isinstance(part, dict) or not isinstance(part.get("meeting_info"), dict):
            raise Unreadable("meeting_info")
        yield Event(name, sequence, _text(part["meeting_info"], "meeting_code"), _user(part), _moment(part))


def _text(part: Mapping[str, Any], name: str) -> str:
    value = part.get(name)
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise Unreadable(name)
    return str(value)[:64]


def _user(part: Mapping[str, Any]) -> str | None:
    """The participant: in ``operator`` as the sample has it, by ``userid``."""
    who = part.get("operator")
    found = who.get("userid") if isinstance(who, dict) else None
    return found[:128] if isinstance(found, str) and found else None


def _moment(part: Mapping[str, Any]) -> datetime:
    """``operate_time``: Beijing time as ``yyyy-MM-dd HH:mm:ss``, or milliseconds."""
    value = part.get("operate_time")
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000, UTC)
        return datetime.strptime(str(value), "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise Unreadable("operate_time") from None
