"""The client of WeChat Pay over real HTTP: what is sent, what is believed, what never leaks."""

from __future__ import annotations

import json
import logging
import threading
import time
import traceback
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from wechatpayv3.utils import build_authorization, rsa_sign

from tests.wechat.payhost import (
    APIV3_KEY,
    APPID,
    MCHID,
    OPENID,
    PUBLIC_KEY_ID,
    SERIAL,
    PayHost,
    always,
    merchant,
    merchant_key,
    private_pem,
    refund,
    refused,
    signature_headers,
    signed,
    transaction,
)
from tests.wechat.stub import Reply, Stub, dead_base
from wechat.errors import WeChatError
from wechat.pay import PayClient, Refund, Transaction, errors, within
from wechat.pay.signing import authorization

OUT_TRADE_NO, OUT_REFUND_NO = "DD20261125000001", "RF20261125000001"
EXPIRES = datetime(2026, 11, 25, 2, 15, tzinfo=UTC)
ORDER: dict[str, Any] = {
    "appid": APPID,
    "out_trade_no": OUT_TRADE_NO,
    "description": "点滴·环保帆布袋",
    "total_fen": 1200,
    "openid": OPENID,
    "time_expire": EXPIRES,
    "notify_url": "https://api.diandi.example/wechat/pay/notices",
}
REFUND: dict[str, Any] = {
    "out_trade_no": OUT_TRADE_NO,
    "out_refund_no": OUT_REFUND_NO,
    "refund_fen": 500,
    "total_fen": 1200,
    "reason": "用户取消",
    "notify_url": "https://api.diandi.example/wechat/pay/notices",
}


def test_who_has_little_time_is_answered_in_time() -> None:
    """The limit is for all hosts and all calls of the block; half-way there is still time for the other host."""

    def slow(asked: Any) -> Reply:
        time.sleep(1.0)
        return signed({"prepay_id": "wx1"})

    with PayHost(slow) as main, PayHost(always(signed({"prepay_id": "wx2"}))) as backup:
        began = time.monotonic()
        with within(0.9):
            assert main.client(backup.base).prepay(**ORDER) == "wx2"
        assert time.monotonic() - began < 0.9
        client = main.client(main.base)
        began = time.monotonic()
        with within(0.8):
            for _ in range(3):
                with pytest.raises(errors.Unknown):
                    client.prepay(**ORDER)
        assert time.monotonic() - began < 1.0
        assert client.prepay(**ORDER) == "wx1", "outside the block there is no hurry"


def test_an_order_is_sent_as_documented_and_nothing_more() -> None:
    with PayHost(always(signed({"prepay_id": "wx25100000"}))) as host:
        assert host.client().prepay(**ORDER, attach="order") == "wx25100000"
        host.client().prepay(**ORDER)
    first, second = (json.loads(asked.body) for asked in host.asked)
    assert first == {
        "appid": APPID,
        "mchid": MCHID,
        "description": "点滴·环保帆布袋",
        "out_trade_no": OUT_TRADE_NO,
        "time_expire": "2026-11-25T10:15:00+08:00",
        "notify_url": ORDER["notify_url"],
        "amount": {"total": 1200, "currency": "CNY"},
        "payer": {"openid": OPENID},
        "attach": "order",
    }
    assert "attach" not in second
    assert host.violations == []
    assert "点滴".encode() in host.asked[0].body
    assert host.asked[0].target == "/v3/pay/transactions/jsapi"
    assert host.asked[0].headers["Wechatpay-Serial"] == PUBLIC_KEY_ID


def test_the_call_up_has_a_signature_of_the_same_key() -> None:
    client = PayClient(merchant("https://api.mch.weixin.qq.com"), now=lambda: 1764036000.9, nonce=lambda: "n" * 32)
    params = client.call_up(appid=APPID, prepay_id="wx25100000")
    message = f"{APPID}\n1764036000\n{'n' * 32}\nprepay_id=wx25100000\n"
    assert params["paySign"] == rsa_sign(merchant_key(), message)
    assert (params["timeStamp"], params["signType"]) == ("1764036000", "RSA")


def test_a_strangers_client_signs_the_same_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wechatpayv3.utils.time.time", lambda: 1764036000.5)
    body = json.dumps({"description": "环保帆布袋"}, ensure_ascii=False)
    path = "/v3/pay/transactions/jsapi"
    theirs = build_authorization(path, "POST", MCHID, SERIAL, merchant_key(), data=body, nonce_str="N" * 32)
    ours = authorization(
        merchant_key(), mchid=MCHID, serial_no=SERIAL, method="POST", path_and_query=path, timestamp=1764036000,
        nonce="N" * 32, body=body.encode(),
    )  # fmt: skip
    assert sorted(ours.partition(" ")[2].split(",")) == sorted(theirs.partition(" ")[2].split(","))


def test_a_query_tells_the_facts() -> None:
    with PayHost(always(signed(transaction()))) as host:
        found = host.client().query(OUT_TRADE_NO)
        assert host.client().query_by_id(found.transaction_id) == found
    assert found == Transaction(
        appid=APPID,
        mchid=MCHID,
        out_trade_no=OUT_TRADE_NO,
        transaction_id="4200001234202611250000000001",
        trade_type="JSAPI",
        trade_state="SUCCESS",
        total_fen=1200,
        payer_total_fen=1100,
        currency="CNY",
        openid=OPENID,
        success_time=datetime(2026, 11, 25, 2, 0, tzinfo=UTC),
    )
    assert host.asked[0].target == f"/v3/pay/transactions/out-trade-no/{OUT_TRADE_NO}?mchid={MCHID}"
    assert OPENID not in repr(found)


def test_an_unpaid_order_has_neither_number_nor_time() -> None:
    said = transaction(trade_state="NOTPAY")
    for name in ("transaction_id", "success_time", "amount", "payer", "trade_type"):
        del said[name]
    with PayHost(always(signed(said))) as host:
        found = host.client().query(OUT_TRADE_NO)
    assert (found.transaction_id, found.success_time, found.total_fen, found.openid) == ("", None, 0, "")


def test_numbers_with_odd_characters_are_signed_as_they_are_sent() -> None:
    number = "a|b*c_d-1"
    with PayHost(always(signed(transaction(out_trade_no=number)))) as host:
        assert host.client().query(number).out_trade_no == number
        host.says = always(signed(refund(out_refund_no="r|*@1")))
        assert host.client().query_refund("r|*@1").out_refund_no == "r|*@1"
    assert host.violations == []
    assert host.asked[0].path.endswith("/a%7Cb%2Ac_d-1")


def test_closing_believes_a_signed_204_only() -> None:
    with PayHost(always(signed(None, 204))) as host:
        host.client().close(OUT_TRADE_NO)
        assert json.loads(host.asked[-1].body) == {"mchid": MCHID}
        for forged in (Reply(status=204), signed({}, 200), signed(None, 204, at=time.time() - 301)):
            host.says = always(forged)
            with pytest.raises(errors.Unknown):
                host.client().close(OUT_TRADE_NO)


def test_an_order_that_is_closed_already_is_closed_when_a_query_says_so() -> None:
    for state, good in (("CLOSED", True), ("NOTPAY", False)):
        found = signed({**transaction(trade_state=state), "transaction_id": ""})
        with PayHost(lambda asked, found=found: refused(400, "ORDER_CLOSED") if asked.body else found) as host:
            if good:
                host.client().close(OUT_TRADE_NO)
            else:
                with pytest.raises(errors.OrderClosed):
                    host.client().close(OUT_TRADE_NO)
        assert [asked.method for asked in host.asked] == ["POST", "GET"]


def test_what_wechat_signs_is_logged_without_the_body(caplog: pytest.LogCaptureFixture) -> None:
    built = "POST\n/v3/pay/transactions/jsapi\n1764036000\nNONCE\n" + '{"openid":"canary-openid"}'
    detail = {"field": "signature", "sign_information": {"truncated_sign_message": built}}
    body = json.dumps({"code": "SIGN_ERROR", "message": "签名错误", "detail": detail}).encode()
    with PayHost(always(Reply(body, 401))) as host, pytest.raises(errors.Refused):
        host.client().prepay(**ORDER)
    assert "NONCE" in caplog.text and "canary-openid" not in caplog.text


def test_errors_say_whether_to_come_back_and_whom_to_wake() -> None:
    coming = {kind.__name__ for kind in vars(errors).values() if isinstance(kind, type) and getattr(kind, "retry", 0)}
    waking = {kind.__name__ for kind in vars(errors).values() if isinstance(kind, type) and getattr(kind, "alarm", 0)}
    assert coming == {"Unknown", "SystemBusy", "Frequency", "NotEnough", "StatementCreating"}
    assert waking == {"OutTradeNoUsed", "OtherContent", "NotEnough", "AccountAbnormal", "Refused", "BillCorrupt"}


def test_a_refund_is_asked_for_and_looked_up() -> None:
    with PayHost(always(signed(refund()))) as host:
        asked = host.client().refund(**REFUND)
        host.says = always(signed(refund(status="SUCCESS", success_time="2026-11-25T10:05:00+08:00")))
        found = host.client().query_refund(OUT_REFUND_NO)
    assert asked == Refund(
        out_refund_no=OUT_REFUND_NO,
        refund_id="50000000382026112500000001",
        out_trade_no=OUT_TRADE_NO,
        transaction_id="4200001234202611250000000001",
        status="PROCESSING",
        refund_fen=500,
        total_fen=1200,
        payer_refund_fen=458,
        success_time=None,
        mchid=MCHID,
    )
    assert (found.status, found.success_time) == ("SUCCESS", datetime(2026, 11, 25, 2, 5, tzinfo=UTC))
    assert json.loads(host.asked[0].body) == {
        "out_trade_no": OUT_TRADE_NO,
        "out_refund_no": OUT_REFUND_NO,
        "reason": "用户取消",
        "notify_url": REFUND["notify_url"],
        "amount": {"refund": 500, "total": 1200, "currency": "CNY"},
    }


@pytest.mark.parametrize(
    "change",
    [
        {"total_fen": 0}, {"total_fen": True}, {"total_fen": 12.0}, {"total_fen": "12"}, {"out_trade_no": "short"},
        {"out_trade_no": "x" * 33}, {"out_trade_no": "with space"}, {"out_trade_no": "中文号码号码"},
        {"description": ""}, {"attach": "x" * 129},
        {"description": "x" * 128}, {"description": "two\nlines"}, {"description": "back`tick"},
        {"notify_url": "http://api.diandi.example/n"}, {"notify_url": "https://api.diandi.example/n?a=1"},
        {"notify_url": "https://api.diandi.example/" + "n" * 250}, {"time_expire": datetime(2026, 11, 25)},  # noqa: DTZ001
    ],
)  # fmt: skip
def test_what_wechat_would_refuse_is_not_sent(change: dict[str, Any]) -> None:
    with PayHost(always(signed({"prepay_id": "x"}))) as host, pytest.raises(ValueError):
        host.client().prepay(**{**ORDER, **change})
    assert host.asked == []


def test_a_refund_above_the_order_is_not_sent() -> None:
    with PayHost(always(signed(refund()))) as host:
        for change in ({"refund_fen": 1201}, {"refund_fen": 0}, {"out_refund_no": "x" * 65}, {"reason": "x" * 81}):
            with pytest.raises(ValueError):
                host.client().refund(**{**REFUND, **change})
    assert host.asked == []


ANSWERS: list[tuple[Reply, type[errors.PayError]]] = [
    (refused(404, "ORDER_NOT_EXIST", 268512771), errors.NotFound),
    (refused(404, "ORDER_NOT_EXISTS"), errors.NotFound),
    (refused(404, "RESOURCE_NOT_EXISTS"), errors.NotFound),
    (refused(400, "ORDERPAID"), errors.OrderPaid),
    (refused(400, "ORDER_PAID"), errors.OrderPaid),
    (refused(400, "INVALID_REQUEST", 268498689), errors.OrderPaid),
    (refused(400, "INVALID_REQUEST", 268449538), errors.OrderPaid),
    (refused(400, "INVALID_REQUEST", 268498688), errors.OtherContent),
    (refused(400, "INVALID_REQUEST", 268447914), errors.OrderClosed),
    (refused(400, "ORDER_CLOSED"), errors.OrderClosed),
    (refused(403, "OUT_TRADE_NO_USED"), errors.OutTradeNoUsed),
    (refused(429, "FREQUENCY_LIMITED"), errors.Frequency),
    (refused(403, "FREQUENCY_LIMITED"), errors.Frequency),
    (refused(400, "INVALID_REQUEST", 268447840), errors.Frequency),
    (Reply(b"slow down", 429), errors.Frequency),
    (refused(500, "SYSTEM_ERROR"), errors.SystemBusy),
    (refused(403, "NOT_ENOUGH"), errors.NotEnough),
    (refused(403, "USER_ACCOUNT_ABNORMAL"), errors.AccountAbnormal),
    (refused(400, "PARAM_ERROR", 268435461), errors.Refused),
    (refused(400, "INVALID_REQUEST", 270924358), errors.Refused),
    (refused(400, "APPID_MCHID_NOT_MATCH", 268445527), errors.Refused),
    (refused(400, "MCH_NOT_EXISTS", 268443715), errors.Refused),
    (refused(401, "SIGN_ERROR", 268443699), errors.Refused),
    (refused(403, "NO_AUTH", 268447843), errors.Refused),
    (refused(400, "NO_STATEMENT_EXIST"), errors.NoStatement),
    (refused(404, "NO_STATEMENT_EXIST"), errors.NoStatement),
    (refused(400, "STATEMENT_CREATING"), errors.StatementCreating),
    (Reply(b"<html>no such page</html>", 404), errors.Unknown),
    (Reply(b"<html>bad gateway</html>", 502), errors.Unknown),
    (Reply(b"", 302, {"Location": "http://127.0.0.1:9/"}), errors.Unknown),
    (signed([1, 2]), errors.Unknown),
    (signed({"trade_state": "SUCCESS"}), errors.Unknown),
    (signed(transaction(amount={"total": "1200"})), errors.Unknown),
    (signed(transaction(amount={"total": True})), errors.Unknown),
    (signed(transaction(amount={"total": -1})), errors.Unknown),
    (signed(transaction(success_time="2026-11-25 10:00:00")), errors.Unknown),
    (signed(transaction(out_trade_no="DD20261125000002")), errors.Unknown),
    (signed(transaction(mchid="1900000000")), errors.Unknown),
    (Reply(json.dumps(transaction()).encode()), errors.Unknown),
    (signed(transaction(), at=time.time() - 86400), errors.Unknown),
    (signed(transaction(), serial="PUB_KEY_ID_0000000000"), errors.Unknown),
    (signed(transaction(), Wechatpay_Nonce="another"), errors.Unknown),
    (Reply(b"", 200), errors.Unknown),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "expected"), ANSWERS)
def test_each_answer_has_its_error(reply: Reply, expected: type[errors.PayError]) -> None:
    with PayHost(always(reply)) as host, pytest.raises(errors.PayError) as error:
        host.client().query(OUT_TRADE_NO)
    assert type(error.value) is expected
    assert len(host.asked) == 1, "a refusal is not repeated by the client"
    assert OUT_TRADE_NO not in str(error.value)


def test_an_error_carries_what_support_asks_for() -> None:
    reply = refused(400, "INVALID_REQUEST", 268498688, "请求重入")
    with PayHost(always(reply)) as host, pytest.raises(errors.OtherContent) as error:
        host.client().prepay(**ORDER)
    found = error.value
    assert (found.status, found.code, found.request_id, found.number) == (
        400,
        "INVALID_REQUEST",
        "08F1A2-268498688",
        268498688,
    )
    assert "08F1A2-268498688" in str(found)
    assert found.message == "请求重入" and "请求重入" not in str(found)
    assert isinstance(found, WeChatError)


@pytest.mark.parametrize("fault", [Reply(drop=True), Reply(b"{}", cut=True), Reply(b"x" * (1024 * 1024 + 1))])
def test_no_usable_answer_is_unknown_after_two_attempts(fault: Reply) -> None:
    with PayHost(always(fault)) as host, pytest.raises(errors.Unknown) as error:
        host.client().query(OUT_TRADE_NO)
    assert error.value.status == 0
    assert len(host.asked) == 2
    assert host.violations == [], "the second attempt has a nonce of its own"


def test_a_slow_peer_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wechat.pay.transport.READ_SECONDS", 0.2)
    monkeypatch.setattr("wechat.pay.transport.WHOLE_SECONDS", 0.3)
    body = signed(transaction())
    drip = Reply(body.body, 200, body.headers, drip=0.1)
    for slow in (Reply(delay=1.0), drip):
        began = time.monotonic()
        with PayHost(always(slow)) as host, pytest.raises(errors.Unknown):
            host.client().query(OUT_TRADE_NO)
        assert time.monotonic() - began < 3


def test_the_backup_host_stands_in_and_stays_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    with PayHost(always(signed(transaction()))) as backup:
        client = PayClient(merchant(dead_base(), backup.base))
        assert client.query(OUT_TRADE_NO).trade_state == "SUCCESS"
        assert client.query(OUT_TRADE_NO).trade_state == "SUCCESS"
        assert len(backup.asked) == 2 and backup.violations == []
        with pytest.raises(errors.Unknown):
            PayClient(merchant(dead_base(), dead_base())).query(OUT_TRADE_NO)


def test_an_answer_that_cannot_be_trusted_is_not_asked_for_again_elsewhere() -> None:
    """The first host may have done it; what is true is found by a query, not by the other host's word."""
    with (
        PayHost(always(Reply(b'{"prepay_id":"forged"}'))) as main,
        PayHost(always(signed({"prepay_id": "x"}))) as backup,
        pytest.raises(errors.Unknown),
    ):
        main.client(backup.base).prepay(**ORDER)
    assert (len(main.asked), len(backup.asked)) == (1, 0)


def test_connections_are_kept_and_shared_by_threads() -> None:
    with PayHost(always(signed(transaction()))) as host:
        client = host.client()
        for _ in range(5):
            client.query(OUT_TRADE_NO)
        assert len({asked.peer for asked in host.asked}) == 1
        threads = [threading.Thread(target=client.query, args=(OUT_TRADE_NO,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(host.asked) == 13 and host.violations == []


def test_a_clock_that_is_five_minutes_off_believes_nothing() -> None:
    with Stub(always(signed(transaction()))) as host:
        for off in (-301, 301):
            with pytest.raises(errors.Unknown) as error:
                PayClient(merchant(host.base), now=lambda off=off: time.time() + off).query(OUT_TRADE_NO)
            assert error.value.code == "UNTRUSTED_STALE"
        assert PayClient(merchant(host.base), now=lambda: time.time() + 290).query(OUT_TRADE_NO)


def test_no_secret_is_in_any_error_log_or_representation(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = [APIV3_KEY, private_pem(merchant_key()).splitlines()[3], OPENID, OUT_TRADE_NO, "Authorization", "notify"]
    texts = []
    replies = (Reply(drop=True), refused(401, "SIGN_ERROR"), refused(400, "PARAM_ERROR", message=OPENID), Reply(b"{}"))
    for reply in (*replies, signed({"prepay_id": "wx1"})):
        with PayHost(always(reply)) as host:
            texts.append(repr(host.client().merchant))
            try:
                host.client().prepay(**ORDER)
            except errors.PayError as error:
                seen: BaseException | None = error
                while seen is not None:
                    texts.append("".join(traceback.format_exception(seen, chain=False)) + repr(seen))
                    seen = seen.__cause__ or seen.__context__
    texts += [record.getMessage() for record in caplog.records if record.name.startswith("wechat")]
    assert len(texts) >= 14
    for text in texts:
        assert [secret for secret in secrets if secret in text.replace("notify_url=", "")] == []


def test_wrong_keys_are_refused_at_the_start() -> None:
    small = private_pem(rsa.generate_private_key(65537, 1024))
    for change in ({"apiv3_key": "too-short"}, {"private_key_pem": "no key"}, {"private_key_pem": small}):
        with pytest.raises(ValueError) as error:
            PayClient(merchant("https://api.mch.weixin.qq.com", **change))
        assert str(next(iter(change.values())))[:30] not in str(error.value)


def test_answers_headers_are_read_in_any_case() -> None:
    reply = signed(transaction())
    lower = {name.lower(): value for name, value in signature_headers(reply.body).items()}
    with PayHost(always(Reply(reply.body, 200, lower))) as host:
        assert host.client().query(OUT_TRADE_NO)
