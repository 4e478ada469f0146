"""A local WeChat with fresh keys, a client for it, a raw signer for bad requests, and an ear for its notices."""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from wechat.pay import KeyRing, Merchant, Notice, PayClient, open_notice
from wechat.sandbox.box import Sandbox
from wechat.sandbox.identity import ForApplication, Identity, create
from wechat.sandbox.wire import Answer, Host, Request

NOTIFY = "http://127.0.0.1:9/notices"


@cache
def keys() -> tuple[Identity, ForApplication]:
    """Keys for both sides, made once in a test process."""
    return create()


def ring() -> KeyRing:
    return KeyRing({keys()[1].public_key_id: keys()[1].public_key_pem})


def client_of(box: Sandbox, **changes: Any) -> PayClient:
    given = keys()[1]
    return PayClient(
        Merchant(
            mchid=given.mchid,
            serial_no=given.serial,
            private_key_pem=given.private_key_pem,
            apiv3_key=given.apiv3_key,
            keys=changes.get("keys", ring()),
            base_url=box.pay_base,
            backup_url=changes.get("backup_url"),
        )
    )


def order(box: Sandbox, client: PayClient, number: str = "ORDER0001", total: int = 100, **changes: Any) -> str:
    """An order by Alice, open for a while; its prepay id."""
    wanted: dict[str, Any] = {
        "appid": box.identity.appid,
        "out_trade_no": number,
        "description": "环保袋，一只",
        "total_fen": total,
        "openid": box.user("alice").openid,
        "time_expire": datetime.fromtimestamp(box.clock.now() // 86400 * 86400 + 2 * 86400, UTC),
        "notify_url": NOTIFY,
        **changes,
    }
    return client.prepay(**wanted)


def refund(
    client: PayClient, number: str = "R1", fen: int = 40, total: int = 100, of: str = "ORDER0001", **ch: Any
) -> Any:
    wanted: dict[str, Any] = {"reason": "买错了", "notify_url": NOTIFY, **ch}
    return client.refund(out_trade_no=of, out_refund_no=number, refund_fen=fen, total_fen=total, **wanted)


def body(box: Sandbox, number: str = "ORDER0001", **changes: Any) -> dict[str, Any]:
    """A good prepay request, with changes; a value of None takes the field away."""
    good: dict[str, Any] = {
        "appid": box.identity.appid,
        "mchid": box.identity.mchid,
        "description": "环保袋",
        "out_trade_no": number,
        "notify_url": NOTIFY,
        "amount": {"total": 100, "currency": "CNY"},
        "payer": {"openid": box.user("alice").openid},
        **changes,
    }
    return {name: value for name, value in good.items() if value is not None}


@dataclass
class Raw:
    """Signs by hand and sends what it is told: ``spoil`` changes the request between signing and sending."""

    base: str
    spoil: Callable[[dict[str, Any]], None] = lambda parts: None

    def __call__(self, method: str, target: str, content: Any = None, **headers: str | None) -> tuple[int, Any, Any]:
        """Status, JSON (None when there is none), headers."""
        raw = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
        parts: dict[str, Any] = {
            "method": method,
            "target": target,
            "body": raw,
            "timestamp": str(int(time.time())),
            "nonce": secrets.token_hex(16),
            "mchid": keys()[1].mchid,
            "serial": keys()[1].serial,
        }
        parts["signature"] = sign(method, target, parts["timestamp"], parts["nonce"], raw)
        self.spoil(parts)
        sent: dict[str, str | None] = {
            "Authorization": 'WECHATPAY2-SHA256-RSA2048 mchid="{mchid}",nonce_str="{nonce}",signature="{signature}",'
            'timestamp="{timestamp}",serial_no="{serial}"'.format(**parts),
            "Accept": "application/json",
            "User-Agent": "raw",
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        line = http.client.HTTPConnection(str(urlsplit(self.base).netloc), timeout=10)
        kept = {name: value for name, value in sent.items() if value is not None}
        line.putrequest(method, parts["target"], skip_accept_encoding=True)
        for name, value in {**kept, "Content-Length": str(len(parts["body"]))}.items():
            line.putheader(name, value)
        line.endheaders(parts["body"])
        answer = line.getresponse()
        got = answer.read()
        line.close()
        try:
            return answer.status, json.loads(got), answer.headers
        except ValueError:
            return answer.status, None, answer.headers


def sign(*parts: str | bytes) -> str:
    """The merchant's signature, by the document alone: each part on a line."""
    key: Any = load_pem_private_key(keys()[1].private_key_pem.encode(), None)
    message = b"".join((part.encode() if isinstance(part, str) else part) + b"\n" for part in parts)
    return base64.b64encode(key.sign(message, PKCS1v15(), SHA256())).decode()


@dataclass
class Ear:
    """An application that hears notices: opens them as Diandi does and answers as it is told."""

    status: int = 204
    refuse_bad: bool = True
    slow: float = 0.0
    heard: list[Notice] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    now: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self.host = Host(0, self._hear, "ear")
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"{self.host.base}/notices"

    def __enter__(self) -> Ear:
        self.host.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.host.stop()

    def _hear(self, request: Request) -> Answer:
        from wechat.pay.notices import NoticeRefused

        if self.slow:
            time.sleep(self.slow)
        try:
            notice = open_notice(
                request.headers, request.body, keys=ring(), apiv3_key=keys()[1].apiv3_key, now=self.now()
            )
        except NoticeRefused as refused:
            self.refused.append(str(refused))
            return Answer(400 if self.refuse_bad else 200, b"{}")
        with self.lock:
            self.heard.append(notice)
            self.times.append(time.monotonic())
        return Answer(self.status, b"" if self.status == 204 else b"{}")
