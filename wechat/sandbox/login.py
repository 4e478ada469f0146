"""``/sns/jscode2session`` as WeChat answers it: HTTP 200 also for errors, a rid at the end of each error text."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from wechat.sandbox.state import State

PATH = "/sns/jscode2session"
KNOWN = ("appid", "secret", "js_code", "grant_type")
TEXTS = {
    -1: "system error",
    40013: "invalid appid",
    40029: "invalid code",
    40125: "invalid appsecret",
    40163: "code been used",
    40226: "code blocked",
    41002: "appid missing",
    41004: "appsecret missing",
    41008: "missing code",
    45011: "api minute-quota reach limit, must slower, retry next minute",
    40002: "invalid grant_type",
}


def refusal(errcode: int) -> dict[str, Any]:
    """WeChat's error form."""
    rid = f"{secrets.token_hex(4)}-{secrets.token_hex(4)}-{secrets.token_hex(4)}"
    return {"errcode": errcode, "errmsg": f"{TEXTS.get(errcode, 'error')}, rid: {rid}"}


def answer(state: State, query: dict[str, list[str]]) -> dict[str, Any]:
    """Check everything that WeChat checks, spend the code, answer who it was."""
    violation = _violation(query)
    errcode, body = _judge(state, query)
    state.note(PATH, f"errcode {errcode}", violation)
    return body


def _judge(state: State, query: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
    appid, secret, code, grant = (query.get(name, [""])[0] for name in KNOWN)
    wrong = (
        (41002, not appid),
        (41004, not secret),
        (40013, appid != state.appid),
        (40125, not secrets.compare_digest(secret.encode(), state.secret.encode())),
        (41008, not code),
        (40002, grant != "authorization_code"),
    )
    for errcode, holds in wrong:
        if holds:
            return errcode, refusal(errcode)
    errcode, user = state.spend(code)
    if user is None:
        return errcode, refusal(errcode)
    session_key = base64.b64encode(secrets.token_bytes(16)).decode()
    return 0, {"session_key": session_key, "openid": user.openid}


def _violation(query: dict[str, list[str]]) -> str:
    """What the real WeChat tolerates but the application must not do."""
    extra = sorted(set(query) - set(KNOWN))
    repeated = sorted(name for name, values in query.items() if len(values) > 1)
    return "; ".join(
        [f"parameter {name} does not belong here" for name in extra] + [f"parameter {name} twice" for name in repeated]
    )
