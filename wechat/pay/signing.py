"""What is signed, by us and by WeChat Pay: the messages and their checks. Pure functions, no network.

Source: WeChat Pay APIv3, signatures of requests, answers, notices and call-up parameters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from wechat.pay.errors import Untrusted
from wechat.pay.keys import KeyRing, sign, signed_by

SCHEME = "WECHATPAY2-SHA256-RSA2048"
WINDOW_SECONDS = 300
_SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)


def request_message(method: str, path_and_query: str, timestamp: int, nonce: str, body: bytes) -> bytes:
    """The five lines that a request's signature covers: path and body exactly as they are sent."""
    return f"{method}\n{path_and_query}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"


def authorization(
    key: RSAPrivateKey, *, mchid: str, serial_no: str, method: str, path_and_query: str, timestamp: int, nonce: str,
    body: bytes,
) -> str:  # fmt: skip
    """The whole ``Authorization`` header of a request."""
    signature = sign(key, request_message(method, path_and_query, timestamp, nonce, body))
    return (
        f'{SCHEME} mchid="{mchid}",nonce_str="{nonce}",signature="{signature}",'
        f'timestamp="{timestamp}",serial_no="{serial_no}"'
    )


def pay_params(key: RSAPrivateKey, *, appid: str, prepay_id: str, timestamp: int, nonce: str) -> dict[str, str]:
    """What ``wx.requestPayment`` takes. All values are strings; the client must pass ``signType`` on."""
    package = f"prepay_id={prepay_id}"
    message = f"{appid}\n{timestamp}\n{nonce}\n{package}\n"
    return {
        "timeStamp": str(timestamp),
        "nonceStr": nonce,
        "package": package,
        "signType": "RSA",
        "paySign": sign(key, message.encode()),
    }


def verify(headers: Mapping[str, str], body: bytes, *, keys: KeyRing, now: float) -> None:
    """Whether WeChat Pay signed these bytes, less than five minutes from ``now``: answers and notices alike.

    Raises Untrusted: ``signature_type``, ``header_missing``, ``timestamp``, ``stale``, ``unknown_serial``,
    ``signature``. Signature probes (``WECHATPAY/SIGNTEST/…``) are bad signatures like any other. An unknown serial
    never leads to a download: forged ones would make us call out.
    """
    found = {name.lower(): value for name, value in headers.items()}
    if found.get("wechatpay-signature-type", SCHEME) != SCHEME:
        raise Untrusted("signature_type")
    timestamp, nonce = found.get("wechatpay-timestamp", ""), found.get("wechatpay-nonce", "")
    serial, signature = found.get("wechatpay-serial", ""), found.get("wechatpay-signature", "")
    if not (timestamp and nonce and serial and signature):
        raise Untrusted("header_missing")
    if not _SECONDS.fullmatch(timestamp):
        raise Untrusted("timestamp")
    if not abs(now - int(timestamp)) < WINDOW_SECONDS:
        raise Untrusted("stale")
    key = keys.get(serial)
    if key is None:
        raise Untrusted("unknown_serial")
    message = f"{timestamp}\n{nonce}\n".encode("utf-8", "surrogateescape") + body + b"\n"
    if not signed_by(key, message, signature):
        raise Untrusted("signature")
