"""The server interfaces of one mini-program: the generic call that all of them go through.

What the functions in the modules beside this one share: base address, pooled connections, time-outs, the shared token
with one repeat when it turned out stale, WeChat's errors as exceptions, logs without secrets. `wechatpy` knows many
more interfaces than we use; :attr:`Api.wechatpy` is its client, sent through this same call instead of its own, whose
defects (tokens without lock and time-out, endless retries, addresses in exceptions) then don't reach us.

Usage::

    api = Api(appid=..., secret=..., base="https://api.weixin.qq.com", store=redis)
    phone = number_of(api, code=..., openid=...)
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import redis
import requests

from wechat import http
from wechat.errors import Busy, Misconfigured, RateLimited, StaleToken, WeChatError, WeChatUnavailable, error_for
from wechat.tokens import Tokens

if TYPE_CHECKING:
    from wechatpy import WeChatClient

READ_SECONDS, WHOLE_SECONDS = 5.0, 8.0
AGAIN_SECONDS = 0.2
LARGEST_ANSWER_BYTES = 4 * 1024 * 1024
USER_AGENT = "diandi/1"
log = logging.getLogger("wechat.api")


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface of WeChat. ``again``: a second call does no harm, so a busy WeChat is asked once more.

    ``kinds`` are errors that mean something of its own here.
    """

    name: str
    method: str
    path: str
    token: bool = True
    again: bool = False
    kinds: Mapping[int, type[WeChatError]] = field(default_factory=dict)


# Here 40001 is a wrong secret, not a stale token.
_TOKEN_KINDS = {40001: Misconfigured, 40002: Misconfigured}
STABLE_TOKEN = Interface("stable_token", "POST", "/cgi-bin/stable_token", token=False, kinds=_TOKEN_KINDS)


class Api:
    """One mini-program's access. Safe to share between threads. ``store`` is Redis, or None to do without."""

    def __init__(self, *, appid: str, secret: str, base: str, store: redis.Redis | None, connections: int = 16) -> None:
        self.appid = appid
        self._secret, self._base = secret, base.rstrip("/")
        self._http = http.pool(connections)
        self.tokens = Tokens(appid=appid, store=store, fetch=self._fetch_token)

    def call(
        self, interface: Interface, content: Any = None, *, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """WeChat's answer as an object. ``content`` becomes a JSON body. Raises WeChatError by what to do about it."""
        found = self._called(interface, content, query or {})
        if isinstance(found, bytes):
            raise WeChatUnavailable(interface.name, "NoObject")
        return found

    def call_for_bytes(self, interface: Interface, content: Any) -> bytes:
        """As ``call``, for interfaces that answer an image on success and an object on failure."""
        found = self._called(interface, content, {})
        if isinstance(found, bytes) and found:
            return found
        raise WeChatUnavailable(interface.name, "NoImage")

    @cached_property
    def wechatpy(self) -> WeChatClient:
        """wechatpy's client for whatever we have no function for, e.g. ``api.wechatpy.message.send_text(...)``."""
        from wechat.bridge import bridge  # it takes a while to import, and few need it

        return bridge(self)

    def _called(self, interface: Interface, content: Any, query: Mapping[str, str]) -> dict[str, Any] | bytes:
        """One call, repeated at most once for each of two reasons: a stale token, a busy moment."""
        token = self.tokens.get() if interface.token else None
        found = self._asked(interface, content, query, token)
        if isinstance(found, StaleToken) and token is not None:
            token = self.tokens.after(token)
            found = self._asked(interface, content, query, token)
        elif isinstance(found, Busy) and interface.again:
            time.sleep(AGAIN_SECONDS)
            found = self._asked(interface, content, query, token)
        if isinstance(found, WeChatError):
            raise found
        return found

    def _asked(
        self, interface: Interface, content: Any, query: Mapping[str, str], token: str | None
    ) -> dict[str, Any] | bytes | WeChatError:
        """The answer or the error; returned, not raised, so that no HTTP client's exception is its context."""
        began = time.monotonic()
        answer = self._sent(interface, content, {**query, "access_token": token} if token else query)
        found: dict[str, Any] | bytes | WeChatError
        if isinstance(answer, http.Silence):
            found = WeChatUnavailable(interface.name, answer.kind)
        elif answer.status != 200:
            found = WeChatUnavailable(interface.name, f"HTTP{answer.status}")
        else:
            found = _read(interface, answer)
        _logged(interface.name, began, found)
        return found

    def _sent(self, interface: Interface, content: Any, query: Mapping[str, str]) -> http.Answer | http.Silence:
        body = None if content is None else json.dumps(content, ensure_ascii=False).encode()
        headers = {"User-Agent": USER_AGENT, "Accept": "*/*"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        url = self._base + interface.path
        request = requests.Request(interface.method, url, params=dict(query), data=body, headers=headers)
        return http.send(
            self._http,
            request.prepare(),
            read_seconds=READ_SECONDS,
            whole_seconds=WHOLE_SECONDS,
            largest=LARGEST_ANSWER_BYTES,
        )

    def _fetch_token(self) -> dict[str, Any]:
        """stable_token in normal mode. Never forced: that would kill the token in everybody else's hands."""
        asked = {
            "grant_type": "client_credential",
            "appid": self.appid,
            "secret": self._secret,
            "force_refresh": False,
        }
        return self.call(STABLE_TOKEN, asked)


def _read(interface: Interface, answer: http.Answer) -> dict[str, Any] | bytes | WeChatError:
    """An object, whatever its type is said to be; or the bytes of an image."""
    kind = answer.headers.get("Content-Type", "")
    if kind.startswith("image/") and not answer.body.lstrip().startswith(b"{"):
        return answer.body
    try:
        parsed = json.loads(answer.body.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        return WeChatUnavailable(interface.name, "NoObject")
    return error_for(interface.name, parsed, kinds=interface.kinds) or parsed


def _logged(name: str, began: float, found: dict[str, Any] | bytes | WeChatError) -> None:
    took = round((time.monotonic() - began) * 1000)
    if not isinstance(found, WeChatError):
        log.info("wechat %s ok ms=%d", name, took)
    elif found.alarm:
        log.error("wechat %s ms=%d", found, took)
    else:
        level = logging.WARNING if isinstance(found, Busy | RateLimited) else logging.INFO
        log.log(level, "wechat %s ms=%d", found, took)
