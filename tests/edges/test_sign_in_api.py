"""Signing in over HTTP, with everything that can go wrong at WeChat."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import cache, people
from app.clock import now
from app.db import transaction
from tests.edges.conftest import SECRET, Phone, code_of
from wechat.sandbox.server import Server
from wechat.sandbox.state import Fault

PATH = "/sns/jscode2session"


def test_from_a_code_to_a_session_and_out_again(client: FlaskClient, wechat: Server) -> None:
    phone = Phone(client, wechat, "alice")
    signed_in = phone.sign_in()
    assert signed_in.status_code == 200
    assert signed_in.json is not None
    assert signed_in.json["is_new"] is True
    assert signed_in.json["expires_at"].endswith("+08:00")
    me = phone.get("/me")
    assert (me.status_code, me.json and me.json["id"]) == (200, signed_in.json["person_id"])
    assert phone.delete("/session").status_code == 204
    gone = phone.get("/me")
    assert (gone.status_code, code_of(gone)) == (401, "login_required")
    assert gone.headers["WWW-Authenticate"] == "Bearer"
    assert phone.sign_in().json["is_new"] is False  # type: ignore[index]


def test_a_code_that_is_used_old_or_invented_says_log_in_again(client: FlaskClient, wechat: Server) -> None:
    code = wechat.state.new_code("alice")
    assert client.post("/api/v1/sign-in", json={"code": code}).status_code == 200
    old = wechat.state.new_code("alice")
    wechat.state.skew += 301
    for bad in (code, old, "invented"):
        answer = client.post("/api/v1/sign-in", json={"code": bad})
        assert (answer.status_code, code_of(answer)) == (422, "login_code_invalid")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("busy", 503, "busy"),
        ("html", 503, "busy"),
        ("http500", 503, "busy"),
        ("reset", 503, "busy"),
        ("truncated", 503, "busy"),
        ("no_openid", 503, "busy"),
        ("rate", 429, "too_many"),
    ],
)
def test_trouble_at_wechat_is_never_a_login_and_never_a_500(
    client: FlaskClient, wechat: Server, db_session: Session, fault: str, status: int, code: str
) -> None:
    wechat.state.faults.append(Fault(PATH, fault, 2))
    answer = client.post("/api/v1/sign-in", json={"code": wechat.state.new_code("alice")})
    assert (answer.status_code, code_of(answer)) == (status, code)
    assert int(answer.headers["Retry-After"]) >= 1
    assert db_session.execute(text("select count(*) from persons")).scalar_one() == 0


def test_a_user_whom_wechat_blocks_is_refused(client: FlaskClient, wechat: Server) -> None:
    answer = Phone(client, wechat, "mallory").sign_in()
    assert (answer.status_code, code_of(answer)) == (403, "login_blocked")


def test_wrong_settings_of_ours_are_busy_outside_and_an_alarm_inside(
    app: Any, client: FlaskClient, wechat: Server, caplog: pytest.LogCaptureFixture
) -> None:
    wechat.state.secret = "another"
    with caplog.at_level(logging.ERROR):
        answer = client.post("/api/v1/sign-in", json={"code": wechat.state.new_code("alice")})
    assert (answer.status_code, code_of(answer)) == (503, "busy")
    assert "40125" in caplog.text
    assert SECRET not in caplog.text + answer.text


def test_nobody_signs_in_by_openid(client: FlaskClient, wechat: Server, alice: Phone) -> None:
    openid = wechat.state.users["alice"].openid
    for body in ({"openid": openid}, {"code": "x", "openid": openid}, {"code": "x", "person_id": "1"}):
        answer = client.post("/api/v1/sign-in", json=body)
        assert answer.status_code == 422
    for headers in ({"X-WX-OPENID": openid}, {"Authorization": f"Bearer {openid}"}, {"Authorization": openid}):
        answer = client.get("/api/v1/me", headers=headers)
        assert (answer.status_code, code_of(answer)) == (401, "login_required")


def test_guessing_codes_is_slowed_down_by_address(client: FlaskClient, wechat: Server) -> None:
    answers = [client.post("/api/v1/sign-in", json={"code": f"guess-{n}"}).status_code for n in range(11)]
    assert answers == [422] * 10 + [429]
    spoofed = client.post("/api/v1/sign-in", json={"code": "g"}, headers={"X-Forwarded-For": "203.0.113.9"})
    assert spoofed.status_code == 429, "without a configured proxy that header means nothing"


def test_signing_in_works_without_redis(client: FlaskClient, wechat: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_client", Redis(unix_socket_path="/nonexistent/redis.sock"))
    phone = Phone(client, wechat, "alice")
    assert phone.sign_in().status_code == 200
    assert phone.get("/me").status_code == 200
    assert phone.delete("/session").status_code == 204
    assert phone.get("/me").status_code == 401


def test_a_disabled_person_is_out_at_the_next_request(alice: Phone) -> None:
    person_id = int(alice.get("/me").json["id"])  # type: ignore[index]
    with transaction():
        ended = people.disable(person_id=person_id, actor="operator:a", reason="test", at=now())
    people.logins.evict(ended)
    assert code_of(alice.get("/me")) == "login_required"
    again = alice.sign_in()
    assert (again.status_code, code_of(again)) == (403, "person_disabled")


def test_a_write_asks_postgresql_even_when_nobody_evicted(alice: Phone, db_session: Session) -> None:
    """Redis may miss an eviction (it was down); a write must not rely on it."""
    assert alice.get("/me").status_code == 200
    with transaction():
        db_session.execute(text("update persons set epoch = epoch + 1"))
    assert code_of(alice.put("/me/programs", {"order": []})) == "login_required"


def test_the_other_device_can_be_logged_out_and_strangers_can_not(alice: Phone, phone_of: Callable[..., Phone]) -> None:
    tablet, bob = phone_of("alice"), phone_of("bob")
    lines = alice.get("/me/sessions").json["items"]  # type: ignore[index]
    assert [line["this_device"] for line in lines] == [False, True]
    other = lines[0]["id"]
    assert code_of(bob.delete(f"/me/sessions/{other}")) == "not_found"
    assert alice.delete(f"/me/sessions/{other}").status_code == 204
    assert tablet.get("/me").status_code == 401
    assert alice.get("/me").status_code == 200
    assert code_of(alice.delete(f"/me/sessions/{other}")) == "not_found"


def test_no_secret_reaches_answers_or_logs(
    client: FlaskClient, wechat: Server, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        code = wechat.state.new_code("alice")
        first = client.post("/api/v1/sign-in", json={"code": code})
        client.post("/api/v1/sign-in", json={"code": code})
        client.get("/api/v1/me", headers={"Authorization": f"Bearer {first.json['token']}"})  # type: ignore[index]
    captured = capfd.readouterr()
    said = caplog.text + captured.out + captured.err
    for secret in (SECRET, code, first.json["token"], wechat.state.users["alice"].openid):  # type: ignore[index]
        assert secret
        assert secret not in said
    assert "session_key" not in first.text
