"""The mini-program's side: a local WeChat in this process, and somebody with a phone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from wechat.login import Login
from wechat.sandbox.server import Server
from wechat.sandbox.state import State

SECRET = "canary-app-secret"
APPID = "wxlocal000000000001"


@dataclass
class Phone:
    """One device of one user. Calls carry its token, once it has signed in."""

    client: FlaskClient
    wechat: Server
    user: str
    token: str = ""

    def sign_in(self, **changes: Any) -> TestResponse:
        code = self.wechat.state.new_code(self.user)
        answer = self.client.post("/api/v1/sign-in", json={"code": code, "device": "test", "of_age": True, **changes})
        self.token = (answer.json or {}).get("token", "")
        return answer

    def call(self, method: str, path: str, **kwargs: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers.update(kwargs.pop("headers", {}))
        return self.client.open(f"/api/v1{path}", method=method, headers=headers, **kwargs)

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        return self.call("GET", path, **kwargs)

    def post(self, path: str, body: Any = None, **kwargs: Any) -> TestResponse:
        return self.call("POST", path, json=body, **kwargs)

    def put(self, path: str, body: Any = None, **kwargs: Any) -> TestResponse:
        return self.call("PUT", path, json=body, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> TestResponse:
        return self.call("DELETE", path, **kwargs)


@pytest.fixture
def wechat(app: Any) -> Iterator[Server]:
    server = Server(0, State(APPID, SECRET))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    before = app.extensions["wechat_login"]
    address = f"http://127.0.0.1:{server.server_address[1]}"
    app.extensions["wechat_login"] = Login(appid=APPID, secret=SECRET, base=address)
    yield server
    app.extensions["wechat_login"] = before
    server.shutdown()
    server.server_close()
    assert server.state.journal.violations == []


@pytest.fixture
def phone_of(client: FlaskClient, wechat: Server) -> Callable[[str], Phone]:
    """A phone that has signed in."""

    def make(user: str) -> Phone:
        phone = Phone(client, wechat, user)
        assert phone.sign_in().status_code == 200
        return phone

    return make


@pytest.fixture
def alice(phone_of: Callable[[str], Phone]) -> Phone:
    return phone_of("alice")


@pytest.fixture
def bob(phone_of: Callable[[str], Phone]) -> Phone:
    return phone_of("bob")


def code_of(answer: TestResponse) -> str:
    """The code of an error answer, in its one form."""
    error = (answer.json or {})["error"]
    assert set(error) == {"code", "message", "details", "request_id"}
    assert error["request_id"] == answer.headers["X-Request-ID"]
    assert error["message"]
    found: str = error["code"]
    return found
