"""Codes and stock under real threads.

Seen red with each of these planted: the state left out of redeem's conditional update (the index of live redemptions
answered the losers with an error); the stock left out of take_stock's (the constraint did).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from app import orders, redemptions
from app.db import connection, transaction
from tests import world
from tests.races.crowd import at_once, codes, fine
from tests.world import AT, World

pytestmark = pytest.mark.race


def rich(city: World, *people: int) -> None:
    with transaction():
        for person in people:
            world.rich(city, person, 100)


def place(city: World, person: int, ref: str) -> orders.Placed:
    return orders.place(person_id=person, client_ref=ref, wish=orders.Wish(city.item_id, 1, 100), at=AT)


def bought(city: World, person: int) -> tuple[int, str]:
    """A code of a person, and its characters."""
    rich(city, person)
    with transaction():
        code_id = redemptions.codes_of_order(place(city, person, "o").order_id)[0]
        return code_id, redemptions.show(code_id=code_id, person_id=person)[1]


def count(sql: str) -> int:
    with transaction():
        return int(connection().execute(text(sql)).scalar_one())


def test_eight_clerks_scan_one_code_and_the_others_are_told_when_and_where(crowd: Any, city: World) -> None:
    _, typed = bought(city, city.people[0])
    clerks = city.people[1:9]
    with transaction():
        for clerk in clerks:
            world.clerk(city, clerk)
    scans = [
        partial(
            redemptions.redeem, typed=typed, shop_id=city.shop_id, staff_person_id=clerk, scan_id=f"s-{clerk}", at=AT
        )
        for clerk in clerks
    ]
    answers = at_once(crowd, *scans)
    assert len(fine(answers)) == 1
    assert codes(answers) == ["code_used"] * 7
    for refused in answers:
        if refused is not fine(answers)[0]:
            assert (refused.details["used_at"], refused.details["shop"]) == (AT.isoformat(), "一店")
    assert count("select count(*) from transfers where reason = 'redeem'") == 1


def test_a_clerks_double_tap_is_one_success_told_twice(crowd: Any, city: World) -> None:
    _, typed = bought(city, city.people[0])
    with transaction():
        world.clerk(city, city.people[1])
    scan = partial(
        redemptions.redeem, typed=typed, shop_id=city.shop_id, staff_person_id=city.people[1], scan_id="tap", at=AT
    )
    answers = at_once(crowd, *[scan] * 6)
    assert len({answer.redemption_id for answer in fine(answers)}) == 1
    assert sorted(answer.repeated for answer in fine(answers)) == [False] + [True] * 5


def test_a_redemption_and_its_undo_chase_each_other(crowd: Any, city: World) -> None:
    code_id, typed = bought(city, city.people[0])
    clerk = city.people[1]
    with transaction():
        world.clerk(city, clerk)
    for round_ in range(5):
        scan = partial(redemptions.redeem, typed=typed, shop_id=city.shop_id, staff_person_id=clerk, at=AT)
        with transaction():
            done = scan(scan_id=f"a-{round_}")
        undo = partial(
            redemptions.undo, redemption_id=done.redemption_id, shop_id=city.shop_id, staff_person_id=clerk, at=AT
        )
        answers = at_once(crowd, undo, undo, partial(scan, scan_id=f"b-{round_}"))
        assert codes(answers) in ([], ["code_used"], ["state_conflict"])
        again = count(f"select count(*) from redemptions where undone_at is null and code_id = {code_id}")
        assert again == (0 if codes(answers) else 1)
        if again:
            last = count("select max(id) from redemptions where undone_at is null")
            with transaction():
                redemptions.undo(redemption_id=last, shop_id=city.shop_id, staff_person_id=clerk, at=AT)


def test_two_persons_and_the_last_piece(crowd: Any, city: World) -> None:
    rich(city, *city.people[:8])
    answers = at_once(crowd, *[partial(place, city, person, "last") for person in city.people[:8]])
    assert len(fine(answers)) == 1
    assert codes(answers) == ["sold_out"] * 7
    assert count("select sold from items") == 1
    assert count("select count(*) from transfers where reason = 'order'") == 1


def test_one_order_sent_ten_times_is_one(crowd: Any, city: World) -> None:
    rich(city, city.people[0])

    def order() -> int:
        return place(city, city.people[0], "same").order_id

    answers = at_once(crowd, *[order] * 10)
    assert codes(answers) == []
    assert len(set(fine(answers))) == 1
    assert count("select sold from items") == 1
