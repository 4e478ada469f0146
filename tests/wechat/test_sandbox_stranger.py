"""A second stranger: PyPI's `wechatpayv3` does a merchant's work at the local WeChat, and reads its notices.

It verifies answers and decrypts notices with its own code. What it doesn't check (the age of a notice) is no proof.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from wechatpayv3 import WeChatPay, WeChatPayType

from tests.wechat.sandboxes import NOTIFY, keys
from wechat.sandbox.box import Sandbox
from wechat.sandbox.faults import Fault


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(keys()[0], strict=True) as running:
        yield running


@pytest.fixture
def stranger(box: Sandbox) -> Any:
    given = keys()[1]
    made = WeChatPay(
        wechatpay_type=WeChatPayType.MINIPROG,
        mchid=given.mchid,
        private_key=given.private_key_pem,
        cert_serial_no=given.serial,
        apiv3_key=given.apiv3_key,
        appid=given.appid,
        notify_url=NOTIFY,
        public_key=given.public_key_pem,
        public_key_id=given.public_key_id,
        timeout=(3, 8),
    )
    made._core._gate_way = box.pay_base
    return made


def said(answer: tuple[int, str]) -> Any:
    status, text = answer
    return status, json.loads(text) if text else None


def ordered(box: Sandbox, stranger: Any) -> Any:
    payer = {"openid": box.user("alice").openid}
    return said(stranger.pay(description="竹纤维餐具", out_trade_no="ORDER0001", amount={"total": 100}, payer=payer))


def test_it_orders_queries_closes_and_refunds(box: Sandbox, stranger: Any) -> None:
    status, answer = ordered(box, stranger)
    assert status == 200 and answer["prepay_id"]
    parts = [box.identity.appid, "1700000000", "n" * 32, f"prepay_id={answer['prepay_id']}"]
    signed = dict(zip(("timeStamp", "nonceStr", "package"), parts[1:], strict=True))
    opened = box.call_up({**signed, "signType": "RSA", "paySign": stranger.sign(parts)}, box.user("alice").openid)
    assert opened.order == "ORDER0001"
    assert said(stranger.query(out_trade_no="ORDER0001"))[1]["trade_state"] == "NOTPAY"
    box.pay("ORDER0001")
    paid = said(stranger.query(out_trade_no="ORDER0001"))[1]
    assert said(stranger.query(transaction_id=paid["transaction_id"]))[1] == paid
    assert said(stranger.close(out_trade_no="ORDER0001"))[1]["code"] == "ORDER_PAID"
    amount = {"refund": 40, "total": 100, "currency": "CNY"}
    status, answer = said(stranger.refund(out_refund_no="R1", amount=amount, out_trade_no="ORDER0001", reason="买错了"))
    assert (status, answer["status"]) == (200, "PROCESSING")
    box.clock.advance(6)
    assert box.agenda.quiet()
    assert said(stranger.query_refund(out_refund_no="R1"))[1]["status"] == "SUCCESS"
    assert said(stranger.query(out_trade_no="ORDER0009"))[0] == 404


def test_it_closes_what_is_unpaid(box: Sandbox, stranger: Any) -> None:
    ordered(box, stranger)
    assert said(stranger.close(out_trade_no="ORDER0001")) == (204, None)


def test_it_refuses_a_wrong_signature(box: Sandbox, stranger: Any) -> None:
    box.state.faults.append(Fault("/v3/*", "wrong_signature"))
    with pytest.raises(Exception, match="verify the signature"):
        ordered(box, stranger)


def test_it_reads_our_notices_and_not_our_forgeries(box: Sandbox, stranger: Any) -> None:
    ordered(box, stranger)
    box.pay("ORDER0001")
    assert box.agenda.quiet()
    (notice,) = box.notices.sent
    headers, body = box.notices.signed(notice, "genuine")
    read = stranger.callback(headers, body)
    assert read["event_type"] == "TRANSACTION.SUCCESS" and read["resource"]["out_trade_no"] == "ORDER0001"
    for kind in ("probe", "tampered", "wrong_key"):
        headers, body = box.notices.signed(notice, kind)
        assert not stranger.callback(headers, body)
