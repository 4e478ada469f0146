"""Gifts over a target, matches, milestones with evidence, money paid out and given back: exact to the fen."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import text

from app import audit, funding, records, welfare
from app.db import connection, session, transaction
from app.errors import Refusal
from app.welfare.models import Gift, Match, WelfareProject
from tests import world
from tests.settlement.conftest import DAY, broken, two
from tests.world import AT, World

ALL = ("LED", "BUD", "AWD", "WAL", "WEL")


@pytest.fixture
def city(db_session: Any) -> World:
    with transaction():
        here = world.build(people=4, deposit_fen=1_000_000)
        for person in here.people:
            world.rich(here, person, 1_000)
    return here


def project(here: World, code: str = "trees") -> WelfareProject:
    return welfare.by_code(here.program_id, code)


def set_rule(here: World, rule: str, target: int, overflow: str | None = None) -> None:
    with transaction():
        other = None
        if overflow:
            other = welfare.open_project(
                program_id=here.program_id, code=overflow, name="其他", name_en="Other", target_credits=10**6
            ).id
        found = project(here)
        found.over_rule, found.target_credits, found.overflow_project_id = rule, target, other


def give(here: World, number: int, credits: int, ref: str = "g", at: Any = AT, **more: Any) -> welfare.Given:
    with transaction():
        return welfare.give(person_id=here.people[number], program_id=here.program_id, project_id=here.project_id,
                            credits=credits, client_ref=ref, at=at, **more)  # fmt: skip


def photo(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(out, "PNG")
    return out.getvalue()


def milestone(here: World, position: int = 1, planned_fen: int = 0, colour: str = "green") -> int:
    with transaction():
        made = welfare.plan(project_id=here.project_id, position=position, title="种下", title_en="Planted",
                            planned_fen=planned_fen, due_on=None)  # fmt: skip
        welfare.add_evidence(milestone_id=made.id, sent=photo(colour), site="阿拉善", taken_on=AT.date(),
                             actor="operator:lin", at=AT)  # fmt: skip
        return made.id


def reach(milestone_id: int) -> None:
    with transaction():
        asked = two({"m": milestone_id}, welfare.REACH, AT)
        welfare.reach(milestone_id=milestone_id, reached_on=AT.date(), site="阿拉善", payee="合作社", approval_id=asked,
                      actor="operator:wu", at=AT)  # fmt: skip


def pay(milestone_id: int, fen: int, ref: str = "R", **more: Any) -> None:
    with transaction():
        welfare.pay_out(milestone_id=milestone_id, fen=fen, bank_reference=ref, paid_on=AT.date(),
                        evidence_hash=audit.digest("x"), approval_id=two({"r": ref}, welfare.PAY, AT),
                        actor="operator:wu", at=AT, **more)  # fmt: skip


def match(here: World, rate_bps: int, fen: int) -> int:
    with transaction():
        asked = two({"fen": fen}, welfare.MATCH, AT)
        return welfare.reserve_match(project_id=here.project_id, sponsor_code="bank", rate_bps=rate_bps, fen=fen,
                                     bank_reference="M", approval_id=asked, actor="operator:wu", at=AT).id  # fmt: skip


def give_back(at: Any = AT) -> None:
    with transaction():
        while welfare.return_due(at=at):
            pass


def credits_of(here: World, number: int) -> int:
    query = "select a.balance from accounts a join wallets w on w.credits_account_id = a.id where w.person_id = :p"
    return int(connection().execute(text(query), {"p": here.people[number]}).scalar_one())


def test_a_cap_takes_what_is_missing_and_no_more(city: World) -> None:
    set_rule(city, "cap", 500)
    assert give(city, 0, 400).gift.credits == 400
    assert give(city, 1, 400).gift.credits == 100
    assert give(city, 1, 400).fresh is False
    with pytest.raises(Refusal) as full:
        give(city, 2, 1)
    assert (full.value.code, credits_of(city, 1), project(city).given_credits) == ("project_full", 900, 500)
    assert broken(*ALL) == []


def test_the_rest_goes_to_the_named_project_and_an_order_goes_whole(city: World) -> None:
    set_rule(city, "overflow", 500, "others")
    done = give(city, 0, 700)
    assert done.overflow is not None and (done.gift.credits, done.overflow.credits) == (500, 200)
    again = give(city, 0, 700)
    assert again.overflow is not None and (again.fresh, again.overflow.id) == (False, done.overflow.id)
    assert project(city, "others").given_credits == 200 and credits_of(city, 0) == 300
    with transaction():
        connection().execute(text("update welfare_projects set target_credits = 550 where code = 'trees'"))
    assert give(city, 1, 100, whole=True).gift.project_id == project(city, "others").id
    assert broken(*ALL) == []


def test_a_sponsor_matches_exactly_while_its_reserve_lasts(city: World) -> None:
    number = match(city, 5_000, 250)
    assert give(city, 0, 101).gift.matched_fen == 101  # 202 fen, half of it
    assert give(city, 1, 200).gift.matched_fen == 149
    assert give(city, 2, 200).gift.matched_fen == 0
    assert session().get_one(Match, number).used_fen == 250
    shown = welfare.trail(city.project_id)
    assert shown["agrees"] and (shown["gifts_fen"], shown["matched_fen"]) == (1002, 250)
    assert broken(*ALL) == []


def test_a_photo_proves_one_milestone_and_money_follows_evidence(city: World) -> None:
    give(city, 0, 500)
    first = milestone(city)
    with pytest.raises(Refusal) as used:
        milestone(city, 2)
    assert used.value.code == "evidence_used"
    with pytest.raises(Refusal) as early:
        pay(first, 100)
    assert early.value.code == "milestone_not_reached"
    reach(first)
    with transaction():
        welfare.plot(project_id=city.project_id, code="A1", place="某村", households=3, carbon_kg=1000, price_fen=5000)
    pay(first, 600, plot_code="A1")
    pay(first, 600, plot_code="A1")
    with pytest.raises(Refusal) as more:
        pay(first, 401, "S")
    assert more.value.code == "insufficient"
    shown = welfare.trail(city.project_id)
    assert shown["agrees"] and (shown["paid_fen"], shown["held_fen"]) == (600, 400)
    assert shown["plots"][0]["per_household_fen"] == 200 and len(shown["milestones"][0]["photos"]) == 1
    assert broken(*ALL) == []


def test_a_milestone_needs_evidence(city: World) -> None:
    with transaction():
        bare = welfare.plan(project_id=city.project_id, position=1, title="x", title_en="", planned_fen=0, due_on=None)
    with pytest.raises(Refusal) as missing:
        reach(bare.id)
    assert missing.value.code == "evidence_missing"


def test_a_failed_project_returns_what_is_unspent_pro_rata_to_the_fen(city: World) -> None:
    number = match(city, 10_000, 333)
    gifts = [give(city, n, credits).gift.id for n, credits in enumerate((333, 101, 7))]
    first = milestone(city)
    reach(first)
    pay(first, 402)
    total = 2 * (333 + 101 + 7) + 333
    with transaction():
        asked = two({"p": 1}, welfare.FAIL, AT)
        assert welfare.fail(project_id=city.project_id, reason="旱", approval_id=asked, actor="operator:wu", at=AT) == 3
    give_back()
    give_back()
    shown = welfare.trail(city.project_id)
    assert (shown["held_fen"], shown["returned_fen"], shown["agrees"]) == (0, total - 402, True)
    for number_, (gift, credits) in enumerate(zip(gifts, (333, 101, 7), strict=True)):
        row = session().get_one(Gift, gift)
        assert abs(row.returned_fen - row.fen * (total - 402) / total) < 2
        assert credits_of(city, number_) == 1_000 - credits + row.returned_credits
    assert session().get_one(Match, number).used_fen < 333
    with pytest.raises(Refusal) as closed:
        give(city, 3, 1)
    assert closed.value.code == "project_closed"
    with transaction():
        left = welfare.release_match(
            match_id=number, bank_reference="Z", evidence_hash=b"x", actor="operator:wu", at=AT
        )
        assert left == 333 - session().get_one(Match, number).used_fen
    assert broken(*ALL) == []


def test_nothing_spent_everything_returns_and_an_ended_lot_lives_on(city: World) -> None:
    give(city, 0, 333)
    late = AT + 3 * 365 * DAY
    with transaction():
        while funding.expire_lots(at=late):
            pass
    assert credits_of(city, 0) == 0
    with transaction():
        welfare.fail(project_id=city.project_id, reason="x", approval_id=two({"p": 1}, "x", late), actor="a", at=late)
    give_back(late)
    assert credits_of(city, 0) == 333 and project(city).given_credits == 0
    ends = connection().execute(text("select max(expires_at) from lots where remaining > 0")).scalar_one()
    assert timedelta(days=29) < ends - late < timedelta(days=32)
    assert broken(*ALL) == []


def test_a_failed_milestone_returns_its_own_part_only(city: World) -> None:
    give(city, 0, 300)
    give(city, 1, 100)
    with transaction():
        made = welfare.plan(
            project_id=city.project_id, position=1, title="x", title_en="", planned_fen=100, due_on=None
        )
        welfare.fail_milestone(milestone_id=made.id, reason="x", approval_id=two({"p": 1}, "x", AT), actor="a", at=AT)
    give_back()
    assert (credits_of(city, 0), credits_of(city, 1)) == (700 + 37, 900 + 12)
    assert welfare.trail(city.project_id)["held_fen"] == 700
    assert give(city, 2, 10).fresh and broken(*ALL) == []


def test_a_gift_of_credits_that_fraud_had_earned_is_corrected_and_pays_the_debt(city: World) -> None:
    person = city.people[0]
    with transaction():
        ride = world.take(city, person, reference="fraud", facts={"distance_km": "40"})
        balance = credits_of(city, 0)
    gift = give(city, 0, balance).gift.id
    from app.records import reviews

    with transaction():
        reviews.reverse(record_id=ride.record_id or 0, code="fraud", words="", by="operator:lin", at=AT)
        welfare.take_back(gift_id=gift, reason="fraud", approval_id=two({"g": 1}, "x", AT), actor="operator:wu", at=AT)
    give_back()
    debt = (
        connection().execute(text("select debt_credits from wallets where person_id = :p"), {"p": person}).scalar_one()
    )
    assert debt == 0 and credits_of(city, 0) == balance - ride.credits
    shown = welfare.trail(city.project_id)
    assert (shown["taken_credits"] > 0, shown["given_credits"], shown["held_fen"]) == (True, 0, 0)
    assert broken(*ALL) == [] and records is not None
