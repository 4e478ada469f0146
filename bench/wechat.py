"""A WeChat for measures: it answers a login at once, and signs notices beforehand, so that only we are measured."""

from __future__ import annotations

import json
import os
import secrets
import socket
import socketserver
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from bench.load import http_request
from wechat.sandbox import crypto
from wechat.sandbox.identity import ForApplication, Identity, create

NOTICES = "/wechat/pay/notices"


@cache
def keys() -> tuple[Identity, ForApplication]:
    """Both sides' keys, of this run."""
    return create()


@contextmanager
def settings() -> Iterator[dict[str, str]]:
    """The settings that name this WeChat, while it lives. Payments are only told of here, never asked for."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "bench.wechat", str(port)])
    try:
        with tempfile.TemporaryDirectory(prefix="diandi-bench-") as folder:
            yield {
                **keys()[1].environ(Path(folder)),
                "WECHAT_API_BASE": f"http://127.0.0.1:{port}",
                "WECHAT_PAY_BASE": "http://127.0.0.1:9",
                "WECHAT_PAY_NOTIFY_BASE": "http://127.0.0.1:9",
                "TRUSTED_PROXIES": "1",  # sign-ins come from many addresses, as in life
            }
    finally:
        server.terminate()
        server.wait(10)


def notice(payment: Any, openid: str) -> bytes:
    """The request by which a payment's success is told, signed now."""
    identity = keys()[0]
    at = datetime.now(UTC).isoformat(timespec="seconds")
    resource = {
        "mchid": identity.mchid,
        "appid": identity.appid,
        "out_trade_no": payment.out_trade_no,
        "transaction_id": "4200" + "".join(secrets.choice("0123456789") for _ in range(24)),
        "trade_type": "JSAPI",
        "trade_state": "SUCCESS",
        "success_time": at,
        "payer": {"openid": openid},
        "amount": {"total": payment.total_fen, "payer_total": payment.total_fen, "currency": "CNY"},
    }
    sealed = crypto.sealed(identity.apiv3_key, json.dumps(resource).encode(), "transaction")
    envelope = {
        "id": secrets.token_hex(16),
        "create_time": at,
        "resource_type": "encrypt-resource",
        "event_type": "TRANSACTION.SUCCESS",
        "summary": "支付成功",
        "resource": {"original_type": "transaction", "algorithm": "AEAD_AES_256_GCM", **sealed},
    }
    body = json.dumps(envelope, ensure_ascii=False).encode()
    stamp, nonce = str(int(time.time())), secrets.token_hex(16)
    headers = {
        "Wechatpay-Timestamp": stamp,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Signature": crypto.sign(identity.platform_key, crypto.lines(stamp, nonce, body)),
        "Wechatpay-Serial": identity.public_key_id,
    }
    return http_request("POST", NOTICES, headers=headers, body=body)


class _AtOnce(socketserver.StreamRequestHandler):
    """code2Session for codes like ``17-abc``: the seventeenth user, without looking anything up."""

    def handle(self) -> None:
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while line := self.rfile.readline():
            user = line.partition(b"js_code=")[2].partition(b"-")[0].decode()
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            body = json.dumps({"openid": f"o-bench-{user}", "session_key": "c2Vzc2lvbi1rZXktMTI="}).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
            self.wfile.write(head.encode() + body)


if __name__ == "__main__":
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer.daemon_threads = True
    socketserver.ThreadingTCPServer.request_queue_size = 64
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), _AtOnce).serve_forever()
