"""Login: a code of ``wx.login`` becomes an openid (code2Session).

One GET without an access token, so that login doesn't depend on the token interface. The session key that comes back
is a secret of the server: hand it on to be encrypted, never print it.

Usage::

    login = Login(appid=..., secret=..., base="https://api.weixin.qq.com")
    identity = login.exchange(code)
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

import requests
from urllib3.exceptions import HTTPError

from wechat.errors import Busy, Misconfigured, RateLimited, WeChatError

CONNECT_SECONDS, READ_SECONDS = 1.0, 3.0
RETRY_AFTER_BUSY_SECONDS = 0.2
LARGEST_ANSWER_BYTES = 64 * 1024
_RID = re.compile(r"rid: ([0-9a-f-]{1,64})")
_BUSY_CODES = (-1,)
_RATE_CODES = (45009, 45011)


class CodeInvalid(WeChatError):
    """40029: unknown or older than five minutes. The client calls ``wx.login`` again, once."""


class CodeUsed(WeChatError):
    """40163: a code works once. As for an invalid one; also look for a double submission."""


class Risky(WeChatError):
    """40226: WeChat blocks this user's login. Refuse with a fixed text, don't retry."""


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
        self._http = requests.Session()
        self._http.trust_env = False

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
        if answer is None:
            # Raised here and not where it was caught: the exceptions of HTTP clients carry the address with our
            # secret in it, and must not even be the hidden context of ours.
            raise Busy("code2Session: no usable answer")
        errcode = answer.get("errcode", 0)
        if errcode != 0:
            raise _refusal(errcode, str(answer.get("errmsg", "")))
        openid, session_key, unionid = answer.get("openid"), answer.get("session_key"), answer.get("unionid")
        if not (isinstance(openid, str) and openid and isinstance(session_key, str) and session_key):
            raise Busy("code2Session: an answer without openid")
        return Identity(self.appid, openid, session_key, unionid if isinstance(unionid, str) and unionid else None)

    def _ask(self, code: str) -> dict[str, Any] | None:
        """The answer as an object, or None when there was none. WeChat answers errors with HTTP 200 and any type."""
        query = {"appid": self.appid, "secret": self._secret, "js_code": code, "grant_type": "authorization_code"}
        limits = (CONNECT_SECONDS, READ_SECONDS)
        try:
            with self._http.get(
                self._url, params=query, timeout=limits, allow_redirects=False, stream=True
            ) as response:
                if response.status_code != 200:
                    return None
                body = response.raw.read(LARGEST_ANSWER_BYTES + 1, decode_content=True)
            parsed = json.loads(body) if len(body) <= LARGEST_ANSWER_BYTES else None
        except (requests.RequestException, HTTPError, OSError, ValueError, RecursionError):
            return None  # HTTPError: the pool's own errors come unwrapped while a body is read
        return parsed if isinstance(parsed, dict) else None


def _refusal(errcode: Any, errmsg: str) -> WeChatError:
    """The exception for WeChat's number. A number that is none, or unknown, is ours to look at."""
    if not isinstance(errcode, int):
        return Busy("code2Session: unreadable errcode")
    found = _RID.search(errmsg)
    rid = found.group(1) if found else ""
    if errcode in _BUSY_CODES:
        return Busy("code2Session: busy", errcode=errcode, rid=rid)
    if errcode in _RATE_CODES:
        return RateLimited("code2Session: too many calls", errcode=errcode, rid=rid)
    kinds: dict[int, tuple[type[WeChatError], str]] = {
        40029: (CodeInvalid, "code2Session: code invalid or expired"),
        40163: (CodeUsed, "code2Session: code used before"),
        40226: (Risky, "code2Session: login blocked for this user"),
    }
    kind, what = kinds.get(errcode, (Misconfigured, "code2Session: refused"))
    return kind(what, errcode=errcode, rid=rid)
