"""The first address of the local WeChat: the mini-program's interfaces, ``/_sandbox/`` to control it, the page."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wechat.sandbox import control, login
from wechat.sandbox.faults import Fault, broken, spoiled
from wechat.sandbox.state import State
from wechat.sandbox.wire import Answer, Host, Request

if TYPE_CHECKING:
    from wechat.sandbox.box import Sandbox

PAGE = Path(__file__).with_name("page.html")


class Server(Host):
    """Without ``box`` it is the mini-program's side alone. ``state`` is open to tests that run it in their process."""

    def __init__(self, port: int, state: State, box: Sandbox | None = None) -> None:
        self.state, self.box = state, box
        super().__init__(port, self._answer, "api")

    def _answer(self, request: Request) -> Answer:
        if request.path.startswith("/_sandbox/"):
            return control.answer(self.state, self.box, request)
        if request.path == "/" and request.method == "GET":
            return Answer(200, PAGE.read_bytes(), {"Content-Type": "text/html; charset=utf-8"})
        if request.path != login.PATH:
            return Answer(404, b"not found", {"Content-Type": "text/plain"})
        return self._wechat(request)

    def _wechat(self, request: Request) -> Answer:
        state, fault = self.state, self.state.take_fault(request.path)
        if fault is not None and fault.kind in ("delay", "delay_after"):
            time.sleep(fault.seconds)
        elif fault is not None:
            # Before the answer: who has it may look into the journal at once.
            state.note(request.path, f"fault {fault.kind}")
            return self._fail(fault, request)
        if request.method != "GET":
            return _json({"errcode": 43001, "errmsg": "require GET method"}, "text/plain")
        return _json(login.answer(state, request.query), "text/plain")

    def _fail(self, fault: Fault, request: Request) -> Answer:
        """Play a planted fault. ``lost_answer`` does the work and then cuts the line: the decisive one for retries."""
        instead = broken(fault.kind)
        if instead is not None:
            return instead
        refusals = {"busy": -1, "system_error": -1, "rate": 45011, "quota": 45009}
        if fault.kind in refusals:
            return _json(login.refusal(refusals[fault.kind]))
        if fault.kind == "no_openid":
            return _json({"session_key": "x"})
        return spoiled(fault.kind, _json(login.answer(self.state, request.query)))


def _json(content: dict[str, Any], mimetype: str = "application/json") -> Answer:
    return Answer(200, json.dumps(content, ensure_ascii=False).encode(), {"Content-Type": mimetype})
