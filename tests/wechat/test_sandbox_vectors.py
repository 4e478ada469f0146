"""S1: the published vectors against the local WeChat's own cryptography, apart from the client's."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from wechat.sandbox import crypto

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "reference" / "vectors"


def read(name: str) -> dict[str, Any]:
    path = FOLDER / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


PAY, CRYPTO = read("wechat_pay.json"), read("wechat_crypto.json")
pytestmark = pytest.mark.skipif(not PAY, reason="the reference's vectors are not beside this repository")
MERCHANT = PAY["keys"]["merchant_doc_sample"] if PAY else {}
PLATFORM = PAY["keys"]["platform_sdk_sample"] if PAY else {}


@pytest.mark.parametrize("vector", PAY.get("request_signature", []), ids=lambda one: one["name"])
def test_published_requests_verify(vector: dict[str, Any]) -> None:
    key: Any = load_pem_public_key(MERCHANT["public_key"].encode())
    parts = crypto.authorization(vector["authorization"])
    assert parts is not None and parts["mchid"] == MERCHANT["mchid"]
    at, nonce, body = parts["timestamp"], parts["nonce_str"], vector["body"].encode()
    message = crypto.lines(vector["method"], vector["url_path_and_query"], at, nonce, body)
    assert message.decode() == vector["message"]
    assert crypto.signed_by(key, parts["signature"], message)
    assert not crypto.signed_by(key, parts["signature"], message + b"\n")


def test_the_order_of_the_parts_does_not_matter_but_their_form_does() -> None:
    good = PAY["request_signature"][0]["authorization"]
    scheme, _, rest = good.partition(" ")
    turned = ",".join(reversed(rest.split(",")))
    assert crypto.authorization(f"{scheme} {turned}") == crypto.authorization(good)
    for bad in (rest, f"Other {rest}", f'{scheme} {rest},mchid="1"', good.replace('mchid="', "mchid='"), scheme):
        assert crypto.authorization(bad) is None


def test_published_pay_signs_verify_and_the_app_form_does_not() -> None:
    key: Any = load_pem_public_key(MERCHANT["public_key"].encode())
    mini, app = PAY["pay_sign"]
    message = crypto.lines(mini["appId"], mini["timeStamp"], mini["nonceStr"], mini["package"])
    assert crypto.signed_by(key, mini["paySign"], message)
    assert not crypto.signed_by(key, app["sign"], message)


def test_the_published_notice_is_what_this_side_would_sign() -> None:
    private: Any = load_pem_private_key(PLATFORM["private_key_pkcs8"].encode(), None)
    callback = PAY["callback"][0]
    headers = callback["headers"]
    message = crypto.lines(headers["Wechatpay-Timestamp"], headers["Wechatpay-Nonce"], callback["body"])
    assert message.decode() == callback["message_to_verify"]
    assert crypto.sign(private, message) == headers["Wechatpay-Signature"]


def test_what_is_sealed_here_opens_by_the_standard() -> None:
    sealed = crypto.sealed("0" * 32, "环保".encode(), "transaction")
    opened = AESGCM(b"0" * 32).decrypt(sealed["nonce"].encode(), base64.b64decode(sealed["ciphertext"]), b"transaction")
    assert opened.decode() == "环保" and len(sealed["nonce"]) == 12


def test_published_pushes_are_made_and_read() -> None:
    """In both directions: the secure post, the encrypted reply, and the sample with Chinese text."""
    push, era = CRYPTO["message_push"], CRYPTO["message_push_xml_era"]
    secure, reply = push["secure_post"], push["encrypted_reply"]
    made = crypto.push_sealed(
        push["encoding_aes_key"], secure["message"].encode(), push["appid"], random16=secure["random16"].encode()
    )
    assert made == secure["body"]["Encrypt"]
    query = secure["query"]
    assert crypto.push_signature(push["token"], query["timestamp"], query["nonce"]) == query["signature"]
    assert crypto.push_signature(push["token"], query["timestamp"], query["nonce"], made) == query["msg_signature"]
    message, appid = crypto.push_opened(push["encoding_aes_key"], reply["body"]["Encrypt"])
    assert (message.decode(), appid) == (reply["message"], push["appid"])
    old = crypto.push_sealed(
        era["encoding_aes_key"], era["message"].encode(), era["appid"], random16=era["random16"].encode()
    )
    assert old == era["encrypt"]


def test_published_open_data_is_made() -> None:
    data = CRYPTO["open_data_decrypt"]
    made = crypto.open_data_sealed(data["session_key"], base64.b64decode(data["iv"]), data["plaintext_exact"].encode())
    assert made == data["encrypted_data"]
