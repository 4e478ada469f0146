"""Each kind of item, from the shelf to its end: who gets what, when the merchant is owed, what is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from app import mall, orders, redemptions
from app.db import run, transaction
from app.mall import pools
from app.orders.bookings import LATE
from app.orders.parcels import ADDRESS_KEPT, RECEIVED_AFTER
from jobs import mall as jobs
from tests import shelf, world
from tests.given import AT
from tests.shelf import credits, owed, place, state, stock
from tests.world import World

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def test_a_parcel_is_owed_when_it_has_arrived_and_not_before(town: World, refused: Any) -> None:
    person = town.people[0]
    with transaction():
        thing = shelf.item(town, "parcel")
        there = shelf.address(person)
        order = place(person, thing, 2, address_id=there)
    assert (state(order), stock(thing), credits(town, person)) == ("paid", (8, 0, 2), 300)
    with refused("state_conflict"):
        orders.parcels.receive(order_id=order.id, by="x", at=AT, person_id=person)
    with transaction():
        orders.parcels.ship(order_id=order.id, carrier="SF", tracking_no="SF1", at=AT)
        orders.parcels.ship(order_id=order.id, carrier="SF", tracking_no="SF2", at=AT)
    assert owed(town) == 0, "on its way is not there"
    with refused("not_found"):
        orders.parcels.receive(order_id=order.id, by="x", at=AT, person_id=town.people[1])
    with transaction():
        for _ in range(2):
            orders.parcels.receive(order_id=order.id, by=f"person:{person}", at=AT, person_id=person)
    assert (state(order), owed(town)) == ("completed", 300)
    told = [row.kind for row in run("select kind from notices where person_id = %(p)s", {"p": person})]
    assert told.count("order.shipped") == 2, "a mended number is told too"


def test_a_parcel_counts_as_received_after_ten_days_and_its_address_is_forgotten(town: World) -> None:
    person = town.people[0]
    with transaction():
        order = place(person, shelf.item(town, "parcel"), address_id=shelf.address(person))
        orders.parcels.ship(order_id=order.id, carrier="SF", tracking_no="SF1", at=AT)
    assert orders.parcels.arrived(AT + RECEIVED_AFTER - HOUR) == []
    assert orders.parcels.arrived(AT + RECEIVED_AFTER) == [order.id]
    with transaction():
        orders.parcels.receive(order_id=order.id, by="system:time", at=AT + RECEIVED_AFTER)
        orders.parcels.forget(AT + RECEIVED_AFTER + ADDRESS_KEPT - HOUR)
    assert run("select address_sealed from parcels")[0].address_sealed is not None
    with transaction():
        orders.parcels.forget(AT + RECEIVED_AFTER + ADDRESS_KEPT)
    assert run("select address_sealed from parcels")[0].address_sealed is None


def test_where_a_parcel_goes(town: World, refused: Any) -> None:
    person = town.people[0]
    with transaction():
        local = shelf.item(town, "parcel", provinces=["51", "50"])
        here, far = shelf.address(person), shelf.address(person, province="海南省")
        foreign = shelf.address(town.people[1])
        voucher = shelf.item(town)
    with refused("address_needed"):
        place(person, local)
    with refused("address_not_served") as told:
        place(person, local, address_id=far)
    assert told.value.details["provinces"] == ["重庆市", "四川省"] or set(told.value.details["provinces"]) == {
        "重庆市",
        "四川省",
    }
    with refused("not_found"):
        place(person, local, address_id=foreign)
    with refused("no_address_here"):
        place(person, voucher, address_id=here)
    with transaction():
        order = place(person, local, address_id=here)
        moved = shelf.address(person, province="重庆市")
        orders.parcels.readdress(order_id=order.id, person_id=person, address_id=moved, served=["51", "50"])
    assert run("select province from parcels")[0].province == "50"
    with refused("address_not_served"):
        orders.parcels.readdress(order_id=order.id, person_id=person, address_id=far, served=["51", "50"])
    with transaction():
        orders.parcels.ship(order_id=order.id, carrier="SF", tracking_no="SF1", at=AT)
    with refused("shipped_already"):
        orders.parcels.readdress(order_id=order.id, person_id=person, address_id=here, served=None)
    assert stock(local) == (9, 0, 1)


def test_a_lost_parcel_is_sent_again_or_comes_back(town: World) -> None:
    person = town.people[0]
    with transaction():
        thing = shelf.item(town, "parcel")
        first, second = (place(person, thing, address_id=shelf.address(person)) for _ in range(2))
        for order in (first, second):
            orders.parcels.ship(order_id=order.id, carrier="SF", tracking_no="SF1", at=AT)
            orders.parcels.lose(order_id=order.id, at=AT)
        orders.parcels.ship(order_id=first.id, carrier="ZTO", tracking_no="Z9", at=AT + DAY)
        orders.refund(order_id=second.id, reason="运输丢失", asked_by="operator:lin", at=AT + DAY)
    assert (state(first), state(second), stock(thing), credits(town, person)) == ("paid", "refunded", (9, 0, 1), 400)
    states = {row.order_id: row.state for row in run("select order_id, state from parcels")}
    assert states == {first.id: "shipped", second.id: "cancelled"}


def test_pool_codes_are_imported_once_handed_out_once_and_shown_to_their_owner(town: World, refused: Any) -> None:
    first, second = town.people[:2]
    with transaction():
        pool = shelf.item(town, "code_pool")
        found = mall.import_codes(
            item_id=pool, at=AT, lines=["券码\n", "AAA-1\n", '"AAA-2",x\n', "\n", "AAA-1\n", "=cmd()\n", "x" * 300]
        )
        again = mall.import_codes(item_id=pool, at=AT, lines=["AAA-2", "AAA-3"])
    assert (found.taken, found.known, [reason for _, reason in found.refused]) == (
        2, 1, ["a formula, or wrongly encoded", "too long"],
    )  # fmt: skip
    assert (again.taken, again.known, stock(pool)) == (1, 1, (3, 0, 0))
    with transaction():
        one, two = place(first, pool, 2), place(second, pool)
    assert (state(one), state(two), stock(pool), owed(town)) == ("fulfilled", "fulfilled", (0, 0, 3), 450)
    assert (pools.shown(one.id), pools.shown(two.id)) == (["AAA-1", "AAA-2"], ["AAA-3"])
    assert not run("select 1 from pool_codes where position('AAA' in encode(code_sealed, 'escape')) > 0")
    with refused("sold_out"):
        place(first, pool)
    with refused("order_redeemed"):
        orders.refund(order_id=one.id, reason="x", asked_by="operator:lin", at=AT)
    with transaction():
        other = shelf.item(town)
    with refused("no_pool"):
        mall.import_codes(item_id=other, at=AT, lines=["A"])


def test_a_donation_from_the_shelf_is_a_gift(town: World, refused: Any) -> None:
    person = town.people[0]
    with transaction():
        tree = shelf.item(town, "donation", price_credits=50, per_person=3)
        order = place(person, tree, 2, ref="tree")
        again = place(person, tree, 2, ref="tree")
    assert again.id == order.id
    assert (state(order), stock(tree), credits(town, person)) == ("completed", (8, 0, 2), 400)
    gift = run("select credits, fen, transfer_id from gifts")
    assert [(row.credits, row.fen, row.transfer_id) for row in gift] == [(100, 200, order.transfer_id)]
    with refused("person_limit"):
        place(person, tree, 2)
    with refused("state_conflict"):
        orders.refund(order_id=order.id, reason="x", asked_by="operator:lin", at=AT)


def test_a_time_is_booked_moved_given_back_and_never_overbooked(town: World, refused: Any) -> None:
    first, second = town.people[:2]
    with transaction():
        wash = shelf.item(town, "service")
        early, late, soon = shelf.slot(wash, hours=24), shelf.slot(wash, hours=48), shelf.slot(wash, hours=1)
        order = place(first, wash, 2, slot_id=early)
    with refused("slot_full"):
        place(second, wash, slot_id=early)
    with refused("slot_needed"):
        place(second, wash)
    with refused("no_slots_here"):
        place(second, town.item_id, slot_id=early)
    move = {"order_id": order.id, "person_id": first, "at": AT}
    with refused("not_found"):
        orders.bookings.rebook(**{**move, "person_id": second}, slot_id=late)
    with transaction():
        for _ in range(2):
            orders.bookings.rebook(**move, slot_id=late)
        for _ in range(2):
            orders.bookings.cancel(**move)
        orders.bookings.rebook(**move, slot_id=soon)
    with refused("booking_closed"):
        orders.bookings.rebook(**move, slot_id=late)
    taken = {row.id: row.taken for row in run("select id, taken from service_slots")}
    assert taken == {early: 0, late: 0, soon: 2}


def test_who_does_not_come_keeps_the_code_or_loses_it_as_told(town: World) -> None:
    first, second = town.people[:2]
    with transaction():
        world.clerk(town, town.people[2])
        kept, spent = (shelf.item(town, "service", no_show=rule) for rule in ("kept", "spent"))
        times = {thing: shelf.slot(thing) for thing in (kept, spent)}
        missed, lost, came = (place(first, thing, slot_id=times[thing]) for thing in (kept, spent, spent))
        _, typed = redemptions.show(code_id=redemptions.codes_of_order(came.id)[0], person_id=first)
        at = AT + 24 * HOUR
        redemptions.redeem(typed=typed, shop_id=town.shop_id, staff_person_id=town.people[2], scan_id="1", at=at)
    assert orders.bookings.over(AT + 25 * HOUR + LATE - HOUR / 60) == []
    due = orders.bookings.over(AT + 25 * HOUR + LATE)
    assert set(due) == {missed.id, lost.id, came.id}
    with transaction():
        ended = {number: orders.bookings.close(number, AT + 27 * HOUR) for number in due}
    assert ended == {missed.id: "no_show", lost.id: "no_show", came.id: "attended"}
    assert [state(one) for one in (missed, lost, came)] == ["paid", "fulfilled", "fulfilled"]
    assert owed(town) == 300
    assert second


def test_several_uses_are_for_codes_that_are_scanned(town: World, refused: Any) -> None:
    with refused("uses_not_allowed"):
        shelf.item(town, "parcel", uses=5)
    with refused("cash_not_allowed"):
        shelf.item(town, "donation", price_fen=100)
    with refused("item_underfunded"):
        shelf.item(town, settlement_fen=201)
    with refused("item_code_taken"):
        shelf.item(town, code="tea")


def test_the_sweep_does_what_is_due(town: World) -> None:
    person = town.people[0]
    with transaction():
        order = place(person, shelf.item(town, "parcel"), address_id=shelf.address(person))
        orders.parcels.ship(order_id=order.id, carrier="SF", tracking_no="SF1", at=AT - 400 * DAY)
        announced = shelf.item(town, stock=0)
        mall.announce(item_id=announced, pieces=4, due_at=AT - DAY, asked_by="operator:lin", at=AT - 2 * DAY)
    assert jobs.sweep() >= 2
    assert (state(order), stock(announced)) == ("completed", (4, 0, 0))
    jobs.sweep()
    assert stock(announced) == (4, 0, 0), "an announcement is kept once"
