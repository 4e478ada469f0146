"""WeChat's keys: certificates that rotate in the middle of a day, and a ring that is never emptied."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.wechat.payhost import (
    APIV3_KEY,
    PUBLIC_KEY_ID,
    PayHost,
    always,
    merchant,
    platform_key,
    public_pem,
    refused,
    signed,
    transaction,
)
from tests.wechat.stub import Reply
from wechat.pay import KeyRing, PayClient, errors

OUT_TRADE_NO = "DD20261125000001"


def certificate(key: rsa.RSAPrivateKey, serial: int, days: int = 365) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tenpay.com Root CA")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(serial).not_valid_before(now - timedelta(days=800))
    return (
        made.not_valid_after(now + timedelta(days=days)).sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    )


def sealed(serial: str, pem: str, key: str = APIV3_KEY) -> dict[str, Any]:
    ciphertext = AESGCM(key.encode()).encrypt(b"14b16c03dc1b", pem.encode(), b"certificate")
    return {
        "serial_no": serial,
        "effective_time": "2026-01-01T00:00:00+08:00",
        "expire_time": "2031-01-01T00:00:00+08:00",
        "encrypt_certificate": {
            "algorithm": "AEAD_AES_256_GCM",
            "nonce": "14b16c03dc1b",
            "associated_data": "certificate",
            "ciphertext": base64.b64encode(ciphertext).decode(),
        },
    }


def test_certificates_rotate_in_the_middle_of_a_day() -> None:
    old = rsa.generate_private_key(65537, 2048)
    ring = KeyRing({"00AB01": certificate(old, 0xAB01)})
    listed = {"data": [sealed("AB02", certificate(platform_key(), 0xAB02))]}
    with PayHost(always(signed(transaction(), serial="AB02"))) as host:
        client = PayClient(merchant(host.base, keys=ring))
        with pytest.raises(errors.Unknown) as unknown:
            client.query(OUT_TRADE_NO)
        assert unknown.value.code == "UNTRUSTED_UNKNOWN_SERIAL"
        assert len(host.asked) == 1, "an unknown serial downloads nothing"
        host.says = always(signed(listed, serial="AB02"))
        assert sorted(client.refresh_certificates()) == ["AB01", "AB02"]
        host.says = always(signed(transaction(), serial="0ab02"))
        assert client.query(OUT_TRADE_NO).trade_state == "SUCCESS"
        assert "Wechatpay-Serial" not in host.asked[0].headers
    assert ring.get("ab01") is not None and ring.get("000AB01") is not None


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (signed({"data": [sealed("AB02", "no certificate")]}, serial="AB02"), errors.Unknown),
        (signed({"data": []}), errors.Unknown),
        (signed({"data": [sealed("AB02", "x", key="k" * 32)]}), errors.Unknown),
        (Reply(b"<html>"), errors.Unknown),
        (refused(404, "RESOURCE_NOT_EXISTS"), errors.NotFound),
    ],
)
def test_a_failed_refresh_leaves_the_ring_as_it_was(reply: Reply, expected: type[Exception]) -> None:
    with PayHost(always(reply)) as host:
        client = host.client()
        with pytest.raises(expected):
            client.refresh_certificates()
        assert client.merchant.keys.serials() == [PUBLIC_KEY_ID]


def test_fetched_certificates_must_have_signed_the_answer() -> None:
    other = rsa.generate_private_key(65537, 2048)
    listed = {"data": [sealed("AB02", certificate(other, 0xAB02))]}
    with PayHost(always(signed(listed, serial="AB02"))) as host:
        client = host.client()
        with pytest.raises(errors.Unknown):
            client.refresh_certificates()
        assert client.merchant.keys.serials() == [PUBLIC_KEY_ID]


def test_a_ring_is_replaced_as_a_whole_and_never_emptied() -> None:
    pem = public_pem(platform_key())
    ring = KeyRing({PUBLIC_KEY_ID: pem})
    for wrong in ({}, {"AB01": "no key"}, {PUBLIC_KEY_ID: pem, "AB01": "no key"}):
        with pytest.raises(ValueError):
            ring.replace(wrong)
        assert ring.serials() == [PUBLIC_KEY_ID]
    expired = certificate(platform_key(), 0xAB03, days=-1)
    with pytest.raises(ValueError):
        KeyRing({"AB03": expired}, at=datetime.now(UTC))
    assert ring.joined({"AB03": expired}, at=datetime.now(UTC)).serials() == [PUBLIC_KEY_ID]
    assert ring.get(PUBLIC_KEY_ID.lower()) is None, "ids of public keys compare literally"
    assert ring.get("") is None
