"""Corners where two rules meet: what ends while something else is on its way. Each was seen red."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from app import mall, orders, redemptions, welfare
from app.db import run, session, transaction
from app.errors import NOT_FOUND
from app.mall.wants import OFFER_FOR
from app.merchants import running
from app.merchants.models import Merchant
from app.orders import personal
from app.orders.parcels import ADDRESS_KEPT, RECEIVED_AFTER
from commands import orders as commands
from jobs import mall as jobs
from tests import cash, shelf
from tests.given import AT
from tests.shelf import credits, owed, place, state, stock
from tests.world import World

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def test_a_parcel_whose_order_came_back_while_on_its_way_is_waited_for_no_longer(town: World, refused: Any) -> None:
    person = town.people[0]
    with transaction():
        order = place(person, shelf.item(town, "parcel"), address_id=shelf.address(person))
        orders.parcels.ship(order_id=order.id, carrier="SF", tracking_no="SF1", at=AT)
        orders.refund(order_id=order.id, reason="x", asked_by="operator:lin", at=AT)
    assert orders.parcels.arrived(AT + RECEIVED_AFTER) == []
    with refused("state_conflict"):
        orders.parcels.receive(order_id=order.id, by="x", at=AT, person_id=person)
    assert (state(order), owed(town)) == ("refunded", 0)


def test_a_lost_parcel_with_money_is_sent_again_after_wechat_was_told(town: World) -> None:
    person = town.people[0]
    with transaction():
        thing = shelf.item(town, "parcel", price_fen=500)
        order = place(person, thing, address_id=shelf.address(person))
        cash.pay(order)
        orders.parcels.ship(order_id=order.id, carrier="SF", tracking_no="SF1", at=AT)
        run("update shipments set state = 'sent', sent_at = %(at)s, next_try_at = null", {"at": AT})
        orders.parcels.lose(order_id=order.id, at=AT + DAY)
        orders.parcels.ship(order_id=order.id, carrier="ZTO", tracking_no="Z9", at=AT + 2 * DAY)
    assert [(row.state, row.carrier) for row in run("select state, carrier from parcels")] == [("shipped", "ZTO")]
    with transaction():
        orders.parcels.receive(order_id=order.id, by="x", at=AT + 3 * DAY)
    assert (state(order), owed(town)) == ("completed", 650)


def test_whoever_missed_a_time_and_books_again_keeps_the_count_of_both(town: World) -> None:
    person = town.people[0]
    with transaction():
        wash = shelf.item(town, "service", no_show="kept")
        early, late = shelf.slot(wash, hours=24), shelf.slot(wash, hours=72)
        order = place(person, wash, slot_id=early)
        assert orders.bookings.close(order.id, AT + 27 * HOUR) == "no_show"
        orders.bookings.rebook(order_id=order.id, person_id=person, slot_id=late, at=AT + 28 * HOUR)
    taken = {row.id: row.taken for row in run("select id, taken from service_slots")}
    assert taken == {early: 0, late: 1}


def test_a_piece_that_comes_back_gives_back_its_place(town: World) -> None:
    first, second = town.people[:2]
    with transaction():
        wash = shelf.item(town, "service")
        slot = shelf.slot(wash, capacity=2)
        order = place(first, wash, 2, slot_id=slot)
        one = redemptions.codes_of_order(order.id)[0]
        orders.refund(order_id=order.id, reason="x", asked_by="x", at=AT, code_ids=[one])
        place(second, wash, slot_id=slot)
    assert run("select taken from service_slots")[0].taken == 2


def test_nobody_waits_for_what_is_not_for_them(town: World, refused: Any) -> None:
    with transaction():
        thing = shelf.item(town, stock=0, least_level=2)
    with refused("not_for_you"):
        mall.wait(person_id=town.people[1], item_id=thing, at=AT)


def test_nothing_is_offered_before_a_sale_opens_or_after_it_ends(town: World) -> None:
    first, second = town.people[:2]
    with transaction():
        thing = shelf.item(town, stock=1, sale_until=AT + DAY)
        order = place(first, thing)
        mall.wait(person_id=second, item_id=thing, at=AT)
        orders.refund(order_id=order.id, reason="x", asked_by="x", at=AT)
        assert mall.to_offer(AT + DAY) == []
        assert mall.offer(item_id=thing, at=AT + DAY) == []
        assert mall.to_offer(AT) == [thing]
        assert mall.offer(item_id=thing, at=AT) == [second]
    assert OFFER_FOR == DAY


def test_a_pools_stock_is_its_codes_and_nothing_else(town: World, refused: Any) -> None:
    with transaction():
        pool = shelf.item(town, "code_pool")
        mall.import_codes(item_id=pool, at=AT, lines=["A", "B"])
    for pieces in (5, -1):
        with refused("stock_is_codes"):
            mall.restock(item_id=pool, pieces=pieces, asked_by="x")
    with refused("stock_is_codes"):
        mall.announce(item_id=pool, pieces=5, due_at=AT, asked_by="x", at=AT)


def test_what_was_paid_reaches_whoever_has_left(town: World) -> None:
    person = town.people[0]
    with transaction():
        thing = shelf.item(town, "parcel")
        waiting, received = (place(person, thing, address_id=shelf.address(person)) for _ in range(2))
        orders.parcels.ship(order_id=received.id, carrier="SF", tracking_no="SF1", at=AT)
        orders.parcels.receive(order_id=received.id, by="x", at=AT)
        personal.erase(person, AT)
    kept = {row.order_id: row.sealed for row in run("select order_id, address_sealed is not null sealed from parcels")}
    assert kept == {waiting.id: True, received.id: False}
    rows = orders.parcels.waiting(town.program_id, after=0, limit=9)
    assert [commands._parcel(row, True)["city"] for row in rows] == ["某市"]
    assert ADDRESS_KEPT > DAY


def test_an_invoice_that_nobody_can_write_any_more_is_asked_for_no_longer(town: World) -> None:
    person = town.people[0]
    with transaction():
        order = place(person, shelf.item(town, "service", price_fen=990))
        cash.pay(order)
        wanted = orders.invoices.Wanted("某公司", "", "a@example.com")
        orders.invoices.ask(order_id=order.id, person_id=person, wanted=wanted, at=AT)
        personal.erase(person, AT)
    assert orders.invoices.open_requests(town.program_id) == []


def test_an_invoice_is_for_what_is_left_when_it_is_issued(town: World) -> None:
    person = town.people[0]
    with transaction():
        order = place(person, shelf.item(town, "service", price_fen=990))
        cash.pay(order)
        wanted = orders.invoices.Wanted("某公司", "", "a@example.com")
        orders.invoices.ask(order_id=order.id, person_id=person, wanted=wanted, at=AT)
        part = orders.refund_part(order_id=order.id, fen=90, reason="x", asked_by="operator:lin", at=AT)
        orders.take_refund(cash.back(part), at=AT)
    assert [row.fen for row in orders.invoices.open_requests(town.program_id)] == [900]
    with transaction():
        orders.invoices.issue(order_id=order.id, number="1", at=AT)
    assert orders.invoices.of_order(order.id).fen == 900


def test_a_gift_of_the_same_name_pays_no_order(town: World, refused: Any) -> None:
    person = town.people[0]
    with transaction():
        tree = shelf.item(town, "donation", price_credits=50)
        welfare.give(
            person_id=person, program_id=town.program_id, project_id=town.project_id, credits=50,
            client_ref="order:tree", at=AT,
        )  # fmt: skip
    with refused("idempotency_conflict"):
        place(person, tree, ref="tree")
    assert (credits(town, person), stock(tree)) == (450, (10, 0, 0))


def test_nobody_buys_what_a_paused_merchant_could_not_redeem(town: World, refused: Any) -> None:
    person = town.people[0]
    with transaction():
        thing = shelf.item(town, name="洗车")
        held = place(person, shelf.item(town, "service", price_fen=500))
        orders.cart.put(person_id=person, item_id=thing, quantity=1, at=AT)
        running.pause(merchant=session().get_one(Merchant, town.merchant_id), reason="x", by="x", at=AT)
    with refused("not_on_sale"):
        place(person, thing)
    assert mall.shelf(town.program_id, after=0, limit=9, at=AT) == []
    assert mall.item(town.program_id, thing, at=AT).on_sale is False
    assert orders.cart.trouble(orders.cart.lines(person)[0], person, AT) == "not_on_sale"
    with transaction():
        cash.pay(held)
    assert state(held) == "paid", "what was begun can be paid"


def test_one_parcel_that_is_refused_stops_no_other(town: World, monkeypatch: Any) -> None:
    person = town.people[0]
    with transaction():
        thing = shelf.item(town, "parcel")
        first, second = (place(person, thing, address_id=shelf.address(person)) for _ in range(2))
        for order in (first, second):
            orders.parcels.ship(order_id=order.id, carrier="SF", tracking_no="SF1", at=AT - 400 * DAY)
    receive = orders.parcels.receive

    def stubborn(*, order_id: int, **more: Any) -> None:
        if order_id == first.id:
            raise NOT_FOUND()
        receive(order_id=order_id, **more)

    monkeypatch.setattr(orders.parcels, "receive", stubborn)
    jobs.sweep()
    assert (state(first), state(second)) == ("paid", "completed")


def test_what_comes_back_is_for_whoever_waits_and_not_for_the_quickest(town: World, refused: Any) -> None:
    first, second = town.people[:2]
    with transaction():
        thing = shelf.item(town, stock=1)
        order = place(first, thing)
        mall.wait(person_id=second, item_id=thing, at=AT)
        orders.refund(order_id=order.id, reason="x", asked_by="x", at=AT)
    with refused("sold_out"):
        place(first, thing)
    with transaction():
        mall.offer(item_id=thing, at=AT)
        place(second, thing)
        mall.restock(item_id=thing, pieces=1, asked_by="x")
        place(first, thing)
    assert stock(thing) == (0, 0, 2)


def test_whoever_has_had_all_that_one_may_take_keeps_no_piece_from_others(town: World, refused: Any) -> None:
    first, second = town.people[:2]
    with transaction():
        thing = shelf.item(town, stock=1, per_person=1)
        place(first, thing)
    with refused("person_limit"):
        mall.wait(person_id=first, item_id=thing, at=AT)
    with transaction():
        assert mall.wait(person_id=second, item_id=thing, at=AT).turn == 1


def test_a_cart_of_the_same_name_and_other_things_is_another_cart(town: World, refused: Any) -> None:
    person = town.people[0]
    with transaction():
        first, second = shelf.item(town), shelf.item(town)
        wishes = [orders.Wish(first, 1, 100), orders.Wish(second, 1, 100)]
        orders.check_out(person_id=person, client_ref="c_1", wishes=wishes[:1], at=AT)
    with refused("idempotency_conflict"):
        orders.check_out(person_id=person, client_ref="c_1", wishes=wishes, at=AT)
    with transaction():
        orders.check_out(person_id=person, client_ref="cx1", wishes=wishes[1:], at=AT)
    assert credits(town, person) == 300


def test_money_is_not_taken_for_longer_than_it_can_go_back(town: World, refused: Any) -> None:
    with refused("cash_too_long"):
        shelf.item(town, "service", price_fen=100, valid_days=300, extend_days=31)
    with transaction():
        shelf.item(town, "service", price_fen=100, valid_days=300, extend_days=30)
