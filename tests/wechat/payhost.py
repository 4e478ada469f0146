"""WeChat Pay's side for tests of the client: checks requests, signs answers, seals notices.

It signs and seals with `wechatpayv3`'s functions, a stranger's, so that our client is not proved by its own code.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from wechatpayv3.utils import rsa_sign

from tests.wechat.stub import Asked, Reply, Stub
from wechat.pay import KeyRing, Merchant, PayClient

MCHID, SERIAL, APPID, OPENID = (
    "1900007291",
    "408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB",
    "wxlocal000000000001",
    "o-alice",
)
APIV3_KEY = "canary-apiv3-key-0123456789abcde"
PUBLIC_KEY_ID = "PUB_KEY_ID_0119000072912026112500000000000001"
_PART = re.compile(r'(\w+)="([^"]*)"')


@cache
def merchant_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def platform_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def merchant(base: str, backup: str | None = None, **other: Any) -> Merchant:
    facts: dict[str, Any] = {
        "mchid": MCHID,
        "serial_no": SERIAL,
        "private_key_pem": private_pem(merchant_key()),
        "apiv3_key": APIV3_KEY,
        "keys": KeyRing({PUBLIC_KEY_ID: public_pem(platform_key())}),
        "base_url": base,
        "backup_url": backup,
    }
    return Merchant(**{**facts, **other})


class PayHost(Stub):
    """Answers each checked request with what ``says`` returns, signed. A request that is not in order gets 401."""

    def __init__(self, says: Callable[[Asked], Reply]) -> None:
        self.says = says
        self.violations: list[str] = []
        self.nonces: list[str] = []
        super().__init__(self._answer)

    def client(self, backup: str | None = None, **other: Any) -> PayClient:
        return PayClient(merchant(self.base, backup), **other)

    def _answer(self, asked: Asked) -> Reply:
        problem = self._problem(asked)
        if problem:
            self.violations.append(problem)
            return Reply(json.dumps({"code": "SIGN_ERROR", "message": problem}).encode(), 401)
        return self.says(asked)

    def _problem(self, asked: Asked) -> str:
        scheme, _, rest = asked.headers.get("Authorization", "").partition(" ")
        part = dict(_PART.findall(rest))
        if scheme != "WECHATPAY2-SHA256-RSA2048" or set(part) != {
            "mchid",
            "nonce_str",
            "signature",
            "timestamp",
            "serial_no",
        }:
            return "scheme"
        if (part["mchid"], part["serial_no"]) != (MCHID, SERIAL):
            return "merchant"
        if part["nonce_str"] in self.nonces or len(part["nonce_str"]) != 32:
            return "nonce"
        self.nonces.append(part["nonce_str"])
        if abs(int(part["timestamp"]) - time.time()) > 300:
            return "timestamp"
        if not asked.headers.get("User-Agent") or asked.headers.get("Accept") != "application/json":
            return "headers"
        if asked.body and asked.headers.get("Content-Type") != "application/json":
            return "content type"
        message = f"{asked.method}\n{asked.target}\n{part['timestamp']}\n{part['nonce_str']}\n".encode()
        try:
            merchant_key().public_key().verify(
                base64.b64decode(part["signature"]),
                message + asked.body + b"\n",
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
        except Exception:
            return "signature"
        return ""


def always(reply: Reply) -> Callable[[Asked], Reply]:
    return lambda asked: reply


def signature_headers(
    body: bytes, *, serial: str = PUBLIC_KEY_ID, at: float | None = None, **other: str
) -> dict[str, str]:
    """The four headers over a body; ``other`` replaces any of them."""
    timestamp, nonce = str(int(time.time() if at is None else at)), "nonce-of-the-platform"
    return {
        "Wechatpay-Timestamp": timestamp,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Serial": serial,
        "Wechatpay-Signature": rsa_sign(platform_key(), f"{timestamp}\n{nonce}\n{body.decode()}\n"),
        **{name.replace("_", "-"): value for name, value in other.items()},
    }


def signed(content: Any = None, status: int = 200, **other: Any) -> Reply:
    """An answer as WeChat Pay signs it."""
    body = b"" if content is None else json.dumps(content, ensure_ascii=False).encode()
    return Reply(body, status, {**signature_headers(body, **other), "Request-ID": "08F1A2-268435456"})


def refused(status: int, code: str, number: int = 0, message: str = "no") -> Reply:
    """An error as WeChat Pay gives it, unsigned."""
    body = json.dumps({"code": code, "message": message}).encode()
    return Reply(body, status, {"Request-ID": f"08F1A2-{number}"})


def sealed_notice(
    content: Any,
    event_type: str = "TRANSACTION.SUCCESS",
    *,
    key: str = APIV3_KEY,
    nonce: str = "abcdef123456",
    algorithm: str = "AEAD_AES_256_GCM",
    notice_id: str = "EV-0001",
) -> bytes:
    """A notice's body."""
    kind = "refund" if event_type.startswith("REFUND") else "transaction"
    plain = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
    ciphertext = base64.b64encode(AESGCM(key.encode()).encrypt(nonce.encode(), plain, kind.encode())).decode()
    return json.dumps(
        {
            "id": notice_id,
            "create_time": "2026-11-25T10:00:00+08:00",
            "resource_type": "encrypt-resource",
            "event_type": event_type,
            "summary": "支付成功",
            "resource": {
                "original_type": kind,
                "algorithm": algorithm,
                "ciphertext": ciphertext,
                "associated_data": kind,
                "nonce": nonce,
            },
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def transaction(**other: Any) -> dict[str, Any]:
    """A paid order as query and notice tell it."""
    return {
        "appid": APPID,
        "mchid": MCHID,
        "out_trade_no": "DD20261125000001",
        "transaction_id": "4200001234202611250000000001",
        "trade_type": "JSAPI",
        "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功",
        "bank_type": "OTHERS",
        "success_time": "2026-11-25T10:00:00+08:00",
        "payer": {"openid": OPENID},
        "amount": {"total": 1200, "payer_total": 1100, "currency": "CNY", "payer_currency": "CNY"},
        **other,
    }


def refund(**other: Any) -> dict[str, Any]:
    """A refund as answers tell it; notices say ``refund_status`` for ``status``."""
    return {
        "refund_id": "50000000382026112500000001",
        "out_refund_no": "RF20261125000001",
        "transaction_id": "4200001234202611250000000001",
        "out_trade_no": "DD20261125000001",
        "channel": "ORIGINAL",
        "user_received_account": "零钱",
        "create_time": "2026-11-25T10:00:00+08:00",
        "status": "PROCESSING",
        "amount": {"total": 1200, "refund": 500, "payer_total": 1100, "payer_refund": 458, "currency": "CNY"},
        **other,
    }
