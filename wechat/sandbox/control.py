"""``/_sandbox/…``: the hand that moves this WeChat: users, codes, payments, faults, clock, journal."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wechat.sandbox.faults import FAULT_KINDS, Fault
from wechat.sandbox.identity import NotLocal
from wechat.sandbox.outbound import LOOPBACK
from wechat.sandbox.state import State
from wechat.sandbox.wire import Answer, Request

if TYPE_CHECKING:
    from wechat.sandbox.box import Sandbox

LARGEST_BODY = 64 * 1024


class Refused(Exception):
    """A control call that cannot be done; the text says why."""

    def __init__(self, text: str, status: int = 422) -> None:
        super().__init__(text)
        self.status = status


class Call:
    """One control call: who is asked, and what for."""

    def __init__(self, state: State, box: Sandbox | None, request: Request) -> None:
        self._box = box
        self.query = {name: values[0] for name, values in request.query.items()}
        self.body = _object(request) if request.method == "POST" else {}
        self.app = str(self.query.get("app") or self.body.pop("app", ""))
        if self.app and (box is None or self.app not in box.apps):
            raise Refused(f"no mini-program {self.app}", 404)
        self.state = box.apps[self.app].state if box and self.app else state

    @property
    def box(self) -> Sandbox:
        if self._box is None:
            raise Refused("this local WeChat runs without payments", 404)
        return self._box

    def text(self, name: str, default: str | None = None) -> str:
        value = self.body.get(name, default)
        if not isinstance(value, str):
            raise Refused(f"{name} must be a text")
        return value

    def number(self, name: str, default: float | None = None, *, least: float = 0, most: float = 1e10) -> float:
        value = self.body.get(name, default)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value <= most:
            raise Refused(f"{name} must be a number between {least:g} and {most:g}")
        return value

    def word(self, name: str) -> str:
        value = self.body.get(name)
        if not isinstance(value, str) or not value.replace("-", "").replace("_", "").isalnum() or len(value) > 64:
            raise Refused(f"{name} must be 1 to 64 letters, digits, - or _")
        return value


def answer(state: State, box: Sandbox | None, request: Request) -> Answer:
    """Do a control call; errors are ``{"error": text}``."""
    what = request.path.removeprefix("/_sandbox/")
    try:
        _from_here(request)
        action = CONTROL.get((request.method, what)) or _more(request.method, what)
        return _json(200, action(Call(state, box, request)))
    except Refused as refused:
        return _json(refused.status, {"error": str(refused)})


def _from_here(request: Request) -> None:
    """A page of another site, open in the same browser, must not move this WeChat."""
    for address in (request.headers.get("Origin") or "", f"http://{request.headers.get('Host') or ''}"):
        if address and urlsplit(address).hostname not in LOOPBACK:
            raise Refused("controls are for this machine's own pages", 403)


def _more(method: str, what: str) -> Callable[[Call], dict[str, Any]]:
    from wechat.sandbox import control_mini, control_pay

    found = control_pay.CONTROL.get((method, what)) or control_mini.CONTROL.get((method, what))
    if found is None:
        raise Refused(f"no control call {method} {what}", 404)
    return found


def _post_apps(call: Call) -> dict[str, Any]:
    """Another mini-program: ``appid``, ``secret``, ``push_token``, ``push_aes_key``, ``push_url``. Later calls name it
    as ``app``."""
    try:
        mini = call.box.add_app(
            call.text("appid"), call.text("secret"), call.text("push_token", ""), call.text("push_aes_key", "")
        )
    except NotLocal as refusal:
        raise Refused(str(refusal)) from None
    mini.push.url = call.text("push_url", "")
    return {"apps": sorted(call.box.apps)}


def _get_users(call: Call) -> dict[str, Any]:
    users = call.state.users.values()
    return {"users": [{"user": u.name, "about": u.about, "risky": u.risky, "openid": u.openid} for u in users]}


def _post_users(call: Call) -> dict[str, Any]:
    user = call.state.add_user(call.word("user"), risky=bool(call.body.get("risky", False)))
    user.account_gone = bool(call.body.get("account_gone", user.account_gone))
    return {"user": user.name, "openid": user.openid}


def _post_codes(call: Call) -> dict[str, Any]:
    name = call.word("user")
    code = call.state.new_code(name)
    if code is None:
        raise Refused(f"no user {name}; GET /_sandbox/users lists them, POST makes one", 404)
    return {"user": name, "code": code, "valid_seconds": 300}


def _get_faults(call: Call) -> dict[str, Any]:
    return {"faults": [asdict(fault) for fault in call.state.faults if fault.times > 0], "kinds": FAULT_KINDS}


def _post_faults(call: Call) -> dict[str, Any]:
    known = {one.name for one in fields(Fault)}
    strange = sorted(set(call.body) - known)
    if strange:
        raise Refused(f"unknown: {', '.join(strange)}; known: {', '.join(sorted(known))}")
    times, skip = call.number("times", 1), call.number("skip", 0)
    if times != int(times) or skip != int(skip):
        raise Refused("times and skip must be whole numbers")
    fault = Fault(
        call.text("path", "*"),
        call.text("kind", ""),
        int(times),
        float(call.number("seconds", 0, most=60)),
        int(skip),
        float(call.number("probability", 1, most=1)),
        call.text("host", ""),
        int(call.number("errcode", -1, least=-1)),
    )
    try:
        call.state.faults.append(fault)
    except ValueError as error:
        raise Refused(str(error)) from None
    return _get_faults(call)


def _delete_faults(call: Call) -> dict[str, Any]:
    call.state.faults.clear()
    return _get_faults(call)


def _get_clock(call: Call) -> dict[str, Any]:
    return {"now": call.state.now(), "wall": call.state.clock.wall(), "scale": call.state.clock.scale}


def _post_clock(call: Call) -> dict[str, Any]:
    """``advance_seconds``, ``set`` (seconds since 1970), ``scale``, ``wall_skew`` (a wrong clock in signatures)."""
    clock = call.state.clock
    if "advance_seconds" in call.body:
        call.state.skew += call.number("advance_seconds", most=10**9)
    if "set" in call.body:
        moment = call.number("set")
        if moment < clock.now():
            raise Refused("the clock never goes back")
        clock.set(moment)
    if "scale" in call.body:
        clock.pace(call.number("scale", least=0.001, most=1e6))
    if "wall_skew" in call.body:
        clock.wall_skew = call.number("wall_skew", least=-1e9, most=1e9)
    return _get_clock(call)


def _get_journal(call: Call) -> dict[str, Any]:
    """The last calls; with ``?raw=1`` their bytes too."""
    entries = list(call.state.journal)[-int(call.query.get("limit", "1000")) :]
    hidden = () if call.query.get("raw") else ("raw", "answer")
    shown = [{key: value for key, value in entry.items() if key not in hidden} for entry in entries]
    return {"journal": shown, "violations": call.state.journal.violations}


def _delete_journal(call: Call) -> dict[str, Any]:
    call.state.journal.clear()
    return _get_journal(call)


CONTROL: dict[tuple[str, str], Callable[[Call], dict[str, Any]]] = {
    ("POST", "apps"): _post_apps,
    ("GET", "users"): _get_users,
    ("POST", "users"): _post_users,
    ("POST", "codes"): _post_codes,
    ("GET", "faults"): _get_faults,
    ("POST", "faults"): _post_faults,
    ("DELETE", "faults"): _delete_faults,
    ("GET", "clock"): _get_clock,
    ("POST", "clock"): _post_clock,
    ("GET", "journal"): _get_journal,
    ("DELETE", "journal"): _delete_journal,
}


def _object(request: Request) -> dict[str, Any]:
    try:
        parsed = json.loads(request.body) if 0 < len(request.body) <= LARGEST_BODY else None
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise Refused("a JSON object is expected")
    return parsed


def _json(status: int, content: dict[str, Any]) -> Answer:
    headers = {"Content-Type": "application/json", "X-Content-Type-Options": "nosniff"}
    return Answer(status, json.dumps(content, ensure_ascii=False, default=_shown).encode(), headers)


def _shown(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, Request):
        return {"method": value.method, "target": value.target, "headers": dict(value.headers), "body": value.body}
    return asdict(value)
