"""The local WeChat Pay: its checks, refusals and answers, asked by the client of this package over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from wechat.pay import KeyRing, Merchant, PayClient, errors
from wechat.sandbox.box import Sandbox
from wechat.sandbox.identity import ForApplication, Identity, create

NOTIFY = "http://127.0.0.1:9/notices"


@pytest.fixture(scope="session")
def keys() -> tuple[Identity, ForApplication]:
    return create()


@pytest.fixture
def box(keys: tuple[Identity, ForApplication]) -> Iterator[Sandbox]:
    with Sandbox(keys[0]) as running:
        yield running


@pytest.fixture
def client(box: Sandbox, keys: tuple[Identity, ForApplication]) -> PayClient:
    given = keys[1]
    ring = KeyRing({given.public_key_id: given.public_key_pem})
    merchant = Merchant(
        mchid=given.mchid,
        serial_no=given.serial,
        private_key_pem=given.private_key_pem,
        apiv3_key=given.apiv3_key,
        keys=ring,
        base_url=box.pay_base,
        backup_url=box.backup_base,
    )
    return PayClient(merchant)


def order(box: Sandbox, client: PayClient, number: str = "ORDER0001", total: int = 100, **changes: object) -> str:
    wanted = {
        "appid": box.identity.appid,
        "out_trade_no": number,
        "description": "环保袋，一只",
        "total_fen": total,
        "openid": box.user("alice").openid,
        "time_expire": datetime(2027, 1, 1, tzinfo=UTC),
        "notify_url": NOTIFY,
        **changes,
    }
    return client.prepay(**wanted)  # type: ignore[arg-type]


def test_the_whole_road_of_a_payment(box: Sandbox, client: PayClient) -> None:
    prepay_id = order(box, client)
    assert client.query("ORDER0001").trade_state == "NOTPAY"
    parameters = client.call_up(appid=box.identity.appid, prepay_id=prepay_id)
    opened = box.call_up(parameters, box.user("alice").openid)
    assert (opened.order, opened.total_fen) == ("ORDER0001", 100)
    assert box.pay("ORDER0001") == "requestPayment:ok"
    paid = client.query("ORDER0001")
    assert (paid.trade_state, paid.total_fen, paid.openid) == ("SUCCESS", 100, box.user("alice").openid)
    refund = client.refund(
        out_trade_no="ORDER0001",
        out_refund_no="R1",
        refund_fen=40,
        total_fen=100,
        reason="买错了",
        notify_url=NOTIFY,
    )
    assert refund.status == "PROCESSING"
    box.clock.advance(6)
    box.agenda.quiet()
    assert client.query_refund("R1").status == "SUCCESS"
    with pytest.raises(errors.OrderPaid):
        client.close("ORDER0001")
    with pytest.raises(errors.NotFound):
        client.query("UNKNOWN1")
    order(box, client, "ORDER0002")
    client.close("ORDER0002")
    client.close("ORDER0002")
    assert client.query("ORDER0002").trade_state == "CLOSED"
    box.clock.advance(2 * 86400)
    day = (datetime.now(UTC) + timedelta(hours=8)).date()
    bill = client.trade_bill(day)
    assert len(list(bill.rows)) == 2
    funds = client.fund_flow_bill(day)
    assert len(list(funds.rows)) == 3
    assert box.journal.violations == []
