"""Logs hold what the allow list names and nothing else, whatever is thrown at them (PRV-1)."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from ops import logs

CANARIES = {
    "phone": "13800138000",
    "openid": "oCanary_openid_0001",
    "vin": "LSVCANARY00000001",
    "session_key": "canarySessionKey==",
    "api_v3_key": "canary-api-v3-key-0123456789abcd",
    "totp_seed": "CANARYTOTPSEED234",
    "qr_token": "canary-qr-token-deadbeef",
    "bank_account": "6222020000000000001",
}


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the process logs from now on, at the lowest level."""
    out = io.StringIO()
    logs.setup("DEBUG")
    root = logging.getLogger()
    (ours,) = [handler for handler in root.handlers if isinstance(handler, logs.OurHandler)]
    before = ours.setStream(out)
    levels = {name: logging.getLogger(name).level for name in ("procrastinate", "urllib3", "sqlalchemy")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield out
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    if before is not None:
        ours.setStream(before)
    logs.setup()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def assert_no_canary(out: io.StringIO) -> None:
    for name, value in CANARIES.items():
        assert value not in out.getvalue(), name


def test_unlisted_fields_are_dropped_and_named(written: io.StringIO) -> None:
    structlog.get_logger("x").info("signed_in", route="/api/v1/sessions", **CANARIES)
    (line,) = lines(written)
    assert line["event"] == "signed_in" and line["route"] == "/api/v1/sessions"
    assert line["dropped"] == sorted(CANARIES)
    assert_no_canary(written)


def test_context_is_dropped_too(written: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r-1", **CANARIES):
        structlog.get_logger("x").warning("odd")
    assert lines(written)[0]["request_id"] == "r-1"
    assert_no_canary(written)


def test_an_exception_shows_type_and_places_but_not_its_text(written: io.StringIO) -> None:
    def inner() -> None:
        raise ValueError(f"Key (phone)=({CANARIES['phone']}) already exists")

    try:
        inner()
    except ValueError as error:
        structlog.get_logger("x").error("failed", exc_info=error)
        logging.getLogger("other.library").exception("it broke: %s", CANARIES["openid"])
    ours, foreign = lines(written)
    assert ours["error"] == foreign["error"] == "ValueError"
    assert ours["places"][-1].startswith("tests/ops/test_logs.py:") and ours["places"][-1].endswith(" inner")
    assert_no_canary(written)


def test_other_libraries_lose_their_text(written: io.StringIO) -> None:
    logging.getLogger("procrastinate.worker").info(
        "Starting job(phone=%s)", CANARIES["phone"], extra={"action": "start_job"}
    )
    logging.getLogger("sqlalchemy.engine").debug(f"INSERT {CANARIES['vin']}")
    logging.getLogger("urllib3.connectionpool").debug("GET /cgi-bin/token?secret=%s", CANARIES["api_v3_key"])
    assert [line["event"] for line in lines(written)] == ["library_log:start_job", "library_log", "library_log"]
    assert_no_canary(written)


def test_what_wechats_support_asks_for_is_written(written: io.StringIO) -> None:
    """Request-ID and rid are needed to ask WeChat about a call; wechatpy's own words are not trusted."""
    logging.getLogger("wechat.pay").info("wechat pay refund status=403 NOT_ENOUGH request_id=08F1A2-268435456 ms=41")
    logging.getLogger("wechatpy.client.base").info("GET %s", CANARIES["api_v3_key"])
    ours, theirs = (line["event"] for line in lines(written))
    assert "request_id=08F1A2-268435456" in ours and "NOT_ENOUGH" in ours
    assert theirs == "library_log"
    assert_no_canary(written)


def test_a_value_cannot_start_a_new_line_or_hide_in_an_object(written: io.StringIO) -> None:
    structlog.get_logger("x").info(
        "odd", code='a\n{"event":"forged"}', route={"phone": CANARIES["phone"]}, task="长" * 5000
    )
    (line,) = lines(written)
    assert line["code"] == 'a\\u000a{"event":"forged"}'
    assert line["route"] == "dict"
    assert len(line["task"]) == logs.LONGEST_VALUE
    assert_no_canary(written)


def test_a_list_cannot_smuggle_either(written: io.StringIO) -> None:
    structlog.get_logger("x").info("odd", rows=[CANARIES["phone"]], count=[{"vin": CANARIES["vin"]}])
    assert_no_canary(written)


def test_requests_are_logged_by_route_and_never_by_address(client: Any, written: io.StringIO) -> None:
    secret = CANARIES["qr_token"]
    client.get(f"/version?token={secret}", headers={"Authorization": secret, "X-Request-ID": "caller-given-id"})
    client.post(f"/no/such/{secret}", json=CANARIES)
    found = [line for line in lines(written) if line["event"] == "request"]
    assert [(line["route"], line["status"]) for line in found] == [("/version", 200), ("unmatched", 404)]
    assert found[0]["request_id"] == "caller-given-id"
    assert_no_canary(written)


def test_the_canary_test_can_go_red(written: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "ALLOWED", logs.ALLOWED | {"phone"})
    structlog.get_logger("x").info("signed_in", **CANARIES)
    with pytest.raises(AssertionError, match="phone"):
        assert_no_canary(written)
