"""Calls of this WeChat to the application: short, without redirects, and to this machine only."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def post(url: str, headers: dict[str, str], body: bytes, timeout: float = 5.0) -> tuple[int, str]:
    """Status and the start of the answer; 0 and a reason when there was none in time."""
    status, content, _ = call("POST", url, headers, body, timeout)
    return status, content[:400].decode(errors="replace")


def call(
    method: str, url: str, headers: dict[str, str], body: bytes | None, timeout: float, most: int = 64 * 1024
) -> tuple[int, bytes, str]:
    """Status, at most ``most`` bytes of the answer, and its content type. Status 0: the reason is in the bytes."""
    parts = urlsplit(url)
    if parts.hostname not in LOOPBACK or parts.scheme != "http":
        return 0, b"not sent: a local WeChat calls addresses of this machine only", ""
    line = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        line.request(method, target, body, headers)
        answer = line.getresponse()
        return answer.status, answer.read(most), answer.headers.get("Content-Type", "")
    except (OSError, http.client.HTTPException) as error:
        return 0, type(error).__name__.encode(), ""
    finally:
        line.close()
