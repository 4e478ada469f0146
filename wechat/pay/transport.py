"""Signed requests to WeChat Pay and its verified answers, on the main host and on the backup host.

Logged: name, status, code, Request-ID, duration. Never: Authorization, addresses, bodies, openids, decrypted text.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import requests
from urllib3.util import parse_url

from wechat import http
from wechat.pay.errors import PayError, Refused, Unknown, Untrusted, error_for
from wechat.pay.keys import KeyRing, Merchant, load_private_key
from wechat.pay.signing import authorization, verify

READ_SECONDS, WHOLE_SECONDS = 8.0, 12.0
BILL_SECONDS = 600.0
LARGEST_ANSWER_BYTES = 1024 * 1024
LARGEST_BILL_BYTES = 1024**3
BACKUP_FIRST_SECONDS = 30.0
FIRST_SHARE = 0.6  # of what is left of a limit: the other host shall have a chance too
LEAST_SECONDS = 0.2
USER_AGENT = "diandi/1"
BILL_PATH = "/v3/billdownload/file"
log = logging.getLogger("wechat.pay")
_until: ContextVar[float | None] = ContextVar("wechat_pay_until", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """All calls of this thread inside the block together wait no longer than this: a person is waiting for them.

    What is not answered by then is Unknown, as after any time-out.
    """
    token = _until.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _until.reset(token)


@dataclass(frozen=True, slots=True)
class Call:
    """One request. ``name`` is what logs and errors call it; numbers in ``path`` stay out of those."""

    name: str
    method: str
    path: str = field(repr=False)
    body: bytes = field(default=b"", repr=False)


def posted(name: str, path: str, content: dict[str, Any]) -> Call:
    """A POST whose body is serialised once: these bytes are signed and these are sent. Chinese stays unescaped."""
    return Call(name, "POST", path, json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())


class Transport:
    """Connections to both hosts. Safe to share between threads."""

    def __init__(
        self, merchant: Merchant, *, now: Callable[[], float], nonce: Callable[[], str], connections: int
    ) -> None:
        if len(merchant.apiv3_key.encode()) != 32:
            raise ValueError("the APIv3 key has 32 bytes")
        self.merchant, self.now, self.nonce = merchant, now, nonce
        self.key = load_private_key(merchant.private_key_pem)
        self._http = http.pool(connections)
        self._hosts = [url.rstrip("/") for url in (merchant.base_url, merchant.backup_url) if url]
        self._backup_until = 0.0

    def ask(self, call: Call, *, expected: int = 200) -> http.Answer:
        """The verified answer, or an error of ``wechat.pay.errors``: a wrong signature means that nothing is known."""
        answer = self.ask_unverified(call, expected=expected)
        self.check(call.name, answer, self.merchant.keys)
        return answer

    def ask_unverified(self, call: Call, *, expected: int = 200) -> http.Answer:
        """As ``ask``, for an answer that brings the keys to verify it."""
        began, answer = time.monotonic(), self._exchanged(call)
        if isinstance(answer, http.Silence):
            _logged(call.name, began, kind=answer.kind)
            raise Unknown(f"{call.name}: no answer ({answer.kind})")
        error = self._failure(call.name, answer, expected)
        _logged(call.name, began, answer=answer, code=error.code if error else "")
        if error is not None:
            raise error
        return answer

    def check(self, name: str, answer: http.Answer, keys: KeyRing) -> None:
        """Raise Unknown unless the answer was signed with one of the keys."""
        try:
            verify(answer.headers, answer.body, keys=keys, now=self.now())
        except Untrusted as error:
            reason = error.reason
        else:
            return
        log.error("wechat pay %s: answer not trusted: %s", name, reason)
        raise Unknown(
            f"{name}: answer not trusted ({reason})", status=answer.status, code=f"UNTRUSTED_{reason.upper()}"
        )

    def download(self, url: str, into: BinaryIO) -> None:
        """A bill's file, unsigned by WeChat: its hash must be checked. Only the configured hosts are asked.

        Raises Unknown, Refused and what ``error_for`` makes of a refusal.
        """
        parts = urlsplit(url)
        host = f"{parts.scheme}://{parts.netloc}"
        if host not in self._hosts or parts.path != BILL_PATH:
            raise Refused("bill file: its address is none of WeChat Pay's")
        began = time.monotonic()
        answer = self._once(Call("bill file", "GET", url[len(host) :]), host, into=into)
        if isinstance(answer, http.Silence):
            _logged("bill file", began, kind=answer.kind)
            raise Unknown(f"bill file: no answer ({answer.kind})")
        error = self._failure("bill file", answer, 200)
        _logged("bill file", began, answer=answer)
        if error is not None:
            raise error

    def _exchanged(self, call: Call) -> http.Answer | http.Silence:
        silence: http.Silence | None = None
        for host in self._attempts():
            left = _left()
            if left < LEAST_SECONDS:
                break
            answer = self._once(call, host, seconds=left if silence else left * FIRST_SHARE)
            if isinstance(answer, http.Answer):
                if host != self._hosts[0]:
                    self._backup_until = time.monotonic() + BACKUP_FIRST_SECONDS
                return answer
            silence = answer
            log.warning("wechat pay %s: %s", call.name, answer.kind)
        return silence or http.Silence("NoTimeLeft")

    def _attempts(self) -> Iterator[str]:
        """Main and backup; the backup first for a while after it had to help out. Without one: the same host again."""
        main, backup = self._hosts[0], self._hosts[-1]
        first_backup = time.monotonic() < self._backup_until
        yield from (backup, main) if first_backup else (main, backup)

    def _once(
        self, call: Call, host: str, into: BinaryIO | None = None, seconds: float = WHOLE_SECONDS
    ) -> http.Answer | http.Silence:
        """One attempt with its own time and nonce. What is signed is the path as the HTTP library will send it."""
        headers = {"Accept": "application/json", "User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        if call.body:
            headers["Content-Type"] = "application/json"
        if self.merchant.keys.public_key_id:
            headers["Wechatpay-Serial"] = self.merchant.keys.public_key_id
        url = parse_url(host + call.path).url
        request = requests.Request(call.method, url, data=call.body or None, headers=headers).prepare()
        request.headers["Authorization"] = authorization(
            self.key,
            mchid=self.merchant.mchid,
            serial_no=self.merchant.serial_no,
            method=call.method,
            path_and_query=request.path_url,
            timestamp=int(self.now()),
            nonce=self.nonce(),
            body=call.body,
        )
        return http.send(
            self._http,
            request,
            connect_seconds=min(http.CONNECT_SECONDS, seconds),
            read_seconds=min(READ_SECONDS, seconds),
            whole_seconds=BILL_SECONDS if into is not None else min(WHOLE_SECONDS, seconds),
            largest=LARGEST_BILL_BYTES if into is not None else LARGEST_ANSWER_BYTES,
            into=into,
        )

    def _failure(self, name: str, answer: http.Answer, expected: int) -> PayError | None:
        if answer.status == expected:
            return None
        if answer.status < 300:
            return Unknown(f"{name}: an unexpected success", status=answer.status)
        said = json_object(answer.body)
        if said is not None and said.get("code") == "SIGN_ERROR":
            log.error("wechat pay %s: our signature is refused; WeChat signs %s", name, _sign_information(said))
        request_id = answer.headers.get("Request-ID", "")
        return error_for(name, status=answer.status, answer=said, request_id=request_id)


def _left() -> float:
    """Seconds that a call may still take: the caller's limit, or for ever."""
    until = _until.get()
    return math.inf if until is None else until - time.monotonic()


def json_object(raw: bytes) -> dict[str, Any] | None:
    """The bytes as a JSON object, or None."""
    try:
        parsed = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _sign_information(said: dict[str, Any]) -> list[str]:
    """The first four lines of what WeChat built to compare: method, path, time and nonce. The fifth is the body."""
    detail = said.get("detail")
    found = detail.get("sign_information") if isinstance(detail, dict) else None
    message = found.get("truncated_sign_message") if isinstance(found, dict) else found
    return [line[:200] for line in message.split("\n")[:4]] if isinstance(message, str) else []


def _logged(name: str, began: float, *, answer: http.Answer | None = None, kind: str = "", code: str = "") -> None:
    status = answer.status if answer is not None else 0
    request_id = answer.headers.get("Request-ID", "")[:96] if answer is not None else ""
    took = round((time.monotonic() - began) * 1000)
    log.info("wechat pay %s status=%d %s request_id=%s ms=%d", name, status, code or kind, request_id, took)
