"""Notices that are wrong in exactly one way. Each is what the application must refuse (or, one of them, keep)."""

from __future__ import annotations

import copy
import json
import secrets
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from wechat.sandbox import crypto

if TYPE_CHECKING:
    from wechat.sandbox.pay.notices import Notice, Notices

WRONG_CONTENT = ("wrong_amount", "foreign_mchid", "foreign_appid", "foreign_openid", "unknown_order", "wrong_currency")
WRONG_ENVELOPE = ("unknown_event", "wrong_apiv3_key", "huge")
WRONG_SIGNATURE = (
    "stale",
    "unknown_serial",
    "wrong_key",
    "tampered",
    "reserialised",
    "probe",
    "missing_header",
    "no_signature_type",
)
FORGERIES = (*WRONG_CONTENT, *WRONG_ENVELOPE, *WRONG_SIGNATURE)
ACCEPTABLE = ("unknown_event", "no_signature_type")
"""Well signed and harmless: an unknown event is stored and answered with success; the type header may be absent."""

HUGE_BYTES = 1024 * 1024
_stranger: list[RSAPrivateKey] = []


def forged(
    notices: Notices, notice: Notice, kind: str, headers: dict[str, str], key: RSAPrivateKey, seconds: float
) -> tuple[dict[str, str], bytes]:
    """Headers and body of a notice that is wrong in this way."""
    if kind in WRONG_CONTENT or kind in WRONG_ENVELOPE:
        body = _other_body(notices, notice, kind)
        return _resigned(headers, key, body), body
    body, headers = notice.body, dict(headers)
    if kind == "stale":
        headers["Wechatpay-Timestamp"] = str(int(headers["Wechatpay-Timestamp"]) - int(seconds or 301))
        return _resigned(headers, key, body), body
    if kind == "unknown_serial":
        headers["Wechatpay-Serial"] = secrets.token_hex(20).upper()
    elif kind == "wrong_key":
        return _resigned(headers, _strangers_key(), body), body
    elif kind == "tampered":
        place = body.index(b'"ciphertext":"') + 20
        body = body[:place] + (b"A" if body[place : place + 1] != b"A" else b"B") + body[place + 1 :]
    elif kind == "reserialised":
        body = json.dumps(json.loads(body), indent=1).encode()
    elif kind == "probe":
        headers["Wechatpay-Signature"] = "WECHATPAY/SIGNTEST/" + headers["Wechatpay-Signature"][19:]
    elif kind == "missing_header":
        del headers["Wechatpay-Nonce"]
    elif kind == "no_signature_type":
        del headers["Wechatpay-Signature-Type"]
    return headers, body


def _other_body(notices: Notices, notice: Notice, kind: str) -> bytes:
    apiv3_key = notices.box.identity.apiv3_key
    resource: dict[str, Any]
    if kind == "unknown_event":
        resource = {"stock_id": "9865000", "coupon_id": secrets.token_hex(8)}
        return notices.sealed(notice, resource, apiv3_key, event_type="COUPON.USE", event_id=str(uuid.uuid4()))
    if kind == "wrong_apiv3_key":
        return notices.sealed(notice, notice.resource, secrets.token_hex(16))
    if kind == "huge":
        return notices.sealed(notice, {**notice.resource, "attach": "x" * HUGE_BYTES}, apiv3_key)
    resource = copy.deepcopy(notice.resource)
    changes: dict[str, Callable[[], None]] = {
        "wrong_amount": lambda: _dearer(resource["amount"]),
        "foreign_mchid": lambda: resource.update(mchid="1999999999"),
        "foreign_appid": lambda: resource.update(appid="wxlocal999999999999"),
        "foreign_openid": lambda: resource.update(payer={"openid": "o" + "Z" * 27}),
        "unknown_order": lambda: _strange(resource),
        "wrong_currency": lambda: resource["amount"].update(currency="USD"),
    }
    changes[kind]()
    return notices.sealed(notice, resource, apiv3_key, event_id=str(uuid.uuid4()))


def _strange(resource: dict[str, Any]) -> None:
    number = secrets.token_hex(12)
    resource["out_trade_no"] = number
    if "out_refund_no" in resource:
        resource["out_refund_no"] = number


def _dearer(amount: dict[str, Any]) -> None:
    """One fen more, wherever the amount stands."""
    for name in ("total", "refund"):
        if name in amount:
            amount[name] += 1


def _resigned(headers: dict[str, str], key: RSAPrivateKey, body: bytes) -> dict[str, str]:
    message = crypto.lines(headers["Wechatpay-Timestamp"], headers["Wechatpay-Nonce"], body)
    return {**headers, "Wechatpay-Signature": crypto.sign(key, message)}


def _strangers_key() -> RSAPrivateKey:
    if not _stranger:
        _stranger.append(generate_private_key(public_exponent=65537, key_size=2048))
    return _stranger[0]
