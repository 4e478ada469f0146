"""Notices of WeChat Pay: what opens, what is refused with which word, and that a stranger's library agrees."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wechatpayv3 import WeChatPay, WeChatPayType

from tests.wechat.payhost import (
    APIV3_KEY,
    APPID,
    MCHID,
    PUBLIC_KEY_ID,
    SERIAL,
    merchant_key,
    platform_key,
    private_pem,
    public_pem,
    refund,
    sealed_notice,
    signature_headers,
    transaction,
)
from wechat.pay import KeyRing, Notice, Refund, Transaction, open_notice
from wechat.pay.errors import NoticeRefused

NOW = 1764036000.0


def opened(body: bytes, headers: dict[str, str] | None = None, *, now: float = NOW, key: str = APIV3_KEY) -> Notice:
    ring = KeyRing({PUBLIC_KEY_ID: public_pem(platform_key())})
    headers = signature_headers(body, at=NOW) if headers is None else headers
    return open_notice(headers, body, keys=ring, apiv3_key=key, now=now)


def reason_of(*words: Any, **more: Any) -> tuple[str, int]:
    with pytest.raises(NoticeRefused) as refused:
        opened(*words, **more)
    return refused.value.reason, refused.value.status


def refund_notice(**other: Any) -> dict[str, Any]:
    content = {**refund(mchid=MCHID, refund_status="SUCCESS", success_time="2026-11-25T10:05:00+08:00"), **other}
    del content["status"]
    return content


def test_a_payment_is_told_as_a_query_tells_it() -> None:
    notice = opened(sealed_notice(transaction()))
    assert isinstance(notice.resource, Transaction)
    assert (notice.id, notice.event_type) == ("EV-0001", "TRANSACTION.SUCCESS")
    assert notice.created_at == datetime(2026, 11, 25, 2, 0, tzinfo=UTC)
    assert (notice.resource.total_fen, notice.resource.payer_total_fen) == (1200, 1100)


@pytest.mark.parametrize("state", ["SUCCESS", "ABNORMAL", "CLOSED"])
def test_a_refund_has_its_state_and_its_merchant(state: str) -> None:
    notice = opened(sealed_notice(refund_notice(refund_status=state), f"REFUND.{state}"))
    assert isinstance(notice.resource, Refund)
    assert (notice.resource.status, notice.resource.mchid) == (state, MCHID)
    assert (notice.resource.refund_fen, notice.resource.payer_refund_fen) == (500, 458)


def test_an_event_that_we_do_not_know_is_handed_on() -> None:
    assert opened(sealed_notice({"any": "thing"}, "COUPON.USE")).resource == {"any": "thing"}


def test_signed_but_not_as_described_is_refused_with_its_id() -> None:
    wrong: list[tuple[Any, str]] = [
        (transaction(amount={"total": "1200", "payer_total": 1200}), "TRANSACTION.SUCCESS"),
        (transaction(amount={"total": 12.0}), "TRANSACTION.SUCCESS"),
        (transaction(success_time="yesterday"), "TRANSACTION.SUCCESS"),
        (transaction(out_trade_no=""), "TRANSACTION.SUCCESS"),
        (transaction(transaction_id=None), "TRANSACTION.SUCCESS"),
        (refund(), "REFUND.SUCCESS"),
        (refund_notice(amount=[]), "REFUND.SUCCESS"),
        (b"[1]", "TRANSACTION.SUCCESS"),
        (b"\xff\xfe", "TRANSACTION.SUCCESS"),
    ]
    for content, event_type in wrong:
        with pytest.raises(NoticeRefused) as refused:
            opened(sealed_notice(content, event_type))
        assert (refused.value.reason, refused.value.status, refused.value.notice_id) == ("resource", 400, "EV-0001")
        assert refused.value.is_genuine


def test_what_does_not_open_is_told_apart_from_what_is_forged() -> None:
    body = sealed_notice(transaction())
    assert reason_of(body, key="k" * 32) == ("undecipherable", 400)
    assert reason_of(sealed_notice(transaction(), nonce="abcdef1234567890")) == ("undecipherable", 400)
    assert reason_of(sealed_notice(transaction(), algorithm="AES")) == ("algorithm", 400)
    said = json.loads(body)
    for change in ({"resource": None}, {"id": 7}, {"id": "x" * 65}, {"create_time": "10:00"}, {"event_type": ""}):
        assert reason_of(json.dumps({**said, **change}).encode()) == ("envelope", 400)
    for sealed in ({"nonce": 1}, {"ciphertext": None}, {"associated_data": 7}):
        change = {"resource": {**said["resource"], **sealed}}
        assert reason_of(json.dumps({**said, **change}).encode()) == ("envelope", 400)
    change = {"resource": {**said["resource"], "ciphertext": "***"}}
    assert reason_of(json.dumps({**said, **change}).encode()) == ("undecipherable", 400)
    assert reason_of(b"no json") == ("json", 400)
    assert reason_of(b"[]") == ("json", 400)


def test_nothing_is_read_before_the_signature_is_good() -> None:
    body = sealed_notice(transaction())
    good = signature_headers(body, at=NOW)
    assert reason_of(b"{" * 60_000, {}) == ("header_missing", 401)
    assert reason_of(body, {}) == ("header_missing", 401)
    assert reason_of(body, {**good, "Wechatpay-Nonce": ""}) == ("header_missing", 401)
    assert reason_of(body + b" ", good) == ("signature", 401)
    assert reason_of(json.dumps(json.loads(body)).encode(), good) == ("signature", 401)
    assert reason_of(body, {**good, "Wechatpay-Serial": "PUB_KEY_ID_9"}) == ("unknown_serial", 401)
    assert reason_of(body, {**good, "Wechatpay-Signature-Type": "WECHATPAY2-SM2-WITH-SM3"}) == ("signature_type", 401)
    assert reason_of(body, {**good, "Wechatpay-Signature": good["Wechatpay-Signature"] + "\n"}) == ("signature", 401)
    assert reason_of(body, {**good, "Wechatpay-Signature": "签名"}) == ("signature", 401)
    assert reason_of(body, {**good, "Wechatpay-Nonce": "\udcff"}) == ("signature", 401)
    for timestamp in ("17640x", "-1764036000", "１７６４０３６０００", "1764036000.0", " 1764036000", "9" * 12):
        assert reason_of(body, {**good, "Wechatpay-Timestamp": timestamp}) == ("timestamp", 401)
    assert reason_of(body, {**good, "Wechatpay-Timestamp": "9" * 11}) == ("stale", 401)


def test_five_minutes_are_the_window() -> None:
    body = sealed_notice(transaction())
    for now in (NOW - 299.9, NOW + 299.9):
        assert opened(body, now=now).id
    for now in (NOW - 300, NOW + 300, NOW + 864_000):
        assert reason_of(body, now=now) == ("stale", 401)


def test_a_probe_is_a_bad_signature_like_any_other() -> None:
    body = sealed_notice(transaction())
    headers = signature_headers(body, at=NOW)
    probe = {**headers, "Wechatpay-Signature": "WECHATPAY/SIGNTEST/" + headers["Wechatpay-Signature"][19:]}
    assert reason_of(body, probe) == ("signature", 401)
    assert opened(body, headers).id, "the right one follows"


def test_a_huge_body_is_not_even_verified() -> None:
    assert reason_of(b"x" * (10 * 1024 * 1024), {}) == ("too_large", 413)


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=7))
def test_every_flipped_bit_is_found(place: int, bit: int) -> None:
    body = sealed_notice(transaction())
    headers = signature_headers(body, at=NOW)
    changed = bytearray(body)
    changed[place % len(body)] ^= 1 << bit
    assert reason_of(bytes(changed), headers) == ("signature", 401)


def test_a_strangers_library_opens_the_same_notice() -> None:
    """And it takes one of ten days ago, which is why it is not ours."""
    theirs = WeChatPay(
        wechatpay_type=WeChatPayType.MINIPROG,
        mchid=MCHID,
        private_key=private_pem(merchant_key()),
        cert_serial_no=SERIAL,
        apiv3_key=APIV3_KEY,
        appid=APPID,
        public_key=public_pem(platform_key()),
        public_key_id=PUBLIC_KEY_ID,
    )
    body = sealed_notice(transaction())
    headers = {
        **signature_headers(body, at=time.time() - 864_000),
        "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
    }
    assert theirs.callback(headers, body.decode())["resource"] == transaction()
    assert reason_of(body, headers, now=time.time()) == ("stale", 401)
    assert opened(body, headers, now=time.time() - 864_000).id == "EV-0001"
