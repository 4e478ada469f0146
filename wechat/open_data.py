"""Open data: what a client hands on encrypted with the session key (WeRun steps, group ids). Opened and checked here.

The plaintext counts only with a watermark of our own mini-program that is fresh. Anything else is refused with one
stable word, and a client that gets a refusal logs in and fetches again, once: a `wx.login` in between changes the key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from wechat.errors import WeChatError

BLOCK_BYTES = 16
LONGEST_BASE64 = 64 * 1024
OLDEST_SECONDS, NEWEST_SECONDS = 600, 60
MOST_DAYS = 31
BEIJING = timezone(timedelta(hours=8))


class OpenDataRefused(WeChatError):
    """``reason``: encoding, length, key_length, padding, content, watermark, other_app, stale, steps."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"open data refused: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class StepDay:
    """A day's steps so far. ``read_at`` after the day's end means that the day is over for this phone.

    ``exact`` is False when WeChat's time is not the start of a day in Beijing; the day is then that of the moment.
    """

    day: date
    steps: int
    read_at: datetime
    exact: bool = True


def open_data(*, session_key: str, encrypted_data: str, iv: str, appid: str, now: float) -> dict[str, Any]:
    """The plaintext as an object. ``now`` is seconds since 1970. Raises OpenDataRefused.

    Use each piece once: keep :func:`fingerprint` for as long as the window. Nothing of the plaintext belongs in a log.
    """
    key, vector = _decoded(session_key, 64), _decoded(iv, 64)
    if (len(key), len(vector)) != (BLOCK_BYTES, BLOCK_BYTES):
        raise OpenDataRefused("key_length")
    content = _object(_unpadded(key, vector, _decoded(encrypted_data, LONGEST_BASE64)))
    _check_watermark(content.get("watermark"), appid=appid, now=now)
    return content


def fingerprint(encrypted_data: str) -> str:
    """What tells one piece of open data from another."""
    return hashlib.sha256(encrypted_data.encode()).hexdigest()


def raw_data_signed(raw_data: str, *, session_key: str, signature: str) -> bool:
    """Whether ``rawData``, exactly as it came, has this signature."""
    expected = hashlib.sha1((raw_data + session_key).encode(), usedforsecurity=False).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode())


def steps_of(content: Mapping[str, Any]) -> list[StepDay]:
    """The days of opened WeRun data, oldest first, one entry per day with its largest value. Raises OpenDataRefused.

    Values are handed on as they are, also absurd ones: what is held for review is the domain's matter.
    """
    listed = content.get("stepInfoList")
    if not isinstance(listed, list) or len(listed) > 2 * MOST_DAYS:
        raise OpenDataRefused("steps")
    read_at = datetime.fromtimestamp(content["watermark"]["timestamp"], UTC)
    days: dict[date, StepDay] = {}
    for entry in listed:
        found = _step_day(entry, read_at)
        before = days.get(found.day)
        if before is None or found.steps > before.steps:
            days[found.day] = found
    return [days[day] for day in sorted(days)]


def _step_day(entry: Any, read_at: datetime) -> StepDay:
    moment, steps = (entry.get("timestamp"), entry.get("step")) if isinstance(entry, dict) else (None, None)
    if type(moment) is not int or type(steps) is not int or not 0 < moment < 2**33 or abs(steps) >= 2**31:
        raise OpenDataRefused("steps")
    start = datetime.fromtimestamp(moment, BEIJING)
    return StepDay(start.date(), steps, read_at, exact=start.hour == start.minute == start.second == 0)


def _decoded(text: str, longest: int) -> bytes:
    if len(text) > longest:
        raise OpenDataRefused("length")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        pass
    raise OpenDataRefused("encoding")


def _unpadded(key: bytes, vector: bytes, sealed: bytes) -> bytes:
    if not sealed or len(sealed) % BLOCK_BYTES:
        raise OpenDataRefused("length")
    decryptor = Cipher(AES(key), CBC(vector)).decryptor()
    padded = decryptor.update(sealed) + decryptor.finalize()
    count = padded[-1]
    if not 1 <= count <= BLOCK_BYTES or padded[-count:] != bytes([count]) * count:
        raise OpenDataRefused("padding")
    return padded[:-count]


def _object(plain: bytes) -> dict[str, Any]:
    try:
        content = json.loads(plain.decode("utf-8"))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise OpenDataRefused("content")
    return content


def _check_watermark(mark: Any, *, appid: str, now: float) -> None:
    if not isinstance(mark, dict) or type(mark.get("timestamp")) is not int or not isinstance(mark.get("appid"), str):
        raise OpenDataRefused("watermark")
    if mark["appid"] != appid:
        raise OpenDataRefused("other_app")
    if not now - OLDEST_SECONDS <= mark["timestamp"] <= now + NEWEST_SECONDS:
        raise OpenDataRefused("stale")
