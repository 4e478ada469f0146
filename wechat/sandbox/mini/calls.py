"""One call of a mini-program interface: what came, how it is refused, what every interface checks alike."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wechat.sandbox.state import State, User
from wechat.sandbox.wire import Answer, Request

if TYPE_CHECKING:
    from wechat.sandbox.mini.service import Mini

VISIT_SECONDS = 2 * 3600
TEXTS = {
    -1: "system error",
    0: "ok",
    40001: "invalid credential, access_token is invalid or not latest",
    40002: "invalid grant_type",
    40003: "invalid openid",
    40004: "invalid media type",
    40013: "invalid appid",
    40029: "invalid code",
    40037: "invalid template_id",
    40097: "invalid args",
    40125: "invalid appsecret",
    40129: "invalid scene",
    40163: "code been used",
    40164: "invalid ip, not in whitelist",
    40165: "invalid weapp pagepath",
    40169: "invalid length for scene, or the data is not json string",
    40212: "invalid query",
    40226: "code blocked",
    40243: "AppSecret is frozen",
    41001: "access_token missing",
    41002: "appid missing",
    41004: "appsecret missing",
    41008: "missing code",
    41030: "invalid page",
    42001: "access_token expired",
    43001: "require GET method",
    43002: "require POST method",
    43101: "user refuse to accept the msg",
    43104: "appid does not match openid",
    43107: "subscribe message capability or template is banned",
    43108: "concurrent sends to one user",
    44002: "empty post data",
    44990: "reach max frequency limit",
    44991: "reach max api frequency limit",
    44993: "reach max day limit",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit, must slower, retry next minute",
    45015: "response out of time limit or subscription is canceled",
    45047: "out of response count limit",
    45168: "sensitive word in content",
    47001: "data format error",
    47003: "argument invalid",
    61010: "code is expired, the user has not visited within two hours",
    85079: "miniprogram has no online release",
    85096: "not allow include scancode_time field",
    85401: "the validity is out of range",
    85402: "invalid env_version",
    85403: "the link does not exist",
    85406: "the openings of today are used up",
    87007: "session_key is not existed or expired",
    87008: "invalid sig_method",
    87009: "invalid signature",
    87020: "duplicate request",
}


class MiniRefusal(Exception):
    """WeChat says no: HTTP 200 with an errcode."""

    def __init__(self, errcode: int, text: str = "") -> None:
        super().__init__(str(errcode))
        self.errcode, self.text = errcode, text


def refusal(errcode: int, text: str = "") -> dict[str, Any]:
    """WeChat's error form, with a rid at its end."""
    rid = f"{secrets.token_hex(4)}-{secrets.token_hex(4)}-{secrets.token_hex(4)}"
    return {"errcode": errcode, "errmsg": f"{text or TEXTS.get(errcode, 'error')}, rid: {rid}"}


@dataclass
class MiniCall:
    """One call, verified as far as every interface is: method and token. ``violations`` go into the journal."""

    mini: Mini
    request: Request
    violations: list[str] = field(default_factory=list)

    @property
    def state(self) -> State:
        return self.mini.state

    @property
    def now(self) -> float:
        return self.mini.state.now()

    def query(self, name: str) -> str:
        return self.request.query.get(name, [""])[0]

    def content(self, empty: int = 44002) -> dict[str, Any]:
        """The JSON object of the body. Raises MiniRefusal."""
        if not self.request.body:
            raise MiniRefusal(empty)
        try:
            parsed = json.loads(self.request.body.decode())
        except (ValueError, RecursionError):
            raise MiniRefusal(47001) from None
        if not isinstance(parsed, dict):
            raise MiniRefusal(47001)
        return parsed

    def fields(self, content: dict[str, Any], *known: str) -> None:
        """WeChat tolerates fields that its pages don't name; the application must not send any."""
        self.violations += [f"field {name} is not documented" for name in content if name not in known]

    def user(self, openid: Any, *, unknown: int = 40003) -> User:
        found = self.state.by_openid.get(openid) if isinstance(openid, str) else None
        if found is None:
            raise MiniRefusal(unknown)
        return found

    def visitor(self, openid: Any) -> User:
        """A user who was in the mini-program within two hours."""
        user = self.user(openid)
        if self.now > user.visited + VISIT_SECONDS:
            raise MiniRefusal(61010)
        return user


Interface = Callable[[MiniCall], "dict[str, Any] | Answer"]
