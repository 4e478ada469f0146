"""Turns among colleagues, haste, one buyer, one device: held with a reason, released or confirmed by a second person.

Seen red with: the reason's order turned round, the reversal left out of a confirmation.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from app import redemptions
from app.db import run
from app.errors import Refusal
from app.redemptions import risk
from tests.redemptions import vouchers
from tests.world import AT, World


def used(here: World, buyer: int, clerk: int, name: str, minutes: int = 0) -> int:
    """A code of somebody, redeemed by somebody (numbers of people)."""
    item = run("select id from items where code = 'pass'")
    item_id = item[0].id if item else vouchers.item(here)
    ((_, typed),) = vouchers.bought(here, here.people[buyer], item_id, name)
    done = redemptions.redeem(
        typed=typed,
        shop_id=here.shop_id,
        staff_person_id=here.people[clerk],
        scan_id=name,
        at=AT + timedelta(minutes=minutes),
    )
    return done.redemption_id or 0


def test_two_clerks_who_redeem_each_others_codes_are_held(here: World) -> None:
    first = used(here, buyer=5, clerk=4, name="a")
    assert risk.assess([first], at=AT) == {}
    second = used(here, buyer=4, clerk=5, name="b", minutes=5)
    assert risk.assess([second], at=AT) == {second: "reciprocal"}
    assert [row.held_reason for row in risk.holds(here.program_id)] == ["reciprocal"]


def test_a_clerks_codes_redeemed_by_colleagues_more_than_three_times_a_week(here: World) -> None:
    made = [used(here, buyer=5, clerk=4, name=f"n{n}", minutes=n) for n in range(4)]
    assert risk.assess(made, at=AT) == {made[3]: "colleagues"}


def test_a_customer_is_nobodys_colleague(here: World) -> None:
    made = [used(here, buyer=0, clerk=4, name=f"n{n}", minutes=n) for n in range(5)]
    assert risk.assess(made, at=AT) == {}


def test_haste_one_buyer_and_one_device(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(risk, "SCANS_A_TEN_MINUTES", 2)
    made = [used(here, buyer=n % 3, clerk=4, name=f"n{n}") for n in range(3)]
    assert set(risk.assess(made, at=AT).values()) == {"velocity"}
    monkeypatch.setattr(risk, "SCANS_A_TEN_MINUTES", 100)
    monkeypatch.setattr(risk, "LEAST_TO_COMPARE", 5)
    many = [used(here, buyer=3, clerk=5, name=f"m{n}", minutes=60) for n in range(5)]
    assert risk.assess(many[-1:], at=AT) == {many[-1]: "one_buyer"}


def test_what_is_released_stands_and_what_is_confirmed_is_reversed(
    here: World, all_held: Callable[[], dict[str, Any]]
) -> None:
    used(here, buyer=5, clerk=4, name="a")
    held = used(here, buyer=4, clerk=5, name="b")
    risk.assess([held], at=AT)
    before = vouchers.money(here)
    risk.release(redemption_id=held, by="operator:wu", at=AT)
    risk.release(redemption_id=held, by="operator:wu", at=AT)
    assert vouchers.money(here) == before
    with pytest.raises(Refusal, match="state_conflict"):
        risk.confirm(redemption_id=held, by="operator:wu", at=AT)
    fraud = used(here, buyer=4, clerk=5, name="c", minutes=1)
    risk.assess([fraud], at=AT)
    for _ in range(2):
        risk.confirm(redemption_id=fraud, by="operator:wu", at=AT)
    after = vouchers.money(here)
    assert after["payable"] == before["payable"]
    assert after["committed"] == 0
    assert run("select state from codes order by id desc limit 1")[0].state == "expired"
    told = run("select kind from notices where person_id = %(p)s and kind = 'code.fraud'", {"p": here.people[4]})
    assert len(told) == 1
    assert all_held() == {}
