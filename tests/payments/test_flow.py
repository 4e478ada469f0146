"""Paying through the local WeChat, over HTTP, with signatures in both directions and its faults on."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
import requests

from tests.payments.conftest import Shop
from wechat.sandbox.faults import Fault
from wechat.sandbox.pay.desk import DeskRefusal
from wechat.sandbox.pay.forging import ACCEPTABLE, FORGERIES, WRONG_CONTENT, WRONG_SIGNATURE
from wechat.sandbox.pay.notices import NoticeFault

pytestmark = pytest.mark.race


def test_an_order_is_paid_and_its_code_is_there(shop: Shop) -> None:
    order = shop.order()
    assert shop.state(order) == "placed"
    number = shop.call_up(order)
    assert shop.payment(order)["state"] == "waiting"
    shop.box.pay(number)
    shop.settle()
    seen = shop.payment(order)
    assert (seen["order_state"], seen["state"], seen["total_fen"]) == ("paid", "paid", 990)
    assert len(shop.call("GET", f"/orders/{order}")["codes"]) == 1
    assert shop.box.journal.violations == []
    assert shop.broken_proofs() == {}


def test_a_second_tap_is_the_same_payment(shop: Shop) -> None:
    order = shop.order()
    with ThreadPoolExecutor(6) as pool:
        numbers = list(pool.map(lambda _: shop.call_up(order), range(6)))
    assert len(set(numbers)) == 1
    assert shop.sql("select count(*) as n from payments")[0].n == 1
    shop.box.pay(numbers[0])
    shop.settle()
    refused = shop.call("POST", f"/orders/{order}/payment", status=409)
    assert refused["error"]["code"] == "nothing_to_pay"


def test_the_clients_success_proves_nothing(shop: Shop) -> None:
    order = shop.order()
    number = shop.call_up(order)
    assert shop.box.decide(number, "trap") == "requestPayment:ok"
    assert shop.payment(order)["order_state"] == "paying"
    for attempt in ("wrong_password", "insufficient"):
        with pytest.raises(DeskRefusal):
            shop.box.decide(number, attempt)
    assert shop.payment(order)["order_state"] == "paying"


def test_a_lost_notice_is_found_by_asking(shop: Shop) -> None:
    """Q12: no notice ever comes; the client's look, or the sweep, asks WeChat."""
    shop.box.notices.plant(NoticeFault("silence", times=10**6))
    first, second = shop.order("a"), shop.order("b")
    for order in (first, second):
        shop.box.pay(shop.call_up(order))
    shop.settle()
    assert shop.payment(first)["order_state"] == "paid"
    assert shop.state(second) == "paying"
    shop.due()
    assert shop.sweep() >= 1
    assert shop.state(second) == "paid"
    assert shop.broken_proofs() == {}


@pytest.mark.parametrize("kind", FORGERIES)
def test_no_forgery_is_accepted_and_the_genuine_one_still_is(shop: Shop, kind: str) -> None:
    shop.box.notices.plant(NoticeFault(kind))
    order = shop.order()
    number = shop.call_up(order)
    shop.box.pay(number)
    shop.settle()
    assert shop.state(order) == "paid"
    assert shop.box.journal.violations == [], "a forgery was answered with success"
    attempts = shop.box.notices.sent[0].attempts
    assert [one.kind for one in attempts] == [kind, "genuine"]
    assert (200 <= attempts[0].status < 300) is (kind in ACCEPTABLE)
    differences = [row.kind for row in shop.sql("select kind from payment_differences")]
    alarmed = (*WRONG_CONTENT, "unknown_event", "wrong_apiv3_key")
    assert len(differences) == (1 if kind in alarmed else 0), "what was signed and differs is kept and alarmed"
    if kind in WRONG_SIGNATURE and kind not in ACCEPTABLE:
        assert shop.sql("select count(*) as n from payment_notices")[0].n == 1, "a forgery leaves nothing"
    assert shop.broken_proofs() == {}


@pytest.mark.parametrize("copies", ["duplicate", "parallel", "lost_answer", "new_id"])
def test_a_notice_that_comes_often_settles_once(shop: Shop, copies: str) -> None:
    shop.box.notices.plant(NoticeFault(copies, count=12, times=3))
    order = shop.order()
    shop.box.pay(shop.call_up(order))
    shop.settle()
    shop.box.clock.advance(120)
    shop.settle()
    assert shop.state(order) == "paid"
    assert [row.n for row in shop.sql("select count(*) as n from payment_steps where to_state = 'paid'")] == [1]
    assert {one.status for one in shop.box.notices.sent[0].attempts} == {200}
    assert shop.broken_proofs() == {}


def test_cancelling_closes_it_there_first(shop: Shop) -> None:
    order = shop.order()
    number = shop.call_up(order)
    assert shop.call("POST", f"/orders/{order}/cancel")["order_state"] == "cancelled"
    assert shop.box.order(number).state == "CLOSED"
    assert shop.call("POST", f"/orders/{order}/cancel")["order_state"] == "cancelled", "again changes nothing"
    with pytest.raises(DeskRefusal):
        shop.box.pay(number)
    unpaid = shop.order("never-called-up")
    assert shop.call("POST", f"/orders/{unpaid}/cancel")["order_state"] == "cancelled"
    assert shop.broken_proofs() == {}


def test_cancelling_what_is_paid_finds_it_paid(shop: Shop) -> None:
    shop.box.notices.plant(NoticeFault("silence", times=10))
    order = shop.order()
    shop.box.pay(shop.call_up(order))
    assert shop.call("POST", f"/orders/{order}/cancel")["order_state"] == "paid"
    refused = shop.call("POST", f"/orders/{order}/cancel", status=409)
    assert refused["error"]["code"] == "state_conflict"


def test_out_of_time_it_is_closed_and_late_money_goes_back(shop: Shop) -> None:
    order, other = shop.order("a"), shop.order("b")
    number = shop.call_up(order)
    shop.out_of_time()
    shop.sweep()
    assert (shop.state(order), shop.state(other)) == ("timed_out", "timed_out")
    shop.box.pay(number, anyway=True)
    shop.settle()
    assert shop.stored(order).state == "late"
    shop.sweep()
    shop.box.clock.advance(6)
    shop.settle()
    (refund,) = shop.payment(order)["refunds"]
    assert (refund["fen"], refund["state"]) == (990, "success")
    assert shop.state(order) == "timed_out"
    assert shop.broken_proofs() == {}


def test_while_wechat_cant_be_reached_nothing_is_let_go(shop: Shop) -> None:
    order = shop.order()
    number = shop.call_up(order)
    for host in ("pay", "backup"):
        shop.box.break_host(host)
    assert shop.call("POST", f"/orders/{order}/cancel")["state"] == "closing"
    assert shop.sql("select reserved from items where price_fen > 0")[0].reserved == 1
    assert shop.call("POST", f"/orders/{order}/payment", status=409)["error"]["code"] == "payment_closing"
    for host in ("pay", "backup"):
        shop.box.mend_host(host)
    shop.box.pay(number)
    shop.settle()
    assert shop.state(order) == "paid", "the money was faster"
    assert shop.broken_proofs() == {}


def test_the_backup_host_serves_when_the_main_one_is_dead(shop: Shop) -> None:
    shop.box.break_host("pay")
    order = shop.order()
    shop.box.pay(shop.call_up(order))
    shop.settle()
    assert shop.state(order) == "paid"


def test_a_clock_that_is_off_stops_paying_and_loses_nothing(shop: Shop) -> None:
    """WeChat's time is five minutes away: it refuses our calls, and we its notices, until somebody mends it."""
    order, other = shop.order("a"), shop.order("b")
    number = shop.call_up(order)
    shop.box.clock.wall_skew = 301
    assert shop.call("POST", f"/orders/{other}/payment", status=503)["error"]["code"] == "busy"
    shop.box.pay(number)
    shop.settle()
    assert shop.payment(order)["order_state"] == "paying", "neither notice nor query is believed"
    assert {one.status for one in shop.box.notices.sent[0].attempts} == {401}
    assert shop.sql("select 1 from payment_notices") == []
    shop.box.clock.wall_skew = 0
    shop.box.clock.advance(15)
    shop.settle()
    assert shop.state(order) == "paid", "the repeat is believed"
    shop.box.pay(shop.call_up(other))
    shop.settle()
    assert shop.state(other) == "paid"
    assert shop.broken_proofs() == {}


def test_a_wechat_that_hangs_does_not_hold_the_sweep(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        shop.call_up(shop.order(str(number)))
    monkeypatch.setattr("till.sweeping.SWEEP_SECONDS", 1.0)
    shop.box.state.faults.append(Fault("/v3/*", "delay", 100, seconds=0.6))
    shop.due()
    began = time.monotonic()
    assert 1 <= shop.sweep() < 6, "what is left is due next time"
    assert time.monotonic() - began < 3
    shop.box.state.faults.clear()
    assert shop.sweep() >= 3
    assert shop.sql("select 1 from payments where looks = 0") == []


def test_a_person_waits_five_seconds_at_most_and_a_job_as_long_as_it_takes(shop: Shop) -> None:
    """Both hosts hang: paying, looking and cancelling answer in time, together with all their repeats."""
    order = shop.order()
    number = shop.call_up(order)
    shop.change("update payments set prepay_at = now() - interval '2 hours', looked_at = null")
    shop.box.state.faults.append(Fault("/v3/*", "delay", 100, seconds=6))
    took = []
    for method, path, status in (("POST", "payment", 503), ("GET", "payment", 200), ("POST", "cancel", 200)):
        began = time.monotonic()
        shop.call(method, f"/orders/{order}/{path}", status=status)
        took.append(time.monotonic() - began)
    assert max(took) < 5.5, took
    shop.box.state.faults.clear()
    shop.box.state.faults.append(Fault("/v3/*", "delay", 1, seconds=5))
    shop.due()
    shop.sweep()
    assert shop.box.order(number).state == "CLOSED", "five seconds are not too long for the worker"


@pytest.mark.parametrize(
    "kind", ["lost_answer", "system_error", "system_error_after", "wrong_signature", "unknown_serial", "html"]
)
def test_an_unknown_prepay_is_asked_by_number_and_repeated_the_same(shop: Shop, kind: str) -> None:
    shop.box.state.faults.append(Fault("/v3/pay/transactions/jsapi", kind, 2 if kind == "lost_answer" else 1))
    order = shop.order()
    number = shop.call_up(order)
    assert shop.sql("select count(*) as n from payments")[0].n == 1, "never a new number"
    shop.box.pay(number)
    shop.settle()
    assert shop.state(order) == "paid"


def test_an_old_prepay_id_is_made_anew_from_the_stored_request(shop: Shop) -> None:
    order = shop.order()
    first = shop.call("POST", f"/orders/{order}/payment")["package"]
    assert shop.call("POST", f"/orders/{order}/payment")["package"] == first
    shop.change("update payments set prepay_at = prepay_at - interval '111 minutes'")
    again = shop.call("POST", f"/orders/{order}/payment")
    assert again["package"] != first
    assert shop.box.call_up(again, shop.openid()).order == shop.stored(order).out_trade_no


def refunded(shop: Shop, order: str, reason: str = "商品缺货") -> None:
    from app import orders
    from app.clock import now
    from app.db import transaction

    with shop.app.app_context(), transaction():
        orders.refund(order_id=int(order), reason=reason, asked_by="operator:lin", at=now())


def paid_order(shop: Shop, reference: str = "one", **changes: Any) -> str:
    order = shop.order(reference, **changes)
    shop.box.pay(shop.call_up(order))
    shop.settle()
    assert shop.state(order) == "paid"
    return order


def test_a_refund_by_notice(shop: Shop) -> None:
    order = paid_order(shop)
    refunded(shop, order)
    shop.sweep()
    assert (shop.state(order), shop.payment(order)["refunds"][0]["state"]) == ("refunding", "processing")
    shop.box.clock.advance(6)
    shop.settle()
    assert (shop.state(order), shop.payment(order)["refunds"][0]["state"]) == ("refunded", "success")
    assert shop.broken_proofs() == {}


def test_a_refund_whose_answer_and_notice_are_lost_is_one_refund(shop: Shop) -> None:
    order = paid_order(shop)
    shop.box.notices.plant(NoticeFault("silence", times=100))
    shop.box.state.faults.append(Fault("/v3/refund/domestic/refunds", "lost_answer", 2))
    refunded(shop, order)
    shop.sweep()
    assert shop.payment(order)["refunds"][0]["state"] == "asked"
    for _ in range(3):
        shop.due()
        shop.sweep()
        shop.box.clock.advance(6)
    assert shop.state(order) == "refunded"
    assert len(shop.box.book.refunds) == 1, "the same number each time"
    assert shop.broken_proofs() == {}


@pytest.mark.parametrize("end", ["ABNORMAL", "CLOSED"])
def test_a_refund_that_ends_badly_waits_for_a_person(shop: Shop, end: str) -> None:
    shop.box.switches.refund_end = end
    order = paid_order(shop)
    refunded(shop, order)
    shop.sweep()
    shop.box.clock.advance(6)
    shop.settle()
    assert shop.state(order) == "refunding"
    (kind,) = [row.kind for row in shop.sql("select kind from payment_differences where state = 'open'")]
    assert kind == f"refund_{end.lower()}"
    assert shop.broken_proofs() == {}


def test_an_empty_merchant_account_is_an_alarm_and_tried_again(shop: Shop) -> None:
    order = paid_order(shop)
    shop.box.book.balance_fen = 0
    refunded(shop, order)
    shop.sweep()
    assert shop.sql("select problem from refunds")[0].problem == "not_enough"
    assert [row.kind for row in shop.sql("select kind from payment_differences")] == ["refund_not_enough"]
    shop.box.book.balance_fen = 10**6
    for _ in range(2):
        shop.due()
        shop.sweep()
        shop.box.clock.advance(6)
        shop.settle()
    assert shop.state(order) == "refunded"


def test_refund_notice_before_payment_notice(shop: Shop) -> None:
    """The payment's notice is held back until the refund's has come; a query had found the payment."""
    shop.box.notices.plant(NoticeFault("reorder"))
    order = shop.order()
    shop.box.pay(shop.call_up(order))
    assert shop.payment(order)["order_state"] == "paid"
    refunded(shop, order)
    shop.sweep()
    shop.box.clock.advance(6)
    shop.settle()
    assert shop.state(order) == "refunded"
    assert [one.state for one in shop.box.notices.sent] == ["delivered", "delivered"]
    assert shop.broken_proofs() == {}


def test_payment_cancel_and_timeout_at_once_have_one_end(shop: Shop) -> None:
    """Whatever the threads do: each order is paid, or ended with its money back; never both, never neither."""
    numbers = {shop.order(f"race-{n}"): "" for n in range(8)}
    for order in numbers:
        numbers[order] = shop.call_up(order)

    def pay(order: str) -> None:
        with suppress(DeskRefusal):
            shop.box.pay(numbers[order], anyway=True)

    def cancel(order: str) -> None:
        requests.post(
            f"{shop.base}/api/v1/orders/{order}/cancel",
            headers={"Authorization": f"Bearer {shop.tokens[shop.world.people[0]]}"}, timeout=20,
        )  # fmt: skip

    acts: list[Any] = [(act, order) for order in numbers for act in (pay, cancel)]
    threads = [threading.Thread(target=act, args=(order,)) for act, order in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shop.settle()
    for _ in range(3):
        shop.due()
        shop.sweep()
        shop.box.clock.advance(6)
        shop.settle()
    for order in numbers:
        kept = shop.stored(order)
        back = [one["state"] for one in shop.payment(order)["refunds"]]
        assert (shop.state(order), kept.state, back) in (
            ("paid", "paid", []), ("cancelled", "late", ["success"]), ("cancelled", "closed", []),
        )  # fmt: skip
    assert shop.broken_proofs() == {}


def test_ten_megabytes_are_not_read(shop: Shop) -> None:
    try:
        answer = requests.post(f"{shop.base}/wechat/pay/notices", data=b"x" * 10_000_000, timeout=10)
    except requests.ConnectionError:
        return  # the server hung up while we were still sending: as good as 413
    assert (answer.status_code, answer.json()["code"]) == (413, "FAIL")


def test_without_a_merchant_cash_is_refused_plainly(shop: Shop) -> None:
    shop.app.extensions["till"] = None
    try:
        body = {"item_id": str(shop.item_id), "quantity": 1, "client_ref": "x", "price_credits": 100, "price_fen": 990}
        assert shop.call("POST", "/orders", 0, body, 409)["error"]["code"] == "cash_closed"
        tea = {"item_id": str(shop.world.item_id), "quantity": 1, "client_ref": "y", "price_credits": 100}
        assert shop.call("POST", "/orders", 0, tea, 201)["state"] == "paid"
        assert requests.post(f"{shop.base}/wechat/pay/notices", data=b"{}", timeout=5).status_code == 401
    finally:
        shop.app.extensions["till"] = shop.desk
