"""The local WeChat Pay: its checks, refusals and answers, asked by the client of this package over real HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.wechat.sandboxes import Raw, body, client_of, keys, order, refund
from wechat.pay import PayClient, errors
from wechat.sandbox.box import Sandbox
from wechat.sandbox.faults import Fault
from wechat.sandbox.pay.bills import Plant
from wechat.sandbox.pay.desk import DeskRefusal

JSAPI = "/v3/pay/transactions/jsapi"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(keys()[0]) as running:
        yield running


@pytest.fixture
def client(box: Sandbox) -> PayClient:
    return client_of(box, backup_url=box.backup_base)


def test_the_whole_road_of_a_payment(box: Sandbox, client: PayClient) -> None:
    prepay_id = order(box, client)
    assert client.query("ORDER0001").trade_state == "NOTPAY"
    parameters = client.call_up(appid=box.identity.appid, prepay_id=prepay_id)
    opened = box.call_up(parameters, box.user("alice").openid)
    assert (opened.order, opened.total_fen) == ("ORDER0001", 100)
    assert box.pay("ORDER0001") == "requestPayment:ok"
    paid = client.query("ORDER0001")
    assert (paid.trade_state, paid.total_fen, paid.openid) == ("SUCCESS", 100, box.user("alice").openid)
    assert client.query_by_id(paid.transaction_id) == paid
    assert refund(client).status == "PROCESSING"
    box.clock.advance(6)
    assert box.agenda.quiet()
    assert client.query_refund("R1").status == "SUCCESS"
    assert client.query("ORDER0001").trade_state == "REFUND"
    with pytest.raises(errors.OrderPaid):
        client.close("ORDER0001")
    with pytest.raises(errors.NotFound):
        client.query("UNKNOWN1")
    with pytest.raises(errors.NotFound):
        client.query_refund("UNKNOWN1")
    assert box.journal.violations == []


SPOILS: dict[str, Callable[[dict[str, Any]], None]] = {
    "path": lambda parts: parts.update(target=parts["target"].replace("ORDER0001", "ORDER0002")),
    "query": lambda parts: parts.update(target=parts["target"] + "0"),
    "body": lambda parts: parts.update(body=parts["body"].replace(b"100", b"101")),
    "nonce": lambda parts: parts.update(nonce="0" + parts["nonce"][1:] + "x"),
    "timestamp": lambda parts: parts.update(timestamp=str(int(parts["timestamp"]) + 1)),
    "mchid": lambda parts: parts.update(mchid="1999000002"),
    "serial": lambda parts: parts.update(serial="5A" + "0" * 38),
    "signature": lambda parts: parts.update(signature="A" + parts["signature"][1:-2] + "=="),
}


@pytest.mark.parametrize("what", sorted(SPOILS))
def test_one_changed_bit_is_refused(box: Sandbox, what: str) -> None:
    """S2, with the string that WeChat built in the answer."""
    good = Raw(box.pay_base)
    assert good("POST", JSAPI, body(box))[0] == 200
    bad = Raw(box.pay_base, SPOILS[what])
    if what == "body":
        status, said, _ = bad("POST", JSAPI, body(box, "ORDER0002"))
    else:
        target = f"/v3/pay/transactions/out-trade-no/ORDER0001?mchid={box.identity.mchid}"
        status, said, _ = bad("GET", target)
    assert (status, said["code"]) == (401, "SIGN_ERROR")
    assert said["detail"]["sign_information"] is not None
    assert "ORDER0002" not in box.book.orders


@pytest.mark.parametrize(("seconds", "status"), [(299, 200), (-299, 200), (302, 401), (-302, 401)])
def test_the_clock_may_be_five_minutes_off(box: Sandbox, seconds: int, status: int) -> None:
    box.clock.wall_skew = seconds
    assert Raw(box.pay_base)("POST", JSAPI, body(box))[0] == status


def test_headers_that_must_be_there(box: Sandbox) -> None:
    raw = Raw(box.pay_base)
    assert raw("POST", JSAPI, body(box), Accept=None)[0] == 400
    assert raw("POST", JSAPI, body(box), User_Agent=None)[0] == 400
    assert raw("POST", JSAPI, body(box), Content_Type="text/plain")[0] == 415
    assert raw("POST", JSAPI, body(box), Authorization=None)[0] == 401
    assert raw("POST", JSAPI, body(box), Authorization="Bearer x")[0] == 401
    assert raw("POST", JSAPI, body(box), Wechatpay_Serial="PUB_KEY_ID_OTHER")[0] == 400
    assert raw("GET", "/v3/nothing")[0] == 404
    assert box.book.orders == {}


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"amount": {"total": 0, "currency": "CNY"}}, "PARAM_ERROR", "268435464"),
    ({"amount": {"total": 1.0, "currency": "CNY"}}, "PARAM_ERROR", "268435461"),
    ({"amount": {"total": "100", "currency": "CNY"}}, "PARAM_ERROR", "268435461"),
    ({"amount": {"total": True}}, "PARAM_ERROR", "268435461"),
    ({"amount": {"total": 100, "currency": "USD"}}, "PARAM_ERROR", "268435461"),
    ({"amount": {"total": 100, "tip": 1}}, "INVALID_REQUEST", "270924358"),
    ({"surprise": None, "extra": 1}, "INVALID_REQUEST", "270924358"),
    ({"appid": "wxlocal000000000009"}, "APPID_MCHID_NOT_MATCH", "268445527"),
    ({"mchid": "1999000009"}, "PARAM_ERROR", "268447843"),
    ({"payer": {"openid": "oNobody"}}, "PARAM_ERROR", "268435461"),
    ({"payer": {}}, "PARAM_ERROR", "268501013"),
    ({"payer": None}, "PARAM_ERROR", "268435461"),
    ({"out_trade_no": "short"}, "PARAM_ERROR", "268435464"),
    ({"out_trade_no": "ORDER 001"}, "PARAM_ERROR", "268435461"),
    ({"out_trade_no": "X" * 33}, "PARAM_ERROR", "268435464"),
    ({"description": "字" * 128}, "PARAM_ERROR", "268435464"),
    ({"description": "a\nb"}, "PARAM_ERROR", "268435461"),
    ({"attach": "x" * 129}, "PARAM_ERROR", "268435464"),
    ({"attach": None, "goods_tag": 5}, "PARAM_ERROR", "268435461"),
    ({"notify_url": "http://example.com/notices"}, "PARAM_ERROR", "268435461"),
    ({"notify_url": "https://example.com/notices?a=1"}, "PARAM_ERROR", "268435461"),
    ({"notify_url": "notices"}, "PARAM_ERROR", "268435461"),
    ({"time_expire": "2026-11-25 10:00:00"}, "PARAM_ERROR", "268435461"),
    ({"time_expire": "2026-11-25T10:00:00"}, "PARAM_ERROR", "268435461"),
    ({"time_expire": "2026-02-30T10:00:00+08:00"}, "PARAM_ERROR", "268435461"),
]


@pytest.mark.parametrize(("changes", "code", "number"), WRONG)
def test_a_wrong_order_is_refused(box: Sandbox, changes: dict[str, Any], code: str, number: str) -> None:
    status, said, headers = Raw(box.pay_base)("POST", JSAPI, body(box, **changes))
    assert (status, said["code"]) == (400, code)
    assert headers["Request-ID"].endswith(f"-{number}")
    assert box.book.orders == {}


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"appid":"a","appid":"b"}', b"\xff\xfe"])
def test_what_is_no_json_object_is_refused(box: Sandbox, raw: bytes) -> None:
    assert Raw(box.pay_base)("POST", JSAPI, raw)[0] == 400


def test_the_same_number_needs_the_same_content(box: Sandbox, client: PayClient) -> None:
    """S6, and what a number answers when it is over."""
    first, again = order(box, client), order(box, client)
    assert first != again
    with pytest.raises(errors.OtherContent):
        order(box, client, attach="other")
    raw = Raw(box.pay_base)
    status, _, headers = raw("POST", JSAPI, body(box))
    assert (status, headers["Request-ID"].rpartition("-")[2]) == (400, "268498688")
    box.pay("ORDER0001")
    with pytest.raises(errors.OrderPaid):
        order(box, client)
    with pytest.raises(errors.PayError):
        order(box, client, total=7)
    order(box, client, "ORDER0002")
    client.close("ORDER0002")
    client.close("ORDER0002")
    with pytest.raises(errors.PayError) as closed:
        order(box, client, "ORDER0002")
    assert "268447914" in closed.value.request_id


def test_expiry_ends_paying_but_does_not_close(box: Sandbox, client: PayClient) -> None:
    soon = datetime.fromtimestamp(box.clock.now() + 5, UTC)
    prepay_id = order(box, client, time_expire=soon)
    box.clock.advance(50)  # a minute is the least that WeChat gives
    parameters = client.call_up(appid=box.identity.appid, prepay_id=prepay_id)
    assert box.call_up(parameters, box.user("alice").openid).order == "ORDER0001"
    box.pay("ORDER0001", after=1200)
    box.clock.advance(15)
    with pytest.raises(DeskRefusal, match="该订单已失效"):
        box.call_up(parameters, box.user("alice").openid)
    with pytest.raises(DeskRefusal):
        box.pay("ORDER0001")
    assert client.query("ORDER0001").trade_state == "NOTPAY"
    box.clock.advance(1200)
    assert box.agenda.quiet()
    paid = client.query("ORDER0001")
    assert paid.trade_state == "SUCCESS" and paid.success_time is not None and paid.success_time > soon


def test_unpaid_orders_are_closed_after_seven_days(box: Sandbox, client: PayClient) -> None:
    order(box, client)
    box.clock.advance(7 * 86400 - 60)
    assert client.query("ORDER0001").trade_state == "NOTPAY"
    box.clock.advance(120)
    assert client.query("ORDER0001").trade_state == "CLOSED"


def test_a_payment_can_cross_its_closing(box: Sandbox, client: PayClient) -> None:
    """S8."""
    order(box, client)
    client.close("ORDER0001")
    with pytest.raises(DeskRefusal, match="已关闭"):
        box.pay("ORDER0001")
    box.pay("ORDER0001", anyway=True)
    assert client.query("ORDER0001").trade_state == "SUCCESS"


def test_the_cash_desk_checks_what_it_is_given(box: Sandbox, client: PayClient) -> None:
    prepay_id = order(box, client)
    alice, appid = box.user("alice").openid, box.identity.appid
    good = client.call_up(appid=appid, prepay_id=prepay_id)
    for change, said in (
        ({"signType": "MD5"}, "支付验证签名失败"),
        ({"timeStamp": 1732500000}, "缺少参数"),
        ({"paySign": good["paySign"][:-4] + "AA=="}, "支付验证签名失败"),
        ({"package": prepay_id}, "支付参数错误"),
        ({"nonceStr": "other"}, "支付验证签名失败"),
        ({"package": "prepay_id=wx0"}, "支付验证签名失败"),
        ({"total": "1"}, "支付参数错误"),
    ):
        with pytest.raises(DeskRefusal, match=said):
            box.call_up({**good, **change}, alice)
    with pytest.raises(DeskRefusal, match="支付账号不一致"):
        box.call_up(good, box.user("bob").openid)
    with pytest.raises(DeskRefusal, match="预支付"):
        box.call_up(client.call_up(appid=appid, prepay_id="wx0"), alice)
    box.clock.advance(2 * 3600)
    with pytest.raises(DeskRefusal, match="该订单已失效"):
        box.call_up(good, alice)


def test_refusing_to_pay_leaves_the_order_unpaid(box: Sandbox, client: PayClient) -> None:
    order(box, client)
    assert box.decide("ORDER0001", "cancel") == "requestPayment:fail cancel"
    assert box.decide("ORDER0001", "trap") == "requestPayment:ok"
    for act in ("wrong_password", "insufficient"):
        with pytest.raises(DeskRefusal):
            box.decide("ORDER0001", act)
    assert client.query("ORDER0001").trade_state == "NOTPAY"
    assert box.notices.sent == []


def test_a_coupon_pays_a_part(box: Sandbox, client: PayClient) -> None:
    order(box, client)
    box.pay("ORDER0001", coupon_fen=30)
    paid = client.query("ORDER0001")
    assert (paid.total_fen, paid.payer_total_fen) == (100, 70)
    assert refund(client, fen=50).payer_refund_fen == 35


def test_refunds_have_their_bounds(box: Sandbox, client: PayClient) -> None:
    order(box, client)
    with pytest.raises(errors.NotFound):
        refund(client)
    box.pay("ORDER0001")
    refund(client, "R1", 60)
    refund(client, "R1", 60)
    assert len(box.book.refunds) == 1
    for number, fen, total in (("R1", 39, 100), ("R2", 41, 100), ("R2", 40, 101)):
        with pytest.raises(errors.PayError) as refused:
            refund(client, number, fen, total)
        assert refused.value.code == "INVALID_REQUEST"
    box.end_refund("R1", "CLOSED")
    refund(client, "R2", 100)
    box.user("alice").account_gone = True
    order(box, client, "ORDER0002")
    box.pay("ORDER0002")
    with pytest.raises(errors.AccountAbnormal):
        refund(client, "R3", of="ORDER0002")
    box.user("alice").account_gone = False
    box.book.balance_fen = 5
    with pytest.raises(errors.NotEnough):
        refund(client, "R3", of="ORDER0002")
    box.book.balance_fen = 10**9
    box.clock.advance(366 * 86400)
    with pytest.raises(errors.PayError):
        refund(client, "R3", of="ORDER0002")


def test_fifty_partial_refunds_and_no_more(box: Sandbox, client: PayClient) -> None:
    order(box, client)
    box.pay("ORDER0001")
    for number in range(50):
        refund(client, f"R{number}", 1)
    with pytest.raises(errors.PayError):
        refund(client, "R50", 1)


def test_a_lost_answer_and_the_same_number_refund_once(box: Sandbox, client: PayClient) -> None:
    """S7: with another number it would be twice."""
    order(box, client)
    box.pay("ORDER0001")
    for _ in range(2):
        box.state.faults.append(Fault("/v3/refund/*", "lost_answer", 2))
        with pytest.raises(errors.Unknown):
            refund(client, "R1", 10)
    assert refund(client, "R1", 10).refund_fen == 10
    assert len(box.book.refunds) == 1
    refund(client, "R2", 10)
    assert box.book.refunded(box.book.orders["ORDER0001"]) == 20


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("reset", errors.Unknown),
        ("html", errors.Unknown),
        ("http502", errors.PayError),
        ("rate", errors.Frequency),
        ("system_error", errors.SystemBusy),
        ("system_error_after", errors.SystemBusy),
        ("truncated", errors.Unknown),
        ("empty", errors.Unknown),
        ("wrong_signature", errors.Unknown),
        ("no_signature", errors.Unknown),
        ("stale_answer", errors.Unknown),
        ("unknown_serial", errors.Unknown),
    ],
)
def test_faults_on_the_way(box: Sandbox, client: PayClient, kind: str, error: type[Exception]) -> None:
    box.state.faults.append(Fault("/v3/pay/*", kind, 2))
    with pytest.raises(error):
        order(box, client)
    executed = kind in ("system_error_after", "truncated", "empty") or kind in ("wrong_signature", "no_signature")
    assert bool(box.book.orders) is (executed or kind in ("stale_answer", "unknown_serial"))
    box.state.faults.clear()
    assert order(box, client)


def test_faults_by_count_and_by_chance_repeat_with_the_seed(box: Sandbox) -> None:
    box.state.faults.append(Fault("/v3/pay/*", "http500", times=1, skip=2))
    raw = Raw(box.pay_base)
    assert [raw("POST", JSAPI, body(box))[0] for _ in range(4)] == [200, 200, 500, 200]
    box.state.faults.append(Fault("/v3/pay/*", "http500", times=100, probability=0.5))
    first = [raw("POST", JSAPI, body(box))[0] for _ in range(12)]
    assert {200, 500} == set(first)
    box.state.faults.random.seed(1)
    assert [raw("POST", JSAPI, body(box))[0] for _ in range(12)] == first


def test_the_backup_address_lives_when_the_main_one_is_dead(box: Sandbox, client: PayClient) -> None:
    box.break_host("pay")
    assert order(box, client)
    box.break_host("backup")
    with pytest.raises(errors.Unknown):
        order(box, client)
    box.mend_host("pay")
    assert order(box, client)


def test_bills_come_the_next_morning_and_prove_themselves(box: Sandbox, client: PayClient) -> None:
    day = (datetime.fromtimestamp(box.clock.now(), UTC) + timedelta(hours=8)).date()
    order(box, client, total=1000, description="一只袋,大")
    box.pay("ORDER0001", coupon_fen=100)
    order(box, client, "ORDER0002")
    box.pay("ORDER0002")
    refund(client, "R1", 300, 1000)
    with pytest.raises(errors.PayError):
        client.trade_bill(day)
    box.clock.advance(86400)
    if (datetime.fromtimestamp(box.clock.now(), UTC) + timedelta(hours=8)).hour < 10:
        with pytest.raises(errors.StatementCreating):
            client.trade_bill(day)
    box.clock.advance(86400)
    with pytest.raises(errors.NoStatement):
        client.trade_bill(day - timedelta(days=1))
    with pytest.raises(errors.PayError):
        client.trade_bill(day - timedelta(days=100))
    rows = list(client.trade_bill(day).rows)
    assert [row.out_trade_no for row in rows] == ["ORDER0001", "ORDER0002", "ORDER0001"]
    funds = list(client.fund_flow_bill(day).rows)
    assert len(funds) == 6  # two payments and a refund, each with its fee
    for kind, error in (("hash", errors.BillCorrupt), ("byte", errors.BillCorrupt)):
        box.bills.plants[:] = [Plant(kind)]
        with pytest.raises(error):
            list(client.trade_bill(day).rows)
    box.bills.plants[:] = [Plant("drop", "ORDER0002"), Plant("foreign", "FOREIGN01", 5), Plant("amount", "R1", 7)]
    assert [row.out_trade_no for row in client.trade_bill(day).rows] == ["ORDER0001", "ORDER0001", "FOREIGN01"]


def test_a_bill_file_needs_its_token(box: Sandbox) -> None:
    raw = Raw(box.pay_base)
    assert raw("GET", "/v3/billdownload/file?token=x")[0] == 403
    assert raw("GET", "/v3/bill/tradebill?bill_date=2026-1-1")[0] == 400
    assert raw("GET", "/v3/bill/tradebill?bill_date=2026-11-01&bill_type=SOME")[0] == 400
    assert raw("GET", "/v3/bill/tradebill?bill_date=2026-11-01&more=1")[0] == 400


def test_parallel_calls_have_one_outcome(box: Sandbox) -> None:
    """Sixteen clients order, pay and refund the same number at once."""
    raw, answers = Raw(box.pay_base), []
    threads = [threading.Thread(target=lambda: answers.append(raw("POST", JSAPI, body(box))[0])) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 16
    assert len(box.book.orders) == 1


def test_the_sandbox_knows_no_private_key_of_the_merchant(box: Sandbox, tmp_path: Path) -> None:
    """S14: neither in what it keeps in memory nor in its file."""
    from wechat.sandbox import identity

    identity.save(box.identity, tmp_path / "identity.json")
    kept = (tmp_path / "identity.json").read_text()
    secret = keys()[1].private_key_pem.replace("\n", "\\n")
    assert secret[40:200] not in kept
    assert not hasattr(box.identity.merchant_key, "private_numbers")
    assert identity.load(tmp_path / "identity.json").merchant_key.public_numbers() == (
        box.identity.merchant_key.public_numbers()
    )
