"""The HTTP side of the local WeChat: WeChat's own paths, and ``/_sandbox/`` to control it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from wechat.sandbox import login
from wechat.sandbox.state import FAULT_KINDS, Fault, State

PAGE = Path(__file__).with_name("page.html")
LARGEST_BODY = 64 * 1024


class Refused(Exception):
    """A control call that cannot be done; the text says why."""

    def __init__(self, text: str, status: int = 422) -> None:
        super().__init__(text)
        self.status = status


class Server(ThreadingHTTPServer):
    """One local WeChat on one loopback port. ``state`` is open to tests that run it in their own process."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, state: State) -> None:
        self.state = state
        super().__init__(("127.0.0.1", port), Handler)


class Handler(BaseHTTPRequestHandler):
    """Sorts calls: WeChat's interface, control, the page."""

    protocol_version = "HTTP/1.1"
    server_version = "LocalWeChat"
    sys_version = ""
    server: Server

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def log_message(self, *_: object) -> None:
        """Silent: the request line carries a secret. The journal tells what happened."""

    def _serve(self, method: str) -> None:
        address = urlsplit(self.path)
        if address.path == login.PATH:
            self._wechat(method, address.path, parse_qs(address.query, keep_blank_values=True))
        elif address.path.startswith("/_sandbox/"):
            self._control(method, address.path.removeprefix("/_sandbox/"))
        elif address.path == "/" and method == "GET":
            self._send(200, PAGE.read_bytes(), "text/html; charset=utf-8")
        else:
            self._send(404, b"not found", "text/plain")

    # -- WeChat

    def _wechat(self, method: str, path: str, query: dict[str, list[str]]) -> None:
        state, fault = self.server.state, self.server.state.take_fault(path)
        if fault is not None and fault.kind == "delay":
            time.sleep(fault.seconds)
        elif fault is not None:
            # Before the answer: who has it may look into the journal at once.
            state.note(path, f"fault {fault.kind}")
            self._fail(fault, query)
            return
        if method != "GET":
            self._json(200, {"errcode": 43001, "errmsg": "require GET method"}, "text/plain")
            return
        self._json(200, login.answer(state, query), "text/plain")

    def _fail(self, fault: Fault, query: dict[str, list[str]]) -> None:
        """Play a planted fault. ``lost_answer`` does the work and then cuts the line: the decisive one for retries."""
        if fault.kind == "busy":
            self._json(200, login.refusal(-1))
        elif fault.kind == "rate":
            self._json(200, login.refusal(45011))
        elif fault.kind == "html":
            self._send(200, b"<html><body>502 Bad Gateway</body></html>", "text/html")
        elif fault.kind == "http500":
            self._send(500, b"internal error", "text/plain")
        elif fault.kind == "empty":
            self._send(200, b"", "application/json")
        elif fault.kind == "truncated":
            self._send(200, b'{"openid":"o', "application/json")
        elif fault.kind == "no_openid":
            self._json(200, {"session_key": "x"})
        elif fault.kind == "lost_answer":
            login.answer(self.server.state, query)
            self.close_connection = True
        elif fault.kind == "reset":
            self.close_connection = True

    # -- control

    def _control(self, method: str, what: str) -> None:
        try:
            action = CONTROL.get((method, what))
            if action is None:
                raise Refused(f"no control call {method} {what}", 404)
            body = self._body() if method == "POST" else {}
            self._json(200, action(self, body))
        except Refused as refused:
            self._json(refused.status, {"error": str(refused)})

    def _get_users(self, _: dict[str, Any]) -> dict[str, Any]:
        users = self.server.state.users.values()
        return {"users": [{"user": user.name, "about": user.about, "risky": user.risky} for user in users]}

    def _post_users(self, body: dict[str, Any]) -> dict[str, Any]:
        user = self.server.state.add_user(_word(body, "user"), risky=bool(body.get("risky", False)))
        return {"user": user.name, "openid": user.openid}

    def _post_codes(self, body: dict[str, Any]) -> dict[str, Any]:
        name = _word(body, "user")
        code = self.server.state.new_code(name)
        if code is None:
            raise Refused(f"no user {name}; GET /_sandbox/users lists them, POST makes one", 404)
        return {"user": name, "code": code, "valid_seconds": 300}

    def _get_faults(self, _: dict[str, Any]) -> dict[str, Any]:
        left = [fault for fault in self.server.state.faults if fault.times > 0]
        return {"faults": [{"path": f.path, "kind": f.kind, "times": f.times, "seconds": f.seconds} for f in left]}

    def _post_faults(self, body: dict[str, Any]) -> dict[str, Any]:
        kind, times, seconds = body.get("kind"), body.get("times", 1), body.get("seconds", 0)
        if kind not in FAULT_KINDS:
            raise Refused(f"kind must be one of {', '.join(FAULT_KINDS)}")
        if not isinstance(times, int) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= 60:
            raise Refused("times must be a whole number, seconds between 0 and 60")
        self.server.state.faults.append(Fault(str(body.get("path", "*")), kind, times, float(seconds)))
        return self._get_faults({})

    def _delete_faults(self, _: dict[str, Any]) -> dict[str, Any]:
        self.server.state.faults.clear()
        return self._get_faults({})

    def _post_clock(self, body: dict[str, Any]) -> dict[str, Any]:
        """Move the clock on which codes expire; it never goes back."""
        seconds = body.get("advance_seconds")
        if not isinstance(seconds, (int, float)) or not 0 <= seconds <= 10**9:
            raise Refused("advance_seconds must be a number, zero or more")
        self.server.state.skew += seconds
        return {"now": self.server.state.now()}

    def _get_journal(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"journal": list(self.server.state.journal)}

    # -- bytes

    def _body(self) -> dict[str, Any]:
        try:
            length = int(self.headers.get("Content-Length") or 0)
            parsed = json.loads(self.rfile.read(length)) if 0 < length <= LARGEST_BODY else None
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            raise Refused("a JSON object is expected")
        return parsed

    def _json(self, status: int, content: dict[str, Any], mimetype: str = "application/json") -> None:
        self._send(status, json.dumps(content, ensure_ascii=False).encode(), mimetype)

    def _send(self, status: int, body: bytes, mimetype: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", mimetype)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)


CONTROL: dict[tuple[str, str], Callable[[Handler, dict[str, Any]], dict[str, Any]]] = {
    ("GET", "users"): Handler._get_users,
    ("POST", "users"): Handler._post_users,
    ("POST", "codes"): Handler._post_codes,
    ("GET", "faults"): Handler._get_faults,
    ("POST", "faults"): Handler._post_faults,
    ("DELETE", "faults"): Handler._delete_faults,
    ("POST", "clock"): Handler._post_clock,
    ("GET", "journal"): Handler._get_journal,
}


def _word(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.replace("-", "").replace("_", "").isalnum() or len(value) > 64:
        raise Refused(f"{name} must be 1 to 64 letters, digits, - or _")
    return value
