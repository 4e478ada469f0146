"""The published vectors of WeChat Pay: each signature, each notice that must be taken, each that must be refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from wechat.pay import KeyRing, Notice, open_notice
from wechat.pay.errors import NoticeRefused
from wechat.pay.keys import certificate_key, decrypt, load_private_key, sign, signed_by
from wechat.pay.signing import authorization, pay_params, request_message

FILE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "vectors" / "wechat_pay.json"
VECTORS: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}
pytestmark = pytest.mark.skipif(not VECTORS, reason="the reference's vectors are not beside this repository")
MERCHANT = VECTORS["keys"]["merchant_doc_sample"] if VECTORS else {}
PLATFORM = VECTORS["keys"]["platform_sdk_sample"] if VECTORS else {}
CALLBACK = VECTORS["callback"][0] if VECTORS else {}


def named(group: list[dict[str, Any]]) -> dict[str, Any]:
    return {"argvalues": group, "ids": [one["name"] for one in group]}


@pytest.mark.parametrize("form", ["private_key_pkcs8", "private_key_pkcs1"])
@pytest.mark.parametrize("vector", **named(VECTORS.get("request_signature", [])))
def test_a_request_is_signed_as_published(vector: dict[str, Any], form: str) -> None:
    at, nonce, body = vector["timestamp"], vector["nonce"], vector["body"].encode()
    message = request_message(vector["method"], vector["url_path_and_query"], at, nonce, body)
    assert message.decode() == vector["message"]
    assert vector["authorization"] == authorization(
        load_private_key(MERCHANT[form]),
        mchid=MERCHANT["mchid"],
        serial_no=MERCHANT["certificate_serial_no"],
        method=vector["method"],
        path_and_query=vector["url_path_and_query"],
        timestamp=at,
        nonce=nonce,
        body=body,
    )


def test_the_call_up_is_that_of_mini_programs_and_not_that_of_apps() -> None:
    ours, app = VECTORS["pay_sign"]
    params = pay_params(
        load_private_key(MERCHANT["private_key_pkcs8"]),
        appid=ours["appId"],
        prepay_id=ours["package"].removeprefix("prepay_id="),
        timestamp=ours["timeStamp"],
        nonce=ours["nonceStr"],
    )
    assert params == {
        "timeStamp": str(ours["timeStamp"]),
        "nonceStr": ours["nonceStr"],
        "package": ours["package"],
        "signType": "RSA",
        "paySign": ours["paySign"],
    }
    assert params["paySign"] != app["sign"]


def test_the_sdks_signer_is_ours() -> None:
    vector = VECTORS["rsa_sha256"][0]
    assert (
        sign(load_private_key(PLATFORM["private_key_pkcs8"]), vector["message"].encode()) == vector["signature_base64"]
    )
    key, _ = certificate_key(PLATFORM["certificate"])
    assert signed_by(key, vector["message"].encode(), vector["signature_base64"])
    assert not signed_by(key, b"another", vector["signature_base64"])


def ring() -> KeyRing:
    return KeyRing({PLATFORM["certificate_serial_no"]: PLATFORM["certificate"]})


def opened(change: dict[str, Any], *, now: float = 1624523846) -> Notice:
    headers = {**CALLBACK["headers"], **change.get("headers", {})}
    for name in change.get("remove", []):
        del headers[name]
    body, key = change.get("body", CALLBACK["body"]), change.get("apiv3_key", CALLBACK["apiv3_key"])
    return open_notice(headers, body.encode(), keys=ring(), apiv3_key=key, now=now)


@pytest.mark.parametrize("spell", [str, str.lower, str.upper])
def test_the_sdks_notice_is_opened(spell: Any) -> None:
    notice = opened({}) if spell is str else None
    if notice is None:
        headers = {spell(name): value for name, value in CALLBACK["headers"].items()}
        body = CALLBACK["body"].encode()
        notice = open_notice(headers, body, keys=ring(), apiv3_key=CALLBACK["apiv3_key"], now=1624523846)
    assert notice.resource == json.loads(CALLBACK["resource_plaintext"])
    assert (notice.id, notice.event_type) == ("3119dfba-e649-5eec-ab1e-3412bc4d2e17", "PAYSCORE.USER_OPEN_SERVICE")


@pytest.mark.parametrize("now", CALLBACK.get("clock", {}).get("accept", []))
def test_clocks_that_must_be_accepted(now: float) -> None:
    assert opened({}, now=now).id


@pytest.mark.parametrize("now", CALLBACK.get("clock", {}).get("refuse", []))
def test_clocks_that_must_be_refused(now: float) -> None:
    with pytest.raises(NoticeRefused) as refused:
        opened({}, now=now)
    assert (refused.value.reason, refused.value.status) == ("stale", 401)


@pytest.mark.parametrize("vector", **named(CALLBACK.get("must_refuse", [])))
def test_notices_that_must_be_refused(vector: dict[str, Any]) -> None:
    reasons = {
        "unknown_serial": "unknown_serial",
        "unknown_public_key_id": "unknown_serial",
        "missing_signature": "header_missing",
        "missing_timestamp": "header_missing",
        "missing_serial": "header_missing",
        "wrong_apiv3_key": "undecipherable",
    }
    with pytest.raises(NoticeRefused) as refused:
        opened(vector)
    assert refused.value.reason == reasons.get(vector["name"], "signature")


@pytest.mark.parametrize("vector", **named(VECTORS.get("aead_aes_gcm", [])))
def test_what_was_sealed_is_opened(vector: dict[str, Any]) -> None:
    parts = {"nonce": vector["nonce"], "associated_data": vector["associated_data"]}
    assert decrypt(vector["key"], ciphertext=vector["ciphertext_base64"], **parts).decode() == vector["plaintext"]
    with pytest.raises(ValueError):
        decrypt(vector["key"], ciphertext=vector["ciphertext_base64"], **{**parts, "associated_data": "other"})


def test_the_downloaded_certificate_opens() -> None:
    vector = VECTORS["certificate_download"][0]
    entry = vector["response_body"]["data"][0]
    sealed = entry["encrypt_certificate"]
    pem = decrypt(
        vector["apiv3_key"],
        nonce=sealed["nonce"],
        associated_data=sealed["associated_data"],
        ciphertext=sealed["ciphertext"],
    )
    assert hashlib.sha256(pem).hexdigest() == vector["decrypted_pem_sha256"]
    _, expiry = certificate_key(pem.decode())
    assert expiry.date().isoformat() == vector["decrypted_not_after"]
