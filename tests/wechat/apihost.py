"""WeChat's mini-program host for tests of the adapter: tokens that can be revoked, answers that a test gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import redis

from tests.wechat.stub import Asked, Reply, Stub
from wechat.api import Api

APPID, SECRET = "wxlocal000000000001", "canary-secret-5c1e"
TOKEN_PATH = "/cgi-bin/stable_token"


def said(content: Any, kind: str = "application/json") -> Reply:
    return Reply(json.dumps(content, ensure_ascii=False).encode(), headers={"Content-Type": kind})


def errcode(number: int, text: str = "no") -> Reply:
    return said({"errcode": number, "errmsg": f"{text} rid: 65a1-0f2e-77aa"}, "text/plain")


def ok(asked: Asked) -> Reply:
    return said({"errcode": 0, "errmsg": "ok"})


class ApiHost(Stub):
    """``says`` answers whatever is asked with a valid token; ``token`` answers the token call, if it is not usual."""

    def __init__(self, says: Callable[[Asked], Reply] = ok, token: Callable[[Asked], Reply] | None = None) -> None:
        self.says, self.token, self.generation, self.expires_in = says, token, 1, 7200
        super().__init__(self._answer)

    def api(self, store: redis.Redis | None = None, *, secret: str = SECRET) -> Api:
        return Api(appid=APPID, secret=secret, base=self.base, store=store)

    @property
    def valid(self) -> str:
        return f"canary-token-{self.generation}-" + "t" * 500

    def revoke(self) -> None:
        self.generation += 1

    def count(self, path: str) -> int:
        return sum(asked.path == path for asked in self.asked)

    def bodies(self, path: str) -> list[Any]:
        return [json.loads(asked.body) for asked in self.asked if asked.path == path]

    def _answer(self, asked: Asked) -> Reply:
        if asked.path == TOKEN_PATH:
            return self._tokens(asked)
        return self.says(asked) if asked.query.get("access_token") == self.valid else errcode(40001, "stale")

    def _tokens(self, asked: Asked) -> Reply:
        if self.token is not None:
            return self.token(asked)
        content = json.loads(asked.body)
        assert content == {
            "grant_type": "client_credential", "appid": APPID, "secret": SECRET, "force_refresh": False,
        }  # fmt: skip
        return said({"access_token": self.valid, "expires_in": self.expires_in})
