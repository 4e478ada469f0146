"""Login against the local WeChat over real HTTP: what comes back, what each refusal becomes, what never leaks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator

import pytest
import requests

from wechat import errors
from wechat.login import CodeInvalid, CodeUsed, Identity, Login, Risky
from wechat.sandbox.server import Server
from wechat.sandbox.state import Fault, State

SECRET = "canary-secret-5c1e"
PATH = "/sns/jscode2session"


@pytest.fixture
def wechat() -> Iterator[Server]:
    server = Server(0, State("wxlocal000000000001", SECRET))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def login(wechat: Server) -> Login:
    return Login(appid="wxlocal000000000001", secret=SECRET, base=address(wechat))


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def code_of(server: Server, user: str = "alice") -> str:
    code = server.state.new_code(user)
    assert code is not None
    return code


def test_a_code_becomes_the_same_person_each_time(wechat: Server, login: Login) -> None:
    first, second = login.exchange(code_of(wechat)), login.exchange(code_of(wechat))
    assert first.openid == second.openid
    assert len(first.openid) == 28
    assert first.session_key != second.session_key
    assert login.exchange(code_of(wechat, "bob")).openid != first.openid
    assert [entry["violation"] for entry in wechat.state.journal] == ["", "", ""]


def test_a_code_works_once_and_for_five_minutes(wechat: Server, login: Login) -> None:
    code = code_of(wechat)
    login.exchange(code)
    with pytest.raises(CodeUsed) as used:
        login.exchange(code)
    assert used.value.errcode == 40163
    assert used.value.rid

    late = code_of(wechat)
    wechat.state.skew += 301
    with pytest.raises(CodeInvalid):
        login.exchange(late)
    with pytest.raises(CodeInvalid):
        login.exchange("never-given-out")


def test_one_of_many_callers_wins_a_code(wechat: Server, login: Login) -> None:
    code, wins, losses = code_of(wechat), [], []

    def run() -> None:
        try:
            wins.append(login.exchange(code))
        except CodeUsed as error:
            losses.append(error)

    threads = [threading.Thread(target=run) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(wins), len(losses)) == (1, 11)


def test_a_blocked_user_is_refused(wechat: Server, login: Login) -> None:
    with pytest.raises(Risky):
        login.exchange(code_of(wechat, "mallory"))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("rate", errors.RateLimited),
        ("html", errors.Busy),
        ("http500", errors.Busy),
        ("empty", errors.Busy),
        ("truncated", errors.Busy),
        ("reset", errors.Busy),
        ("no_openid", errors.Busy),
        ("lost_answer", errors.Busy),
    ],
)
def test_every_fault_is_a_typed_error(wechat: Server, login: Login, kind: str, expected: type[Exception]) -> None:
    wechat.state.faults.append(Fault(PATH, kind, 1))
    with pytest.raises(expected):
        login.exchange(code_of(wechat))


def test_busy_is_asked_once_more_and_then_given_up(wechat: Server, login: Login) -> None:
    wechat.state.faults.append(Fault(PATH, "busy", 1))
    assert login.exchange(code_of(wechat)).openid
    wechat.state.faults.append(Fault(PATH, "busy", 2))
    with pytest.raises(errors.Busy) as busy:
        login.exchange(code_of(wechat))
    assert busy.value.errcode == -1
    assert [entry["outcome"] for entry in wechat.state.journal] == [
        "fault busy",
        "errcode 0",
        "fault busy",
        "fault busy",
    ]


def test_a_slow_wechat_is_given_up_in_time(wechat: Server, login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wechat.login.READ_SECONDS", 0.2)
    wechat.state.faults.append(Fault(PATH, "delay", 1, 1.0))
    with pytest.raises(errors.Busy):
        login.exchange(code_of(wechat))


def test_nobody_there_is_busy() -> None:
    with pytest.raises(errors.Busy):
        Login(appid="wxlocal000000000001", secret=SECRET, base="http://127.0.0.1:9").exchange("some-code-value")


def test_wrong_credentials_are_for_us_to_mend(wechat: Server) -> None:
    for appid, secret, errcode in (("wxother", SECRET, 40013), ("wxlocal000000000001", "wrong", 40125)):
        with pytest.raises(errors.Misconfigured) as wrong:
            Login(appid=appid, secret=secret, base=address(wechat)).exchange(code_of(wechat))
        assert wrong.value.errcode == errcode


def test_no_secret_is_in_any_error_or_representation(wechat: Server, login: Login) -> None:
    """Also not in the chain of exceptions that a careless log would print."""
    code = code_of(wechat)
    identity = login.exchange(code)
    assert identity.session_key not in repr(identity)
    texts = []
    dead = Login(appid="wxlocal000000000001", secret=SECRET, base="http://127.0.0.1:9")
    for client, fault in ((login, None), (login, "html"), (login, "reset"), (login, "busy"), (dead, None)):
        if fault:
            wechat.state.faults.append(Fault(PATH, fault, 2))
        try:
            client.exchange(code)
        except errors.WeChatError as error:
            seen: BaseException | None = error
            while seen is not None:
                texts.append("".join(traceback.format_exception(seen, chain=False)) + repr(seen) + repr(vars(seen)))
                seen = seen.__cause__ or seen.__context__
        wechat.state.faults.clear()
    assert len(texts) >= 5
    for text in texts:
        assert SECRET not in text
        assert code not in text
        assert "secret=" not in text


def test_a_later_access_token_on_login_would_be_a_violation(wechat: Server) -> None:
    query = {"appid": "wxlocal000000000001", "secret": SECRET, "js_code": code_of(wechat), "access_token": "x"}
    requests.get(address(wechat) + PATH, params={**query, "grant_type": "authorization_code"}, timeout=5)
    assert "access_token" in wechat.state.journal[-1]["violation"]


def test_the_control_side_gives_codes_and_plants_faults(wechat: Server, login: Login) -> None:
    base = address(wechat)
    names = [user["user"] for user in requests.get(f"{base}/_sandbox/users", timeout=5).json()["users"]]
    assert "alice" in names
    given = requests.post(f"{base}/_sandbox/codes", json={"user": "alice"}, timeout=5).json()
    assert isinstance(login.exchange(given["code"]), Identity)
    assert requests.post(f"{base}/_sandbox/codes", json={"user": "nobody"}, timeout=5).status_code == 404
    assert requests.post(f"{base}/_sandbox/codes", data="[]", timeout=5).status_code == 422
    assert requests.post(f"{base}/_sandbox/users", json={"user": "new-one"}, timeout=5).json()["openid"]
    assert requests.post(f"{base}/_sandbox/faults", json={"kind": "magic"}, timeout=5).status_code == 422
    assert requests.post(f"{base}/_sandbox/faults", json={"kind": "html"}, timeout=5).status_code == 200
    with pytest.raises(errors.Busy):
        login.exchange(code_of(wechat))
    assert requests.post(f"{base}/_sandbox/clock", json={"advance_seconds": 400}, timeout=5).status_code == 200
    assert "Local WeChat" in requests.get(base + "/", timeout=5).text
    assert requests.get(base + "/_sandbox/nothing", timeout=5).status_code == 404


@pytest.mark.parametrize("environ", [{"DIANDI_ENV": "production"}, {"WECHAT_APPID": "wx8888888888888888"}])
def test_it_does_not_start_where_it_must_not(environ: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wechat.sandbox", "--port", "0"],
        env={**os.environ, **environ},
        capture_output=True,
        timeout=20,
    )
    assert done.returncode == 2


def test_it_listens_on_loopback_only(wechat: Server) -> None:
    assert wechat.server_address[0] == "127.0.0.1"
