"""Codes of several uses: each use has its price to the fen, an undo is exact, what is left comes back at the end.

Seen red with: the price as p // n, `uses_left` left out of the state's rule, uses numbered by their count.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from app import merchants, redemptions
from app.db import run
from app.errors import Refusal
from tests.redemptions import vouchers
from tests.world import AT, World

AllHeld = Callable[[], dict[str, Any]]


def scan(here: World, typed: str, scan_id: str, quantity: int = 1, at: Any = AT, clerk: int = 4) -> redemptions.Verdict:
    return redemptions.redeem(
        typed=typed,
        shop_id=here.shop_id,
        staff_person_id=here.people[clerk],
        scan_id=scan_id,
        quantity=quantity,
        at=at,
    )


def test_each_use_has_its_price_and_they_sum_to_the_whole(here: World, all_held: AllHeld) -> None:
    card = vouchers.item(here, uses=3, price_credits=100, settlement_fen=100)
    ((_, typed),) = vouchers.bought(here, here.people[0], card)
    prices = [scan(here, typed, f"s{n}").owed_fen for n in range(3)]
    assert prices == [33, 33, 34]
    books = vouchers.money(here)
    assert (books["payable"], books["committed"], books["spent"]) == (100, 0, 50)
    assert all_held() == {}
    with pytest.raises(Refusal, match="code_used"):
        scan(here, typed, "s4")


def test_two_of_five_then_three_elsewhere_then_none(here: World, all_held: AllHeld) -> None:
    card = vouchers.item(here, uses=5, settlement_fen=150)
    ((_, typed),) = vouchers.bought(here, here.people[0], card)
    assert scan(here, typed, "a", quantity=2).uses_left == 3
    with pytest.raises(Refusal, match="code_uses_left") as refused:
        scan(here, typed, "b", quantity=4)
    assert refused.value.details == {"left": "3"}
    assert scan(here, typed, "c", quantity=3).uses_left == 0
    with pytest.raises(Refusal, match="code_used"):
        scan(here, typed, "d")
    assert vouchers.money(here)["payable"] == 150
    assert all_held() == {}


def test_undone_uses_come_back_at_their_own_price_in_any_order(here: World, all_held: AllHeld) -> None:
    card = vouchers.item(here, uses=4, price_credits=3, settlement_fen=5)
    ((_, typed),) = vouchers.bought(here, here.people[0], card)
    made = [scan(here, typed, f"s{n}") for n in range(4)]
    assert [one.owed_fen for one in made] == [1, 1, 1, 2]
    for number in (0, 2):
        redemptions.undo(
            redemption_id=made[number].redemption_id or 0,
            shop_id=here.shop_id,
            staff_person_id=here.people[5],
            at=AT + timedelta(minutes=2),
        )
        assert all_held() == {}
    assert vouchers.money(here)["payable"] == 3
    assert scan(here, typed, "again", quantity=2).owed_fen == 2
    assert vouchers.money(here)["payable"] == 5
    assert all_held() == {}


def test_what_was_not_used_comes_back_at_the_end_and_the_merchant_keeps_the_rest(
    here: World, all_held: AllHeld
) -> None:
    card = vouchers.item(here, uses=3, price_credits=100, settlement_fen=150)
    person = here.people[0]
    ((code, typed),) = vouchers.bought(here, person, card)
    scan(here, typed, "one")
    end = AT + timedelta(days=32)
    before = vouchers.money(here)["wallet"]
    assert [row.id for row in redemptions.due(at=end)] == [code]
    assert redemptions.expire(code_id=code, person_id=person, program_id=here.program_id, at=end)
    assert not redemptions.expire(code_id=code, person_id=person, program_id=here.program_id, at=end)
    books = vouchers.money(here)
    assert (books["wallet"] - before, books["committed"], books["payable"]) == (67, 0, 50)
    assert all_held() == {}
    with pytest.raises(Refusal, match="code_expired"):
        scan(here, typed, "late", at=end)


def test_an_item_may_say_that_what_is_not_used_is_gone(here: World, all_held: AllHeld) -> None:
    card = vouchers.item(here, on_expiry="forfeit")
    person = here.people[0]
    ((code, _),) = vouchers.bought(here, person, card)
    before = vouchers.money(here)
    assert redemptions.expire(code_id=code, person_id=person, program_id=here.program_id, at=AT + timedelta(days=32))
    after = vouchers.money(here)
    assert after["wallet"] == before["wallet"]
    assert after["budget"] == before["budget"] + 100
    assert after["budget_money"] == before["budget_money"]
    assert all_held() == {}


def test_a_code_is_prolonged_once_also_within_a_week_after_its_end(here: World, all_held: AllHeld) -> None:
    card = vouchers.item(here, extend_days=10)
    person = here.people[0]
    ((code, typed),) = vouchers.bought(here, person, card)
    ended = AT + timedelta(days=33)
    assert redemptions.due(at=ended) == []
    until = redemptions.extend(code_id=code, person_id=person, at=ended)
    assert until > ended + timedelta(days=9)
    assert redemptions.extend(code_id=code, person_id=person, at=ended) == until
    scan(here, typed, "s", at=ended)
    assert all_held() == {}
    plain = vouchers.item(here, code="plain")
    ((other, _),) = vouchers.bought(here, person, plain, "o2")
    with pytest.raises(Refusal, match="not_extendable"):
        redemptions.extend(code_id=other, person_id=person, at=AT)
    with pytest.raises(Refusal, match="not_found"):
        redemptions.extend(code_id=code, person_id=here.people[1], at=ended)


def test_an_orders_own_step_owes_the_merchant_without_a_clerk_once(here: World, all_held: AllHeld) -> None:
    card = vouchers.item(here, uses=2)
    codes = vouchers.bought(here, here.people[0], card, quantity=2)
    scan(here, codes[0][1], "one")
    order = run("select order_id from codes where id = %(id)s", {"id": codes[0][0]})[0].order_id
    assert redemptions.fulfil(order_id=order, by="person:1", at=AT) == 2
    assert redemptions.fulfil(order_id=order, by="person:1", at=AT) == 0
    assert vouchers.money(here)["payable"] == 300
    assert all_held() == {}


def test_a_used_code_is_not_withdrawn_and_a_withdrawn_one_not_used(here: World) -> None:
    card = vouchers.item(here, uses=2)
    (first, second) = vouchers.bought(here, here.people[0], card, quantity=2)
    scan(here, first[1], "one")
    order = run("select order_id from codes where id = %(id)s", {"id": first[0]})[0].order_id
    with pytest.raises(Refusal, match="order_redeemed"):
        redemptions.withdraw(order_id=order)
    assert redemptions.withdraw(order_id=order, code_ids=[second[0]]) == [second[0]]
    with pytest.raises(Refusal, match="code_refunded"):
        scan(here, second[1], "two")


def test_a_dismissed_clerk_a_paused_shop_and_a_full_day_are_told_apart(here: World) -> None:
    card = vouchers.item(here, uses=5)
    ((_, typed),) = vouchers.bought(here, here.people[0], card)
    run("update shops set daily_quota = 2 where id = %(id)s", {"id": here.shop_id})
    scan(here, typed, "a", quantity=2)
    with pytest.raises(Refusal, match="shop_quota"):
        scan(here, typed, "b")
    run(
        "update shops set daily_quota = null, state = 'paused', pause_reason = '盘点' where id = %(id)s",
        {"id": here.shop_id},
    )
    with pytest.raises(Refusal, match="shop_paused") as paused:
        scan(here, typed, "c")
    assert paused.value.details == {"reason": "盘点"}
    merchants.dismiss(shop_id=here.shop_id, person_id=here.people[4], at=AT)
    with pytest.raises(Refusal, match="not_staff"):
        scan(here, typed, "d")


def test_hours_and_blackout_days_of_an_offer_are_kept(here: World) -> None:
    card = vouchers.item(here, uses=5)
    ((_, typed),) = vouchers.bought(here, here.people[0], card)
    weekday = AT.isoweekday()
    run(
        "insert into use_terms (item_id, weekdays, opens, closes)"
        " values (%(item)s, %(days)s::bigint[], '00:00', '23:59')",
        {"item": card, "days": [weekday % 7 + 1]},
    )
    with pytest.raises(Refusal, match="code_outside_hours"):
        scan(here, typed, "a")
    run(
        "update use_terms set weekdays = null,"
        " blackout_days = array[(%(at)s::timestamptz at time zone 'Asia/Shanghai')::date]",
        {"at": AT},
    )
    with pytest.raises(Refusal, match="code_blackout"):
        scan(here, typed, "b")
    run("update use_terms set blackout_days = '{}'")
    assert scan(here, typed, "c").uses_left == 4
