"""The published vectors of message push and open data, and the constructed ones of WeRun."""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from wechat.open_data import BEIJING, OpenDataRefused, open_data, raw_data_signed, steps_of
from wechat.push import Push, PushRefused

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "reference" / "vectors"


def read(name: str) -> dict[str, Any]:
    file = FOLDER / name
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


CRYPTO = read("wechat_crypto.json")
DATA = {vector["id"]: vector for vector in read("wechat_data.json").get("vectors", [])}
pytestmark = pytest.mark.skipif(not CRYPTO, reason="the reference's vectors are not beside this repository")
PUSH = CRYPTO.get("message_push", {})
OPEN = CRYPTO.get("open_data_decrypt", {})


def push(appid: str | None = None, *, plain: bool = False) -> Push:
    return Push(token=PUSH["token"], aes_key=PUSH["encoding_aes_key"], appid=appid or PUSH["appid"], plain=plain)


def signature(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()


def test_the_consoles_check_is_answered() -> None:
    assert push().echo(PUSH["get_verify"]["query"]) == PUSH["get_verify"]["answer"]
    with pytest.raises(PushRefused):
        push().echo({**PUSH["get_verify"]["query"], "nonce": "1"})


def test_plain_mode_is_read_only_where_it_is_allowed() -> None:
    query, body = PUSH["plain_post"]["query"], json.dumps(PUSH["plain_post"]["body"]).encode()
    event = push(plain=True).opened(query, body)
    assert (event.kind, event.is_event, event.data) == ("debug_demo", True, PUSH["plain_post"]["body"])
    with pytest.raises(PushRefused, match="mode"):
        push().opened(query, body)


def test_secure_mode_is_opened() -> None:
    vector = PUSH["secure_post"]
    event = push().opened(vector["query"], json.dumps(vector["body"]).encode())
    assert event.data == json.loads(vector["message"])
    assert (event.kind, event.from_user) == ("debug_demo", "o9AgO5Kd5ggOC-bXrbNODIiE3bGY")


def test_an_answer_is_encrypted_as_published() -> None:
    vector = PUSH["encrypted_reply"]
    answer = push().answer(
        vector["message"],
        timestamp=vector["timestamp"],
        nonce=str(vector["nonce"]),
        random=vector["random16"].encode(),
    )
    assert {name: str(value) for name, value in answer.items()} == {
        name: str(value) for name, value in vector["body"].items()
    }


@pytest.mark.parametrize("vector", PUSH.get("must_refuse", []), ids=lambda vector: vector["name"])
def test_pushes_that_must_be_refused(vector: dict[str, Any]) -> None:
    good = PUSH["secure_post"]
    query, body = {**good["query"], **vector.get("query", {})}, vector.get("body", good["body"])
    reasons = {"other_appid_configured": "other_app", "encrypt_missing": "content"}
    if "recompute" in vector.get("note", ""):
        query["msg_signature"] = signature(PUSH["token"], query["timestamp"], query["nonce"], body["Encrypt"])
        reasons = {"encrypt_not_base64": "encoding", "last_block_cut": "padding"}
    with pytest.raises(PushRefused) as refused:
        push(vector.get("appid")).opened(query, json.dumps(body).encode())
    assert refused.value.reason == reasons.get(vector["name"], "signature")


def test_the_official_sample_of_encryption() -> None:
    vector = CRYPTO["message_push_xml_era"]
    ours = Push(token=vector["token"], aes_key=vector["encoding_aes_key"], appid=vector["appid"])
    random = vector["random16"].encode()
    assert ours.answer(vector["message"], timestamp=1, nonce="1", random=random)["Encrypt"] == vector["encrypt"]


def opened(vector: dict[str, Any], **change: Any) -> dict[str, Any]:
    given = {
        "session_key": vector["session_key"],
        "encrypted_data": vector["encrypted_data"],
        "iv": vector["iv"],
        "appid": vector.get("app_id") or vector["appid"],
        "now": 0.0,
        **change,
    }
    return open_data(**given)


def test_the_official_sample_of_open_data() -> None:
    assert opened(OPEN, now=1477314187) == OPEN["plaintext"]
    for change in ({"appid": "wx0000000000000000"}, {"session_key": "HyVFkGl5F5OQWJZZaNzBBg=="}, {"now": 1795000000}):
        with pytest.raises(OpenDataRefused):
            opened(OPEN, **{"now": 1477314187, **change})


def test_raw_data_has_its_signature() -> None:
    vector = CRYPTO["raw_data_signature"]
    facts = {"session_key": vector["session_key"], "signature": vector["signature"]}
    assert raw_data_signed(vector["raw_data"], **facts)
    assert not raw_data_signed(vector["raw_data"] + " ", **facts)


def test_thirty_one_days_of_steps() -> None:
    now = datetime(2025, 11, 20, 0, 5, tzinfo=BEIJING).timestamp()
    days = steps_of(opened(DATA["W3"], now=now))
    assert (len(days), days[0].day, days[-1].day) == (31, date(2025, 10, 20), date(2025, 11, 19))
    assert sum(day.steps for day in days) == 187705
    assert all(day.exact for day in days)


def test_a_day_grows_from_one_reading_to_the_next() -> None:
    noon, midnight = (opened(DATA[name], now=at) for name, at in (("W6", 1763524800), ("W7", 1763568000)))
    assert [day.steps for day in steps_of(noon)] == [6200, 4100]
    assert [day.steps for day in steps_of(midnight)] == [6200, 8110]
    assert steps_of(noon)[1].read_at < steps_of(midnight)[1].read_at


@pytest.mark.parametrize(("name", "reason"), [("W4", "watermark"), ("W5", "other_app"), ("W8", "length")])
def test_open_data_that_must_be_refused(name: str, reason: str) -> None:
    with pytest.raises(OpenDataRefused) as refused:
        opened(DATA[name], now=1763568000)
    assert refused.value.reason == reason


def test_a_group_is_opened() -> None:
    assert opened(DATA["W9"], now=1763568000)["openGId"] == "tGDEMO0000000000000000000001"
    assert opened(DATA["W1"], now=1477314187) == OPEN["plaintext"]
    assert raw_data_signed(
        DATA["W2"]["raw_data"], session_key=DATA["W2"]["session_key"], signature=DATA["W2"]["signature"]
    )
