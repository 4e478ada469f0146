"""Scans that come at the same moment: plain ones share a posting, each gets the answer it would have got alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from app import redemptions
from app.db import run
from app.errors import Refusal
from app.redemptions import Scan
from tests.redemptions import vouchers
from tests.world import AT, World


def told(here: World, scans: list[tuple[str, str, int]]) -> list[str]:
    asked = [Scan(typed, here.shop_id, here.people[4], scan_id, pieces) for typed, scan_id, pieces in scans]
    found = redemptions.redeem_many(asked, at=AT)
    return [one.code if isinstance(one, Refusal) else f"{one.owed_fen}/{one.uses_left}/{one.repeated}" for one in found]


def test_each_is_judged_on_its_own(here: World, all_held: Callable[[], dict[str, Any]]) -> None:
    plain = vouchers.item(here, settlement_fen=151)
    several = vouchers.item(here, code="several", uses=3, price_credits=100, settlement_fen=100)
    codes = [typed for _, typed in vouchers.bought(here, here.people[0], plain, quantity=4)]
    ((_, card),) = vouchers.bought(here, here.people[0], several, "o2")
    ((_, own),) = vouchers.bought(here, here.people[4], plain, "o3")
    assert told(here, [(codes[0], "a", 1)]) == ["151/0/False"]
    batch = [
        (codes[1], "b", 1),
        (codes[0], "a", 1),  # the answer was lost
        (own, "c", 1),
        (card, "d", 2),
        (codes[2], "e", 1),
        (codes[0], "f", 1),
        (codes[2], "g", 1),  # twice in one batch
        (codes[3], "b", 1),  # a scan id used for another code
    ]
    assert told(here, batch) == [
        "151/0/False", "151/0/True", "own_code", "66/1/False", "151/0/False", "code_used", "code_used",
        "idempotency_conflict",
    ]  # fmt: skip
    assert told(here, [(codes[1], "b", 1), (codes[3], "h", 1)]) == ["151/0/True", "151/0/False"]
    assert vouchers.money(here)["payable"] == 4 * 151 + 66
    states = run("select o.state, count(*) as n from orders o group by 1 order by 1")
    assert [(row.state, row.n) for row in states] == [("fulfilled", 1), ("paid", 2)]
    assert run("select count(*) as n from outbox where event = 'code.redeemed'")[0].n == 5
    assert all_held() == {}


def test_plain_ones_together_book_what_each_books_alone(here: World, all_held: Callable[[], dict[str, Any]]) -> None:
    plain = vouchers.item(here, price_credits=101, settlement_fen=151)
    alone, *together = [typed for _, typed in vouchers.bought(here, here.people[0], plain, quantity=4)]
    redemptions.redeem(typed=alone, shop_id=here.shop_id, staff_person_id=here.people[4], scan_id="x", at=AT)
    first = vouchers.money(here)
    assert told(here, [(typed, f"y{n}", 1) for n, typed in enumerate(together)]) == ["151/0/False"] * 3
    booked = run(
        "select t.source_ref, array_agg(array[e.account_id, e.amount] order by e.leg) as legs"
        " from redemptions r join transfers t on t.id = r.transfer_id join entries e on e.transfer_id = t.id"
        " group by t.source_ref, t.id order by t.id"
    )
    kinds = [[(row_legs[0], row_legs[1]) for row_legs in row.legs if row_legs[1] != 25] for row in booked]
    assert len(kinds) == 4 and all(one == kinds[0] for one in kinds[1:])
    assert vouchers.money(here)["payable"] == 4 * first["payable"]
    assert all_held() == {}


def test_a_picture_and_its_typed_code_at_once_are_one_use(here: World, all_held: Callable[[], dict[str, Any]]) -> None:
    plain = vouchers.item(here, settlement_fen=151)
    ((code, typed),) = vouchers.bought(here, here.people[0], plain)
    text, _ = redemptions.picture_of(code_id=code, person_id=here.people[0], at=AT)
    assert told(here, [(text, "a", 1), (typed, "b", 1)]) == ["151/0/False", "code_used"]
    assert all_held() == {}


def test_a_lost_answer_is_given_again_though_the_picture_has_changed(here: World) -> None:
    plain = vouchers.item(here, settlement_fen=151)
    (first, _), (second, _) = vouchers.bought(here, here.people[0], plain, quantity=2)
    texts = [redemptions.picture_of(code_id=one, person_id=here.people[0], at=AT)[0] for one in (first, second)]
    assert told(here, [(texts[0], "a", 1)]) == ["151/0/False"]
    later = AT + timedelta(minutes=3)
    scans = [Scan(text, here.shop_id, here.people[4], scan_id) for text, scan_id in zip(texts, "ab", strict=True)]
    again, stale = redemptions.redeem_many(scans, at=later)
    assert isinstance(again, redemptions.Verdict) and again.repeated
    assert isinstance(stale, Refusal) and stale.code == "code_stale"
    assert redemptions.redeem(
        typed=texts[0], shop_id=here.shop_id, staff_person_id=here.people[4], scan_id="a", at=later
    ).repeated
