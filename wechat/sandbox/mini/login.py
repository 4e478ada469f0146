"""``/sns/jscode2session`` as WeChat answers it: HTTP 200 also for errors, a rid at the end of each error text."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from wechat.sandbox.mini.calls import refusal
from wechat.sandbox.state import State, User

PATH = "/sns/jscode2session"
SESSION_SECONDS = 3 * 86400
KNOWN = ("appid", "secret", "js_code", "grant_type")


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
    return 0, _session(state, user)


def _session(state: State, user: User) -> dict[str, Any]:
    """A new session key, or the standing one where that is switched so; a unionid where an open account is bound."""
    now = state.now()
    if not (state.keep_session_key and user.session_key and now < user.session_until):
        user.session_key = base64.b64encode(secrets.token_bytes(16)).decode()
        user.session_until = now + SESSION_SECONDS
    body = {"session_key": user.session_key, "openid": user.openid}
    return {**body, "unionid": user.unionid} if state.with_unionid else body


def _violation(query: dict[str, list[str]]) -> str:
    """What the real WeChat tolerates but the application must not do."""
    extra = sorted(set(query) - set(KNOWN))
    repeated = sorted(name for name, values in query.items() if len(values) > 1)
    return "; ".join(
        [f"parameter {name} does not belong here" for name in extra] + [f"parameter {name} twice" for name in repeated]
    )
