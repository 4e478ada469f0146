"""What comes back, some or all: credits, money, stock, the place under the limit and the codes together."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app import orders, redemptions
from app.db import run, session, transaction
from app.orders.models import ItemPurchase
from app.payments.models import Refund
from tests import cash, shelf, world
from tests.given import AT
from tests.shelf import credits, owed, place, state, stock
from tests.world import World

MINUTE = timedelta(minutes=1)


def codes(order: orders.Order) -> list[int]:
    return redemptions.codes_of_order(order.id)


def use(town: World, order: orders.Order, number: int = 0) -> None:
    clerk = town.people[2]
    world.clerk(town, clerk)
    _, typed = redemptions.show(code_id=codes(order)[number], person_id=order.person_id)
    redemptions.redeem(typed=typed, shop_id=town.shop_id, staff_person_id=clerk, scan_id=f"s-{number}", at=AT)


def back(order: orders.Order, **changes: Any) -> Refund | None:
    given = {"reason": "不需要了", "asked_by": f"person:{order.person_id}", "at": AT, **changes}
    return orders.refund(order_id=order.id, person_id=order.person_id, **given)


def test_one_of_three_comes_back_then_the_others(town: World, refused: Any) -> None:
    person = town.people[0]
    with transaction():
        thing = shelf.item(town, per_person=3)
        order = place(person, thing, 3)
        back(order, code_ids=[codes(order)[1]])
    assert (state(order), stock(thing), credits(town, person)) == ("paid", (8, 0, 2), 300)
    assert session().get_one(ItemPurchase, (thing, person, "")).pieces == 2
    with refused("not_found"):
        back(order, code_ids=[codes(order)[1]])
    with transaction():
        again = place(person, thing)
        back(order)
    assert (state(order), stock(thing), credits(town, person)) == ("refunded", (9, 0, 1), 400)
    assert state(again) == "paid"
    with refused("state_conflict"):
        back(order)


def test_what_was_used_stays_used_and_the_rest_can_come_back(town: World, refused: Any) -> None:
    person = town.people[0]
    with transaction():
        order = place(person, shelf.item(town), 2)
        use(town, order)
    with refused("order_redeemed"):
        back(order)
    with transaction():
        back(order, code_ids=[codes(order)[1]])
    assert (state(order), credits(town, person), owed(town)) == ("fulfilled", 400, 150)


def test_a_card_used_in_part_does_not_come_back(town: World, refused: Any) -> None:
    with transaction():
        order = place(town.people[0], shelf.item(town, uses=5))
        use(town, order)
    with refused("order_redeemed"):
        back(order)


def test_money_comes_back_by_the_piece(town: World, refused: Any) -> None:
    person = town.people[0]
    with transaction():
        thing = shelf.item(town, "service", price_fen=333)
        order = place(person, thing, 3)
        cash.pay(order)
        first = back(order, code_ids=[codes(order)[0]])
    assert first is not None
    assert (first.fen, state(order), stock(thing)) == (333, "paid", (8, 0, 2))
    with refused("refund_underway"):
        back(order)
    with transaction():
        orders.take_refund(cash.back(first), at=AT)
        rest = back(order, at=AT + 2 * MINUTE)
    assert rest is not None
    assert (rest.fen, state(order)) == (666, "refunding")
    with transaction():
        orders.take_refund(cash.back(rest), at=AT + 3 * MINUTE)
    assert (state(order), credits(town, person), stock(thing)) == ("refunded", 500, (10, 0, 0))


def test_goodwill_and_a_return_never_give_back_more_than_was_paid(town: World, refused: Any) -> None:
    with transaction():
        order = place(town.people[0], shelf.item(town, "service", price_fen=500))
        cash.pay(order)
        kind = orders.refund_part(order_id=order.id, fen=100, reason="x", asked_by="operator:lin", at=AT)
        assert kind is not None
        orders.take_refund(cash.back(kind), at=AT)
        whole = back(order, at=AT + 2 * MINUTE)
    assert whole is not None
    assert whole.fen == 400
    with refused("refund_too_much"):
        orders.refund_part(order_id=order.id, fen=1, reason="x", asked_by="operator:lin", at=AT + 4 * MINUTE)


def test_money_that_the_merchant_is_owed_does_not_go_back(town: World, refused: Any) -> None:
    with transaction():
        order = place(town.people[0], shelf.item(town, "service", price_fen=500))
        cash.pay(order)
        use(town, order)
    assert owed(town) == 650
    with refused("refund_too_much"):
        orders.refund_part(order_id=order.id, fen=1, reason="x", asked_by="operator:lin", at=AT)


@pytest.mark.parametrize("how", ["final", "left"])
def test_what_a_person_cannot_return_an_operator_can(town: World, refused: Any, how: str) -> None:
    person = town.people[0]
    with transaction():
        thing = shelf.item(town, "parcel", refundable=how != "final")
        order = place(person, thing, address_id=shelf.address(person))
        if how == "left":
            orders.parcels.ship(order_id=order.id, carrier="SF", tracking_no="1", at=AT)
    with refused("not_refundable"):
        back(order)
    with refused("not_found"):
        orders.refund(order_id=order.id, reason="x", asked_by="x", at=AT, person_id=town.people[1])
    with transaction():
        orders.refund(order_id=order.id, reason="x", asked_by="operator:lin", at=AT)
    assert (state(order), credits(town, person), stock(thing)) == ("refunded", 500, (10, 0, 0))


def test_a_returned_booking_frees_its_time(town: World) -> None:
    with transaction():
        wash = shelf.item(town, "service")
        slot = shelf.slot(wash, capacity=1)
        order = place(town.people[0], wash, slot_id=slot)
        back(order)
        place(town.people[1], wash, slot_id=slot)
    assert run("select taken from service_slots")[0].taken == 1


def test_credits_of_a_lot_that_ended_meanwhile_live_on_for_a_while(town: World) -> None:
    person = town.people[0]
    with transaction():
        order = place(person, shelf.item(town, valid_days=730))
        end = run("select max(expires_at) as at from lots")[0].at
        back(order, at=end + MINUTE)
    left = run("select sum(remaining) as n from lots where expires_at > %(at)s", {"at": end + MINUTE})[0].n
    assert left == 100


def test_invoices_are_for_money_and_for_what_was_not_given_back(town: World, refused: Any) -> None:
    person = town.people[0]
    wanted = orders.invoices.Wanted("某公司", "91510100MA6C000000", "a@example.com")
    ask = {"person_id": person, "wanted": wanted, "at": AT}
    with transaction():
        free = place(person, shelf.item(town))
        order = place(person, shelf.item(town, "service", price_fen=990))
    for one in (free, order):
        with refused("nothing_to_invoice"):
            orders.invoices.ask(order_id=one.id, **ask)
    with transaction():
        cash.pay(order)
        orders.invoices.ask(order_id=order.id, **ask)
        again = orders.invoices.ask(order_id=order.id, **ask)
    assert (again.fen, again.state) == (990, "asked")
    assert b"91510100MA6C000000" not in bytes(again.sealed or b"")
    assert orders.invoices.opened(again.sealed or b"") == wanted
    with transaction():
        orders.invoices.issue(order_id=order.id, number="24510000", at=AT)
    with refused("state_conflict"):
        orders.invoices.ask(order_id=order.id, **ask)
    with refused("not_found"):
        orders.invoices.ask(order_id=order.id, **{**ask, "person_id": town.people[1]})


def test_money_for_what_was_never_used_goes_back_when_the_codes_end(town: World, refused: Any) -> None:
    person = town.people[0]
    with transaction():
        thing = shelf.item(town, "service", price_fen=501, uses=2, on_expiry="forfeit")
        order = place(person, thing, 2)
        cash.pay(order)
        use(town, order)
    until = run("select max(valid_until) as at from codes")[0].at
    with transaction():
        for row in redemptions.due(at=until + timedelta(days=1)):
            redemptions.expire(
                code_id=row.id, person_id=row.person_id, program_id=row.program_id, at=until + timedelta(days=1)
            )
    assert (state(order), credits(town, person)) == ("fulfilled", 300), "the credits are gone by the item's rule"
    at = until + timedelta(days=1)
    with transaction():
        refund = orders.refund_expired(order_id=order.id, at=at)
        assert refund is not None
        assert refund.fen == 251 + 501, "one use of two, and two of two"
        assert orders.refund_expired(order_id=order.id, at=at) is None
    with transaction():
        orders.take_refund(cash.back(refund), at=at)
    assert owed(town) == 75 + 250
    assert state(order) == "fulfilled"
