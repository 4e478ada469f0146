"""The first address of the local WeChat: the mini-program's interfaces, ``/_sandbox/`` to control it, the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wechat.sandbox import control
from wechat.sandbox.mini import service
from wechat.sandbox.state import State
from wechat.sandbox.wire import Answer, Host, Request

if TYPE_CHECKING:
    from wechat.sandbox.box import Sandbox

PAGE = Path(__file__).with_name("page.html")


class Server(Host):
    """Without ``box`` it knows logins alone. ``state`` is open to tests that run it in their process."""

    def __init__(self, port: int, state: State, box: Sandbox | None = None) -> None:
        self.state, self.box = state, box
        super().__init__(port, self._answer, "api")

    def _answer(self, request: Request) -> Answer:
        if request.path.startswith("/_sandbox/"):
            return control.answer(self.state, self.box, request)
        if request.path == "/" and request.method == "GET":
            return Answer(200, PAGE.read_bytes(), {"Content-Type": "text/html; charset=utf-8"})
        return service.answer(self.state, self.box, request)
