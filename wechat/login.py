"""Login: a code of ``wx.login`` becomes an openid (code2Session).

One GET without an access token, so that login doesn't depend on the token interface. The session key that comes back
is a secret of the server: hand it on to be encrypted, never print it.

Usage::

    login = Login(appid=..., secret=..., base="https://api.weixin.qq.com")
    identity = login.exchange(code)
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

import requests

from wechat import http
from wechat.errors import (
    Busy,
    CodeInvalid,
    CodeUsed,
    Misconfigured,
    RateLimited,
    Risky,
    WeChatError,
    WeChatUnavailable,
    error_for,
)

__all__ = ["CodeInvalid", "CodeUsed", "Identity", "Login", "Risky"]
CONNECT_SECONDS, READ_SECONDS, WHOLE_SECONDS = 1.0, 3.0, 5.0
RETRY_AFTER_BUSY_SECONDS = 0.2
LARGEST_ANSWER_BYTES = 64 * 1024
_WHAT = "code2Session"
# Login goes without a token, so a number about tokens is about our secret; its quota is by user and minute.
_KINDS: dict[int, type[WeChatError]] = {
    **dict.fromkeys((40001, 40014, 42001), Misconfigured),
    45009: RateLimited,
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who logged in. ``session_key`` is left out of the representation, so that no log line can carry it."""

    appid: str
    openid: str
    session_key: str = field(repr=False)
    unionid: str | None = None


class Login:
    """The client of one mini-program. Safe to share between threads."""

    def __init__(self, *, appid: str, secret: str, base: str) -> None:
        self.appid = appid
        self._secret = secret
        self._url = f"{base.rstrip('/')}/sns/jscode2session"
        self._http = http.pool()

    def exchange(self, code: str) -> Identity:
        """The identity behind a login code.

        Raises CodeInvalid, CodeUsed, Risky (the user must act), RateLimited, Busy (come back), Misconfigured (alarm).
        A busy WeChat is asked once more; as the first try may have spent the code, "used" then means "log in again".
        """
        try:
            return self._once(code)
        except Busy as error:
            if error.errcode is None:
                raise
        time.sleep(RETRY_AFTER_BUSY_SECONDS)
        try:
            return self._once(code)
        except CodeUsed as error:
            raise CodeInvalid("code spent by the first try", errcode=error.errcode, rid=error.rid) from None

    def _once(self, code: str) -> Identity:
        answer = self._ask(code)
        if isinstance(answer, http.Silence):
            raise WeChatUnavailable(_WHAT, answer.kind)
        error = error_for(_WHAT, answer, kinds=_KINDS)
        if error is not None:
            raise error
        openid, session_key, unionid = answer.get("openid"), answer.get("session_key"), answer.get("unionid")
        if not (isinstance(openid, str) and openid and isinstance(session_key, str) and session_key):
            raise WeChatUnavailable(_WHAT, "NoOpenid")
        return Identity(self.appid, openid, session_key, unionid if isinstance(unionid, str) and unionid else None)

    def _ask(self, code: str) -> dict[str, Any] | http.Silence:
        """The answer as an object, or why there is none. WeChat answers errors with HTTP 200 and any type."""
        query = {"appid": self.appid, "secret": self._secret, "js_code": code, "grant_type": "authorization_code"}
        answer = http.send(
            self._http,
            requests.Request("GET", self._url, params=query).prepare(),
            connect_seconds=CONNECT_SECONDS,
            read_seconds=READ_SECONDS,
            whole_seconds=WHOLE_SECONDS,
            largest=LARGEST_ANSWER_BYTES,
        )
        if isinstance(answer, http.Silence):
            return answer
        if answer.status != 200:
            return http.Silence(f"HTTP{answer.status}")
        try:
            parsed = json.loads(answer.body)
        except (ValueError, RecursionError):
            parsed = None
        return parsed if isinstance(parsed, dict) else http.Silence("NoObject")
