"""Merchants help themselves: applying, inviting, offering, pausing, leaving; each says no in plain words.

Seen red with: the last owner let go, the terms of use not written at approval, a group not compared at a move.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import time, timedelta
from typing import Any

import pytest

from app import merchants, offers, redemptions
from app.db import run, session
from app.errors import Refusal
from app.merchants import Merchant, applying, running, staffing
from app.redemptions import moving
from tests.redemptions import vouchers
from tests.world import AT, World

LICENCE = "91350100M000100Y43"
SHOP = {"name": "总店", "address": "一环路 1 号", "opening_hours": "10-22", "lat_e6": 30_657_000, "lng_e6": 104_066_000}


def asked(here: World, person: int = 0, **more: Any) -> merchants.Application:
    values = {"name": "茶馆", "name_en": "", "licence_no": LICENCE, "phone": "13800138000", "shops": [SHOP], **more}
    return applying.apply(program_id=here.program_id, person_id=here.people[person], at=AT, **values)


def merchant_of(here: World) -> Merchant:
    return session().get_one(Merchant, here.merchant_id)


def test_an_applicant_becomes_the_owner_of_all_shops(here: World) -> None:
    made = asked(here)
    assert asked(here, name="新茶馆").id == made.id
    with pytest.raises(Refusal, match="licence_known"):
        asked(here, person=1)
    assert applying.phone_of(made) == "13800138000"
    merchant = applying.approve(application_id=made.id, code="teahouse", by="operator:lin", at=AT)
    assert applying.approve(application_id=made.id, code="teahouse", by="operator:lin", at=AT) is merchant
    ((shop, _, role),) = merchants.shops_of_person(here.people[0], AT)
    assert (merchant.name, shop.name, role, shop.lat_e6) == ("新茶馆", "总店", "owner", 30_657_000)
    with pytest.raises(Refusal, match="licence_known"):
        asked(here)


def test_a_refusal_has_a_reason_and_may_be_asked_again(here: World) -> None:
    first = asked(here)
    applying.refuse(application_id=first.id, reason="地址不全", by="operator:lin", at=AT)
    assert [(one.state, one.reason) for one in applying.applications_of(here.people[0])] == [("refused", "地址不全")]
    with pytest.raises(Refusal, match="state_conflict"):
        applying.approve(application_id=first.id, code="x", by="operator:lin", at=AT)
    assert asked(here).id != first.id


@pytest.mark.parametrize("wrong", ["91350100M000100Y44", "91350100M000100Y4", "91350100I000100Y43", "x" * 18])
def test_a_licence_number_checks_itself(here: World, wrong: str) -> None:
    with pytest.raises(Refusal, match="licence_wrong"):
        asked(here, licence_no=wrong)


def test_an_invitation_works_once_for_a_day_and_by_rank(here: World) -> None:
    owner, clerk, other = here.people[0], here.people[1], here.people[2]
    merchants.employ(shop_id=here.shop_id, person_id=owner, role="owner", at=AT)
    with pytest.raises(Refusal, match="forbidden"):
        staffing.invite(shop_id=here.shop_id, role="manager", by_person=owner, by_role="manager", at=AT)
    token, ends = staffing.invite(shop_id=here.shop_id, role="clerk", by_person=owner, by_role="owner", at=AT)
    with pytest.raises(Refusal, match="staff_invitation_invalid"):
        staffing.accept(token=token, person_id=clerk, at=ends)
    assert staffing.accept(token=token, person_id=clerk, at=AT).role == "clerk"
    with pytest.raises(Refusal, match="staff_invitation_invalid"):
        staffing.accept(token=token, person_id=other, at=AT)
    staffing.dismiss_by(shop_id=here.shop_id, person_id=clerk, by_person=owner, by_role="owner", at=AT)
    with pytest.raises(Refusal, match="not_staff"):
        merchants.shop_of_staff(shop_id=here.shop_id, person_id=clerk, at=AT)
    with pytest.raises(Refusal, match="last_owner"):
        staffing.dismiss_by(shop_id=here.shop_id, person_id=owner, by_person=owner, by_role="owner", at=AT)


def draft(here: World, **more: Any) -> offers.Offer:
    values = {"name": "下午茶", "pieces": 10, "price_credits": 100, "settlement_fen": 150, "blackout_days": [], **more}
    return offers.draft(merchant=merchant_of(here), person_id=here.people[4], fields=values, at=AT)


def test_an_approved_offer_is_an_item_with_its_hours(here: World) -> None:
    made = draft(here, opens=time(0), closes=time(1), uses=2)
    with pytest.raises(Refusal, match="offer_settled"):
        offers.approve(offer_id=made.id, by="operator:lin", at=AT)
    offers.submit(offer_id=made.id, merchant=merchant_of(here), at=AT)
    with pytest.raises(Refusal, match="offer_settled"):
        offers.revise(offer_id=made.id, merchant=merchant_of(here), fields={"pieces": 99})
    item = offers.approve(offer_id=made.id, by="operator:lin", at=AT)
    assert (item.state, item.available, item.uses) == ("on_sale", 10, 2)
    ((_, typed),) = vouchers.bought(here, here.people[0], item.id)
    scan = {"typed": typed, "shop_id": here.shop_id, "staff_person_id": here.people[4], "scan_id": "s"}
    with pytest.raises(Refusal, match="code_outside_hours") as refused:
        redemptions.redeem(at=AT, **scan)
    assert refused.value.details == {"weekdays": None, "opens": "00:00", "closes": "01:00"}
    midnight = AT.replace(hour=16, minute=30) + timedelta(days=1)
    assert redemptions.redeem(at=midnight, **scan).uses_left == 1


def test_a_refused_offer_says_why_and_can_be_mended(here: World) -> None:
    made = draft(here, settlement_fen=100_000)
    offers.submit(offer_id=made.id, merchant=merchant_of(here), at=AT)
    with pytest.raises(Refusal, match="item_underfunded"), session().begin_nested():
        offers.approve(offer_id=made.id, by="operator:lin", at=AT)
    offers.refuse(offer_id=made.id, reason="结算价过高", by="operator:lin", at=AT)
    assert (made.state, made.reason) == ("refused", "结算价过高")
    offers.revise(offer_id=made.id, merchant=merchant_of(here), fields={"settlement_fen": 150})
    offers.submit(offer_id=made.id, merchant=merchant_of(here), at=AT)
    assert offers.approve(offer_id=made.id, by="operator:lin", at=AT).settlement_fen == 150


def test_a_paused_merchant_is_told_apart_and_what_operators_pause_they_resume(here: World) -> None:
    card = vouchers.item(here)
    ((_, typed),) = vouchers.bought(here, here.people[0], card)
    scan = {"typed": typed, "shop_id": here.shop_id, "staff_person_id": here.people[4], "at": AT}
    redemptions.preview(**scan)
    running.pause_shop(shop_id=here.shop_id, reason="核查", by="operator:lin", at=AT)
    with pytest.raises(Refusal, match="shop_paused"):
        redemptions.redeem(scan_id="s", **scan)
    with pytest.raises(Refusal, match="paused_by_operator"):
        running.resume_shop(shop_id=here.shop_id, by=f"person:{here.people[4]}", at=AT)
    running.resume_shop(shop_id=here.shop_id, by="operator:lin", at=AT)
    running.pause(merchant=merchant_of(here), reason="证照到期", by="operator:lin", at=AT)
    with pytest.raises(Refusal, match="merchant_paused") as paused:
        redemptions.redeem(scan_id="s", **scan)
    assert paused.value.details == {"reason": "证照到期"}
    with pytest.raises(Refusal, match="merchant_cannot_offer"):
        draft(here)


def test_who_leaves_hands_live_codes_to_one_of_the_group(here: World, all_held: Callable[[], dict[str, Any]]) -> None:
    card = vouchers.item(here)
    ((code, typed), (_, second)) = vouchers.bought(here, here.people[0], card, quantity=2)
    scan = {"shop_id": here.shop_id, "staff_person_id": here.people[4], "at": AT}
    redemptions.redeem(typed=second, scan_id="before", **scan)
    leaving = merchant_of(here)
    heir = merchants.register(program_id=here.program_id, code="heir", name="继承者")
    shop = merchants.open_shop(merchant=heir, name="继承店")
    merchants.employ(shop_id=shop.id, person_id=here.people[3], role="clerk", at=AT - timedelta(days=1))
    running.leave(merchant=leaving, by="operator:lin", at=AT)
    assert offers.withdraw_all(merchant_id=leaving.id) >= 1
    with pytest.raises(Refusal, match="still_live"):
        running.part(merchant=leaving, at=AT)
    with pytest.raises(Refusal, match="not_a_successor"):
        moving.move(leaving=leaving, to=heir, by="operator:lin", at=AT)
    leaving.group_code = heir.group_code = "tea"
    session().flush()
    assert moving.move(leaving=leaving, to=heir, by="operator:lin", at=AT) == 1
    with pytest.raises(Refusal, match="code_wrong_shop"):
        redemptions.redeem(typed=typed, scan_id="old shop", **scan)
    done = redemptions.redeem(typed=typed, shop_id=shop.id, staff_person_id=here.people[3], scan_id="new shop", at=AT)
    assert (done.code_id, merchants.owed_fen(heir)) == (code, 150)
    running.part(merchant=leaving, at=AT)
    assert (leaving.state, leaving.left_at) == ("left", AT)
    assert run("select state from shops where id = %(s)s", {"s": here.shop_id})[0].state == "closed"
    assert all_held() == {}
