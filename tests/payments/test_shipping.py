"""The upload that releases the money: not before WeChat knows the payment, once, and each answer as it is meant."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app import messages
from tests.payments.conftest import Shop
from tests.payments.test_flow import paid_order, refunded
from wechat.sandbox.faults import Fault

pytestmark = pytest.mark.race


def shipments(shop: Shop) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in shop.sql("select state, problem, tries from shipments order by id")]


def due(shop: Shop) -> None:
    shop.change("update shipments set next_try_at = now() where state = 'due'")


def test_a_service_is_told_as_a_pick_up_ten_seconds_later(shop: Shop) -> None:
    order = paid_order(shop)
    shop.sweep()
    assert shipments(shop) == [("due", None, 0)], "not yet"
    due(shop)
    shop.sweep()
    assert shipments(shop) == [("due", "paymentunknown", 1)], "WeChat doesn't know it yet"
    shop.box.clock.advance(11)
    due(shop)
    shop.sweep()
    assert shipments(shop)[0][0] == "sent"
    kept = shop.box.order(shop.stored(order).out_trade_no).shipping  # type: ignore[union-attr]
    assert kept["kind"] == 4 and "骑行装备" in kept["parcels"][0]["item_desc"]
    assert shop.box.journal.violations == []


def test_two_uploaders_send_it_once(shop: Shop) -> None:
    paid_order(shop)
    shop.box.clock.advance(11)
    due(shop)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: shop.sweep(), range(4)))
    assert shipments(shop)[0][:2] == ("sent", None)
    uploads = [one for one in shop.box.journal if one["path"].endswith("upload_shipping_info")]
    assert len(uploads) == 1


def test_a_parcel_waits_until_it_is_on_its_way(shop: Shop) -> None:
    shop.change("update items set kind = 'parcel' where price_fen > 0")
    where = {"name": "李雷", "phone": "13800000000", "province": "山东省", "city": "威海市", "detail": "滨海路 1 号"}
    address = shop.call("POST", "/addresses", body=where, status=201)["id"]
    order = paid_order(shop, address_id=address)
    shop.box.clock.advance(11)
    shop.sweep()
    assert shipments(shop) == [("waiting", None, 0)]
    from app import operators
    from app.clock import now
    from app.db import transaction

    with shop.app.app_context(), transaction():
        operators.add(handle="lin", name="lin", at=now())
    ship = ["payments", "ship", order, "--carrier", "ZTO", "--tracking", "7351", "--as", "lin"]
    told = shop.app.test_cli_runner().invoke(args=ship)
    assert told.exit_code == 0, told.output
    shop.sweep()
    assert shipments(shop)[0][0] == "sent"
    kept = shop.box.order(shop.stored(order).out_trade_no).shipping  # type: ignore[union-attr]
    assert (kept["kind"], kept["parcels"][0]["tracking_no"]) == (1, "7351")
    told = shop.call("GET", "/notices")["items"]
    assert [one["kind"] for one in told].count("order.shipped") == 1
    with shop.app.app_context():
        assert messages.template_for("order.shipped").name == "order", "told in WeChat too"  # type: ignore[union-attr]


def test_what_is_refunded_ships_nothing(shop: Shop) -> None:
    order = paid_order(shop)
    refunded(shop, order)
    assert shipments(shop) == [("given_up", "refunded", 0)]


@pytest.mark.parametrize(("errcode", "state"), [(-1, "due"), (10060002, "sent"), (10060004, "given_up")])
def test_each_answer_as_it_is_meant(shop: Shop, errcode: int, state: str) -> None:
    paid_order(shop)
    shop.box.clock.advance(11)
    due(shop)
    shop.box.state.faults.append(Fault("/wxa/sec/order/upload_shipping_info", "errcode", 9, errcode=errcode))
    shop.sweep()
    assert shipments(shop)[0][0] == state
    named = shop.sql("select count(*) as n from payment_differences where kind = 'shipping'")[0].n
    assert named == (1 if state == "given_up" else 0)


def pushed(shop: Shop, event: str, number: str, **facts: Any) -> None:
    """What WeChat tells about an order, as the relay hands it to the listener; twice, as it may."""
    from app import events, outbox
    from app.db import transaction
    from jobs.relay import relay_once

    payload = {"kind": event, "appid": shop.desk.terms.appid, "merchant_trade_no": number, **facts}
    with shop.app.app_context():
        for _ in range(2):
            with transaction():
                outbox.publish(events.WECHAT_TRADE, payload)
        relay_once()


def differences(shop: Shop) -> list[str]:
    return [row.kind for row in shop.sql("select kind from payment_differences where state = 'open' order by id")]


def test_wechats_word_about_the_goods_is_noted(shop: Shop) -> None:
    order = paid_order(shop)
    number = shop.stored(order).out_trade_no
    pushed(
        shop, "trade_manage_order_settlement", number, shipped_time="1764036000", estimated_settlement_time="1764208800"
    )
    assert shipments(shop) == [("sent", "told", 0)], "WeChat knows it, so nobody tells it again"
    pushed(
        shop, "trade_manage_order_settlement", number, shipped_time="1764036000", confirm_receive_method="2",
        confirm_receive_time="2025-11-27T10:00:00+08:00", settlement_time="1764208800",
    )  # fmt: skip
    row = shop.sql("select received_at, settled_at from shipments")[0]
    assert (row.received_at.isoformat()[:13], int(row.settled_at.timestamp())) == ("2025-11-27T02", 1764208800)
    assert differences(shop) == []


def test_a_reminder_to_ship_is_a_task_unless_it_is_on_its_way(shop: Shop) -> None:
    order = paid_order(shop)
    number = shop.stored(order).out_trade_no
    shop.change("update shipments set next_try_at = now() + interval '1 hour', problem = 'busy'")
    pushed(shop, "trade_manage_remind_shipping", number, pay_time="1764036000")
    assert differences(shop) == []
    assert shop.sql("select next_try_at <= clock_timestamp() as due from shipments")[0].due, "told now, not in an hour"
    shop.change("update shipments set state = 'given_up', next_try_at = null")
    pushed(shop, "trade_manage_remind_shipping", number, pay_time="1764036000")
    pushed(shop, "trade_manage_remind_shipping", "T0000000000")
    assert differences(shop) == ["shipping_reminded", "trade_unknown"]


def test_once_wechat_controls_trade_it_hears_what_it_did_not_want_to_hear(shop: Shop) -> None:
    shop.box.mini.switches.trade_managed = False
    order = paid_order(shop)
    shop.box.clock.advance(11)
    due(shop)
    shop.sweep()
    assert shipments(shop) == [("sent", "not_managed", 0)]
    shop.box.mini.switches.trade_managed = True
    pushed(shop, "wxa_trade_controlled", "")
    shop.sweep()
    assert shipments(shop)[0][:2] == ("sent", None)
    assert shop.box.order(shop.stored(order).out_trade_no).shipping, "it was told"  # type: ignore[union-attr]
    assert differences(shop) == ["trade_controlled"]
