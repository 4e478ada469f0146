"""Message push: what WeChat tells us by itself. Verified, decrypted and read, in secure mode and in plain mode.

Both formats are read, JSON and XML, because the format is a switch in WeChat's console. Order at the edge: ``opened``,
store the event once by its ``key``, answer ``success`` at once, work later.

Usage::

    push = Push(token=..., aes_key=..., appid=...)
    event = push.opened(request.args, request.get_data())
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from wechat.errors import WeChatError
from wechat.xml import XmlRefused, parse_xml

LARGEST_BYTES = 256 * 1024
BLOCK_BYTES, PADDING_BYTES, RANDOM_BYTES = 16, 32, 16
ANSWER = "success"
# Where XML nests the list that JSON gives at the top.
_NESTS = ("SubscribeMsgPopupEvent", "SubscribeMsgChangeEvent", "SubscribeMsgSentEvent")
# What `user_authorization_revoke` takes back; other kinds are data that we never ask for.
REVOKED = {
    1: "plate",
    2: "address",
    3: "invoice",
    6: "profile",
    8: "phone",
    12: "steps",
    13: "location",
    14: "pictures",
    16: "email",
    18: "place",
    19: "nickname",
    20: "avatar",
}


class PushRefused(WeChatError):
    """Answer 403 only. ``reason``: too_large, mode, signature, encoding, length, padding, other_app or content."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"push refused: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Event:
    """One pushed message. ``data`` is WeChat's object as it came; its numbers may be texts, its lists single objects.

    ``kind`` is the event's name for events (``wxa_media_check``), else the type of the message (``text``, ``image``).
    """

    kind: str
    is_event: bool
    from_user: str = field(repr=False)
    created_at: datetime | None
    key: str
    data: Mapping[str, Any] = field(repr=False)

    @property
    def entries(self) -> list[Mapping[str, Any]]:
        """The event's ``List``, always as a list."""
        return _entries(self.data)


@dataclass(frozen=True, slots=True)
class SubscriptionNews:
    """One entry of a subscription event: ``status`` accept, reject or, of a sent message, WeChat's word of delivery."""

    template_id: str
    status: str
    scene: int | None = None
    message_id: str = ""
    errcode: int | None = None


class Push:
    """The endpoint's keys. ``plain``: also take plain mode, in which nothing protects the body; never in production."""

    def __init__(self, *, token: str, aes_key: str, appid: str, plain: bool = False) -> None:
        self._token, self._appid, self._plain = token, appid, plain
        self._key = base64.b64decode(aes_key + "=", validate=True)
        if len(self._key) != 32 or not token:
            raise ValueError("the push token is a text, the EncodingAESKey has 43 characters")

    def echo(self, query: Mapping[str, str]) -> str:
        """The console's check of our address (GET): answer this text unchanged. Raises PushRefused."""
        self._check(query.get("signature", ""), query.get("timestamp", ""), query.get("nonce", ""))
        return query.get("echostr", "")

    def opened(self, query: Mapping[str, str], raw: bytes) -> Event:
        """The message of a POST. Raises PushRefused. In secure mode only ``msg_signature`` counts."""
        if len(raw) > LARGEST_BYTES:
            raise PushRefused("too_large")
        timestamp, nonce = query.get("timestamp", ""), query.get("nonce", "")
        mode = query.get("encrypt_type", "")
        if mode == "aes":
            envelope = _parsed(raw)
            sealed = envelope.get("Encrypt")
            if not isinstance(sealed, str) or not sealed:
                raise PushRefused("content")
            self._check(query.get("msg_signature", ""), timestamp, nonce, sealed)
            return _event(_parsed(self._decrypted(sealed)))
        if mode not in ("", "raw") or not self._plain:
            raise PushRefused("mode")
        self._check(query.get("signature", ""), timestamp, nonce)
        return _event(_parsed(raw))

    def answer(self, message: str, *, timestamp: int, nonce: str, random: bytes | None = None) -> dict[str, Any]:
        """An encrypted answer, to be sent as JSON; most pushes want no more than the text ``success``."""
        sealed = self._encrypted(message.encode(), random or secrets.token_hex(8).encode())
        signature = _sha1(self._token, str(timestamp), nonce, sealed)
        return {"Encrypt": sealed, "MsgSignature": signature, "TimeStamp": timestamp, "Nonce": nonce}

    def _check(self, signature: str, *parts: str) -> None:
        if not hmac.compare_digest(_sha1(self._token, *parts).encode(), signature.encode("utf-8", "replace")):
            raise PushRefused("signature")

    def _decrypted(self, text: str) -> bytes:
        sealed = _base64(text)
        if not sealed or len(sealed) % BLOCK_BYTES:
            raise PushRefused("length")
        decryptor = Cipher(AES(self._key), CBC(self._key[:BLOCK_BYTES])).decryptor()
        padded = decryptor.update(sealed) + decryptor.finalize()
        count = padded[-1]
        if not 1 <= count <= PADDING_BYTES or padded[-count:] != bytes([count]) * count:
            raise PushRefused("padding")
        whole = padded[:-count]
        start = RANDOM_BYTES + 4
        length = int.from_bytes(whole[RANDOM_BYTES:start])
        if len(whole) < start or length > len(whole) - start:
            raise PushRefused("length")
        if not hmac.compare_digest(whole[start + length :], self._appid.encode()):
            raise PushRefused("other_app")
        return whole[start : start + length]

    def _encrypted(self, message: bytes, random: bytes) -> str:
        whole = random + len(message).to_bytes(4) + message + self._appid.encode()
        count = PADDING_BYTES - len(whole) % PADDING_BYTES
        encryptor = Cipher(AES(self._key), CBC(self._key[:BLOCK_BYTES])).encryptor()
        sealed = encryptor.update(whole + bytes([count]) * count) + encryptor.finalize()
        return base64.b64encode(sealed).decode()


def subscription_news(event: Event) -> list[SubscriptionNews]:
    """The entries of the three subscription events; ones without a template are left out."""
    return [
        SubscriptionNews(
            template_id=str(entry["TemplateId"]),
            status=str(entry.get("SubscribeStatusString") or entry.get("ErrorStatus") or ""),
            scene=_whole(entry.get("PopupScene")),
            message_id=str(entry.get("MsgID") or ""),
            errcode=_whole(entry.get("ErrorCode")),
        )
        for entry in event.entries
        if entry.get("TemplateId")
    ]


def revoked_kinds(event: Event) -> list[str]:
    """What a ``user_authorization_revoke`` takes back, in our words; numbers that we don't know are left out."""
    numbers = re.findall(r"[0-9]{1,4}", str(event.data.get("RevokeInfo", "")), re.ASCII)
    return [REVOKED[int(number)] for number in numbers if int(number) in REVOKED]


def is_container_check(raw: bytes) -> bool:
    """The unsigned probe of WeChat Cloud Hosting's console: answer ``success``, do nothing."""
    if len(raw) > 1024:
        return False
    try:
        return _parsed(raw).get("action") == "CheckContainerPath"
    except PushRefused:
        return False


def _event(data: dict[str, Any]) -> Event:
    kind, name = data.get("MsgType"), data.get("Event")
    if not isinstance(kind, str) or not kind or (kind == "event" and not (isinstance(name, str) and name)):
        raise PushRefused("content")
    created = _whole(data.get("CreateTime"))
    known = created is not None and 0 < created < 2**33
    return Event(
        kind=str(name) if kind == "event" else kind,
        is_event=kind == "event",
        from_user=str(data.get("FromUserName", "")),
        created_at=datetime.fromtimestamp(created, UTC) if created is not None and known else None,
        key=_key(data),
        data=data,
    )


def _key(data: Mapping[str, Any]) -> str:
    """The same for every delivery of one message, whatever its format, and different for any two messages."""
    message_id = data.get("MsgId") or data.get("MsgID")
    if message_id:
        return f"msg:{str(message_id)[:64]}"
    names = ("FromUserName", "CreateTime", "Event", "trace_id", "transaction_id", "OpenID", "RevokeInfo")
    told = [str(data.get(name, "")) for name in names]
    told += [f"{name}={entry[name]}" for entry in _entries(data) for name in sorted(entry)]
    return "event:" + hashlib.sha256("\n".join(told).encode("utf-8", "replace")).hexdigest()


def _entries(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    nested = [data[name] for name in _NESTS if isinstance(data.get(name), dict)]
    listed: Any = next((place["List"] for place in (data, *nested) if place.get("List")), [])
    return [entry for entry in (listed if isinstance(listed, list) else [listed]) if isinstance(entry, dict)]


def _parsed(raw: bytes) -> dict[str, Any]:
    """An object from JSON, or from the inside of XML's root."""
    found: Any = None
    try:
        text = raw.decode("utf-8")
        found = parse_xml(text) if text.lstrip().startswith("<") else json.loads(text, strict=False)
    except (ValueError, RecursionError, XmlRefused):
        pass
    if not isinstance(found, dict):
        raise PushRefused("content")
    return found


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        pass
    raise PushRefused("encoding")


def _sha1(*parts: str) -> str:
    joined = b"".join(sorted(part.encode("utf-8", "replace") for part in parts))
    return hashlib.sha1(joined, usedforsecurity=False).hexdigest()


def _whole(value: Any) -> int | None:
    """Numbers may come as text."""
    if type(value) is int:
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}", value, re.ASCII):
        return int(value)
    return None
