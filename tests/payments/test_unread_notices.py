"""Genuine notices that we can't read: kept as they came, alarmed, asked for again, settled once we can read them."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from typing import Any

import pytest
import requests

from tests.payments.conftest import Shop
from till.hearing import read_again
from wechat.sandbox.pay.notices import Notice, NoticeFault

KEPT = "select notice_id, event_type, number, state, problem, times, body is not null as body from payment_notices"
OPEN = "select kind, number, times from payment_differences where state = 'open'"


def paid_in_silence(shop: Shop) -> tuple[str, Notice]:
    """An order that is paid, and the notice about it, which was never sent."""
    shop.box.notices.plant(NoticeFault("silence", times=10**6))
    order = shop.order()
    shop.box.pay(shop.call_up(order))
    shop.settle()
    return order, shop.box.notices.sent[0]


def tell(shop: Shop, notice: Notice, body: bytes) -> int:
    """Send this body, signed as WeChat signs."""
    headers, raw = shop.box.notices.signed(replace(notice, body=body), "genuine", None)
    assert raw == body
    return requests.post(notice.url, data=body, headers=headers, timeout=10).status_code


def sealed(shop: Shop, notice: Notice, resource: Any = None, key: str = "", **more: str) -> bytes:
    content = notice.resource if resource is None else resource
    return shop.box.notices.sealed(notice, content, key or shop.box.identity.apiv3_key, **more)


def test_what_was_sealed_with_another_key_is_settled_as_soon_as_we_have_it(shop: Shop) -> None:
    order, notice = paid_in_silence(shop)
    new_key = secrets.token_hex(16)
    body = sealed(shop, notice, key=new_key)
    assert [tell(shop, notice, body), tell(shop, notice, body)] == [400, 400]
    assert [tuple(row) for row in shop.sql(KEPT)] == [(notice.id, "", None, "unread", "undecipherable", 2, True)]
    assert shop.state(order) == "paying", "nothing was believed"
    with shop.app.app_context():
        assert [heard.outcome for _, heard in read_again(shop.desk)] == ["unread"]
        shop.desk.client.merchant = replace(shop.desk.client.merchant, apiv3_key=new_key)
        assert [heard.problem for _, heard in read_again(shop.desk)] == ["accepted"]
        assert read_again(shop.desk) == []
    number = shop.stored(order).out_trade_no
    row = shop.sql(KEPT)[0]
    assert row[1:5] == ("TRANSACTION.SUCCESS", number, "settled", None)
    assert not row.body
    assert shop.state(order) == "paid"
    assert shop.broken_proofs() == {}


@pytest.mark.parametrize(
    ("what", "problem"),
    [("text_amount", "resource"), ("no_resource", "envelope"), ("no_id", "envelope"), ("no_json", "json")],
)
def test_whatever_is_signed_and_not_as_described_is_kept_with_its_problem(shop: Shop, what: str, problem: str) -> None:
    order, notice = paid_in_silence(shop)
    said = json.loads(sealed(shop, notice))
    if what == "text_amount":
        body = sealed(shop, notice, {**notice.resource, "amount": {"total": "990"}})
    elif what == "no_json":
        body = b"{"
    else:
        said.pop("resource" if what == "no_resource" else "id")
        body = json.dumps(said).encode()
    assert tell(shop, notice, body) == 400
    row = shop.sql(KEPT)[0]
    assert row[3:] == ("unread", problem, 1, True)
    assert [(one.kind, one.number.partition(":")[0]) for one in shop.sql(OPEN)] == [("notice_unread", problem)]
    assert shop.state(order) == "paying"
    shop.due()
    shop.sweep()
    assert shop.state(order) == "paid", "asked by its number, it is paid all the same"


@pytest.mark.parametrize("event", ["TRANSACTION.PONDERED", "REFUND.DOUBTED", "COUPON.USE"])
def test_an_event_that_we_dont_know_is_kept_whatever_its_name(shop: Shop, event: str) -> None:
    order, notice = paid_in_silence(shop)
    first = sealed(shop, notice, {"any": "thing"}, event_type=event, event_id="EV-1")
    second = sealed(shop, notice, {"any": "thing"}, event_type=event, event_id="EV-2")
    assert [tell(shop, notice, body) for body in (first, second, second)] == [200] * 3
    assert {row[1:5] for row in shop.sql(KEPT)} == {(event, None, "ignored", "event")}
    assert [(one.kind, one.number.partition(":")[0], one.times) for one in shop.sql(OPEN)] == [
        ("notice_event", event, 2)
    ], "told once a day, counted each time"
    assert shop.state(order) == "paying"


def test_a_flood_of_unreadable_ones_is_counted_without_filling_the_disk(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.payments.notices.MOST_BODIES", 2)
    _, notice = paid_in_silence(shop)
    for number in range(4):
        body = sealed(shop, notice, {"any": number}, secrets.token_hex(16), event_id=f"EV-{number}")
        assert tell(shop, notice, body) == 400
    assert [row.body for row in shop.sql(KEPT + " order by id")] == [True, True, False, False]
