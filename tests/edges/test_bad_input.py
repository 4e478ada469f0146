"""Bad input over HTTP: a clear error with the right status, nothing kept, never a 500."""

from __future__ import annotations

import io
import json
from typing import Any

import psycopg
import pytest
import redis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from app.errors import Refusal
from edge import reading
from tests.edges.conftest import Phone, code_of

PROFILE = {"nickname": "n", "avatar_url": None, "language": "zh", "show_name": True, "on_boards": True}
WRITTEN = json.dumps(PROFILE)


def with_nickname(raw: str) -> bytes:
    return WRITTEN.replace('"n"', raw).encode("utf-8", "surrogatepass")


UNREADABLE = {
    "empty": (b"", 400, "bad_json"),
    "not json": (b"nickname=x", 400, "bad_json"),
    "half": (WRITTEN.encode()[:20], 400, "bad_json"),
    "array": (b"[1]", 400, "bad_json"),
    "string": (b'"x"', 400, "bad_json"),
    "number": (b"1", 400, "bad_json"),
    "null": (b"null", 400, "bad_json"),
    "trailing comma": (b'{"a":1,}', 400, "bad_json"),
    "bom": (b"\xef\xbb\xbf" + WRITTEN.encode(), 400, "bad_encoding"),
    "utf-16": (WRITTEN.encode("utf-16"), 400, "bad_encoding"),
    "latin-1": ('{"nickname":"\u00e9"}'.encode("latin-1"), 400, "bad_encoding"),
    "raw surrogate": (with_nickname('"\ud800"'), 400, "bad_encoding"),
    "raw NUL": (with_nickname('"a\x00b"'), 400, "bad_json"),
    "duplicate key": (b'{"nickname":"a","nickname":"b"}', 400, "bad_json"),
    "duplicate key inside": (b'{"a":{"b":1,"b":2}}', 400, "bad_json"),
    "NaN": (b'{"nickname":NaN}', 400, "bad_json"),
    "Infinity": (b'{"nickname":-Infinity}', 400, "bad_json"),
    "1e999": (b'{"nickname":1e999}', 400, "bad_json"),
    "1e-999999999": (b'{"nickname":1e-999999999}', 400, "bad_json"),
    "5000 digits": (b'{"nickname":' + b"9" * 5000 + b"}", 400, "bad_json"),
    "5000 decimals": (b'{"nickname":0.' + b"9" * 5000 + b"}", 400, "bad_json"),
    "nested 21": (b'{"a":' + b"[" * 20 + b"]" * 20 + b"}", 400, "too_deep"),
    "nested 100000": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "too_deep"),
    "escaped NUL": (with_nickname(r'"a\u0000b"'), 422, "invalid_field"),
    "escaped NUL in a key": (rb'{"a\u0000":1}', 422, "invalid_field"),
    "escaped lone surrogate": (with_nickname(r'"\ud800"'), 422, "invalid_field"),
    "too large": (b'{"nickname":"' + b"x" * 300_000 + b'"}', 413, "body_too_large"),
}

FIELDS: list[tuple[str, Any, str]] = [
    ("nickname", 1, "invalid_field"),
    ("nickname", True, "invalid_field"),
    ("nickname", ["x"], "invalid_field"),
    ("nickname", "", "invalid_field"),
    ("nickname", "   ", "invalid_field"),
    ("nickname", "x" * 33, "invalid_field"),
    ("nickname", "x" * 10_000, "invalid_field"),
    ("nickname", "a\nb", "invalid_field"),
    ("nickname", "a\x07b", "invalid_field"),
    ("nickname", "abc\u202eevil", "invalid_field"),
    ("nickname", "a\u200bb", "invalid_field"),
    ("language", "fr", "invalid_field"),
    ("language", None, "invalid_field"),
    ("show_name", "true", "invalid_field"),
    ("show_name", 1, "invalid_field"),
    ("show_name", None, "invalid_field"),
    ("avatar_url", "https://evil.example/x.png", "invalid_field"),
    ("state", "active", "unknown_field"),
    ("role", "admin", "unknown_field"),
    ("balance", 100, "unknown_field"),
    ("openid", "o", "unknown_field"),
    ("person_id", "1", "unknown_field"),
]


@pytest.mark.parametrize("name", UNREADABLE)
def test_bytes_that_can_not_be_read(alice: Phone, name: str) -> None:
    body, status, code = UNREADABLE[name]
    answer = alice.call("PUT", "/me", data=body, content_type="application/json")
    assert (answer.status_code, code_of(answer)) == (status, code)
    assert alice.get("/me").json["nickname"] is None  # type: ignore[index]


@pytest.mark.parametrize("size", [300_000, 256 * 1024 + 1])
def test_a_body_in_chunks_is_not_cut_silently(alice: Phone, size: int) -> None:
    """Cut to its beginning, this one would be read as right."""
    body = io.BytesIO(WRITTEN.encode() + b" " * (size - len(WRITTEN)))
    sent = {
        "input_stream": body,
        "environ_overrides": {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
    }
    answer = alice.call("PUT", "/me", content_type="application/json", **sent)
    assert (answer.status_code, code_of(answer)) == (413, "body_too_large")


@pytest.mark.parametrize(("field", "value", "code"), FIELDS)
def test_fields_that_are_wrong(alice: Phone, field: str, value: Any, code: str) -> None:
    answer = alice.put("/me", {**PROFILE, field: value})
    assert (answer.status_code, code_of(answer)) == (422, code)
    named = answer.json["error"]["details"]["fields"]  # type: ignore[index]
    assert [one["field"] for one in named] == [field]
    assert named[0]["expected"]
    assert alice.get("/me").json["nickname"] is None  # type: ignore[index]


def test_all_wrong_fields_are_named_at_once_in_the_readers_language(alice: Phone) -> None:
    wrong = {**PROFILE, "nickname": "", "language": "fr", "extra": 1}
    zh, en = alice.put("/me", wrong), alice.put("/me", wrong, headers={"Accept-Language": "en-GB,en;q=0.9"})
    for answer in (zh, en):
        assert code_of(answer) == "invalid_field"
    fields = {one["field"]: one["expected"] for one in en.json["error"]["details"]["fields"]}  # type: ignore[index]
    assert fields == {
        "nickname": "at least 1 characters",
        "language": "must be one of zh, en",
        "extra": "no such field here",
    }
    assert "至少 1 个字符" in zh.text
    assert "mend" in en.json["error"]["message"]  # type: ignore[index]


def test_text_is_kept_composed_and_trimmed(alice: Phone) -> None:
    shown = alice.put("/me", {**PROFILE, "nickname": " Cafe\u0301 👩\u200d🌾 "}).json
    assert shown is not None
    assert shown["nickname_pending"] == "Café 👩\u200d🌾"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Type": "text/plain"}, 415, "unsupported_type"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported_type"),
        ({"Content-Type": ""}, 415, "unsupported_type"),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415, "unsupported_type"),
        ({"Content-Type": "application/json; charset=gbk"}, 400, "bad_encoding"),
        ({"Content-Type": "application/json; charset=utf-8"}, 200, ""),
    ],
)
def test_other_types_than_json(alice: Phone, headers: dict[str, str], status: int, code: str) -> None:
    answer = alice.call("PUT", "/me", data=WRITTEN, headers=headers)
    assert answer.status_code == status
    assert code == "" or code_of(answer) == code


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=51",
        "limit=-1",
        "limit=1000000000",
        "limit=5.0",
        "limit=1_0",
        "limit=%EF%BC%91",
        "limit=%C2%B2",
        "limit=",
        "limit=1&limit=2",
        "page=-1",
        "cursor=",
        "cursor=%00",
        "cursor=AAAA",
        "cursor=....",
        "cursor=MS4y",
        "cursor=" + "A" * 500,
        "cursor='; drop table programs;--",
    ],
)
def test_queries_that_are_wrong(client: FlaskClient, db_session: Session, query: str) -> None:
    answer = client.get(f"/api/v1/programs?{query}")
    assert answer.status_code == 422, answer.text
    assert code_of(answer) in ("invalid_field", "unknown_field")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("PATCH", "/api/v1/me", 405, "method_not_allowed"),
        ("TRACE", "/api/v1/me", 405, "method_not_allowed"),
        ("POST", "/api/v1/me", 405, "method_not_allowed"),
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/api/v1/programs/UPPER", 404, "not_found"),
        ("GET", "/api/v1/programs/..%2f..%2fetc", 404, "not_found"),
        ("GET", "/api/v1/programs/" + "a" * 200, 404, "not_found"),
        ("GET", "/api/v1/programs/%00", 404, "not_found"),
        ("GET", "/api/v1/programs/' or 1=1--", 404, "not_found"),
    ],
)
def test_addresses_and_methods(client: FlaskClient, method: str, path: str, status: int, code: str) -> None:
    answer = client.open(path, method=method)
    assert (answer.status_code, code_of(answer)) == (status, code)


def test_a_method_override_is_ignored(alice: Phone) -> None:
    assert alice.get("/me", headers={"X-HTTP-Method-Override": "DELETE"}).status_code == 200


def test_a_request_id_is_taken_over_when_it_is_harmless(client: FlaskClient) -> None:
    assert client.get("/api/v1/me", headers={"X-Request-ID": "abcdefgh-1"}).headers["X-Request-ID"] == "abcdefgh-1"
    for bad in ("short", "x" * 65, "a b c d e f g h", "<script>alert(1)</script>"):
        assert client.get("/api/v1/me", headers={"X-Request-ID": bad}).headers["X-Request-ID"] != bad


@pytest.mark.parametrize(
    ("spoken", "language"),
    [
        ("", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-US,en;q=0.9", "en"),
        ("en;q=0.2, zh;q=0.8", "zh"),
        ("fr,de", "zh"),
        ("en;q=x", "zh"),
        ("," * 5_000, "zh"),
    ],
)
def test_the_language_of_an_error(client: FlaskClient, spoken: str, language: str) -> None:
    message = client.get("/api/v1/me", headers={"Accept-Language": spoken}).json["error"]["message"]  # type: ignore[index]
    assert ("重新登录" in message) is (language == "zh")


def test_a_defect_of_ours_tells_nothing_of_the_inside(
    app: Any, alice: Phone, monkeypatch: pytest.MonkeyPatch, db_session: Session
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("canary-internal select * from persons")

    monkeypatch.setattr("app.people.profile.read", broken)
    answer = alice.get("/me")
    assert (answer.status_code, code_of(answer)) == (500, "internal")
    for inside in ("canary", "ZeroDivision", "select", "Traceback", "site-packages"):
        assert inside not in answer.text
    monkeypatch.undo()
    assert alice.get("/me").status_code == 200


@pytest.mark.parametrize(
    "outage",
    [
        OperationalError("select 1", {}, psycopg.OperationalError("server closed the connection: canary")),
        PoolTimeout("QueuePool limit: canary"),
        psycopg.OperationalError("canary"),
        redis.ConnectionError("canary"),
        redis.TimeoutError("canary"),
    ],
)
def test_an_outage_says_come_back(alice: Phone, monkeypatch: pytest.MonkeyPatch, outage: Exception) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise outage

    monkeypatch.setattr("app.people.profile.read", broken)
    answer = alice.get("/me")
    assert (answer.status_code, code_of(answer)) == (503, "busy")
    assert int(answer.headers["Retry-After"]) >= 1
    assert "canary" not in answer.text


def test_a_refused_request_leaves_no_row(alice: Phone, db_session: Session) -> None:
    tables = ("persons", "sessions", "consents", "memberships", "audit", "outbox")
    before = [db_session.execute(text(f"select count(*) from {table}")).scalar_one() for table in tables]
    alice.put("/me", {**PROFILE, "nickname": ""})
    alice.post("/me/consents", {"purpose": "rides", "version": "1"})
    alice.post("/programs/nowhere/join", {"terms_version": 1})
    alice.put("/me/programs", {"order": ["x"]})
    after = [db_session.execute(text(f"select count(*) from {table}")).scalar_one() for table in tables]
    assert before == after


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_read_or_refused(app: Any, body: bytes) -> None:
    with app.test_request_context("/"):
        try:
            assert isinstance(reading.json_object(body), dict)
        except Refusal as refused:
            assert refused.code in ("bad_json", "bad_encoding", "too_deep", "invalid_field")


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.text(), st.recursive(st.integers(-(2**53), 2**53) | st.text() | st.none(), st.lists, max_leaves=5)
    )
)
def test_what_is_read_is_what_was_written(app: Any, value: dict[str, Any]) -> None:
    written = json.dumps(value)
    with app.test_request_context("/"):
        try:
            assert reading.json_object(written.encode()) == value
        except Refusal:
            assert "\\u0000" in written or "\\ud" in written
