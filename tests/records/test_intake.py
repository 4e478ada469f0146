"""The one road: repeats, conflicts, refusals, holds, reviews, appeals, revisions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app import appeals, openness, records, scenarios
from app.db import connection, session, transaction
from app.errors import Refusal
from app.people import consents
from app.programs.models import Program
from tests import given, world
from tests.world import AT, World


@pytest.fixture
def city(db_session: Any) -> World:
    with transaction():
        return world.build()


def take(*acts: records.Act) -> list[records.Taken]:
    with transaction():
        return records.take_many(list(acts), at=AT)


def one(query: str, **values: Any) -> Any:
    return connection().execute(text(query), values).scalar_one()


def test_an_act_becomes_a_record_a_reduction_and_funded_credits(city: World) -> None:
    answer = take(world.act(city, city.people[0]))[0]
    assert (answer.outcome, answer.state, answer.mg, answer.credits) == ("accepted", "counted", 1032560, 103)
    assert one("select balance from accounts where kind = 'wallet' and balance > 0") == 103
    assert one("select carry_micro from wallets where carry_micro > 0") == 256000
    assert one("select sum(amount) from entries e join accounts a on a.id = e.account_id where a.asset = 'mg'") == 0


def test_the_same_again_is_answered_with_the_first(city: World) -> None:
    act = world.act(city, city.people[0])
    first, second = take(act)[0], take(act)[0]
    assert (second.outcome, second.record_id, second.credits) == ("duplicate", first.record_id, first.credits)
    both = take(world.act(city, city.people[1], reference="x"), world.act(city, city.people[1], reference="x"))
    assert [answer.outcome for answer in both] == ["accepted", "duplicate"]
    assert one("select count(*) from records") == 2


def test_other_facts_under_a_known_reference_are_refused_and_kept_for_review(city: World) -> None:
    act = world.act(city, city.people[0], reference="same")
    take(act)
    act.facts = {"distance_km": "11"}
    answer = take(act)[0]
    assert answer.refusal is not None
    assert answer.refusal.code == "content_conflict"
    assert one("select facts->>'distance_km' from conflicting_records") == "11"
    assert one("select count(*) from awards") == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"occurred_at": AT + timedelta(minutes=6), "ended_at": AT + timedelta(minutes=7)}, "in_future"),
        ({"occurred_at": AT - timedelta(minutes=10), "ended_at": AT + timedelta(minutes=6)}, "in_future"),
        ({"occurred_at": AT - timedelta(days=400), "ended_at": AT - timedelta(days=400)}, "before_program"),
        ({"occurred_at": AT - timedelta(days=9000), "ended_at": AT - timedelta(days=9000)}, "time_impossible"),
        ({"ended_at": AT - timedelta(hours=3)}, "time_impossible"),
        ({"scenario": "no-such-thing"}, "unknown_scenario"),
        ({"facts": {}}, "facts_invalid"),
        ({"facts": {"distance_km": "abc"}}, "facts_invalid"),
        ({"facts": {"distance_km": "NaN"}}, "facts_invalid"),
        ({"facts": {"distance_km": "10", "odd": "1"}}, "facts_invalid"),
        ({"reference": ""}, "facts_invalid"),
        ({"kind": "device"}, "source_not_allowed"),
    ],
)
def test_what_cannot_be_recorded_is_refused_with_its_reason_and_leaves_nothing(
    city: World, changes: dict[str, Any], code: str
) -> None:
    scenario = changes.pop("scenario", "metro-ride")
    answer = take(world.act(city, city.people[0], scenario, **changes))[0]
    assert answer.refusal is not None
    assert answer.refusal.code == code
    assert one("select count(*) from records") == 0


def test_a_stranger_and_somebody_without_consent_are_refused(city: World) -> None:
    with transaction():
        stranger = given.person()
    answer = take(world.act(city, stranger))[0]
    assert answer.refusal is not None
    assert answer.refusal.code == "not_a_member"
    with transaction():
        consents.withdraw(person_id=city.people[0], key="rides", at=AT)
    answer = take(world.act(city, city.people[0]))[0]
    assert answer.refusal is not None
    assert (answer.refusal.code, answer.refusal.details["purpose"]) == ("consent_required", "rides")


def test_out_of_range_and_impossible_speed_are_held_never_cut(city: World) -> None:
    far = take(world.act(city, city.people[0], facts={"distance_km": "9000"}))[0]
    assert (far.state, far.reason and far.reason.code) == ("held", "out_of_range")
    assert far.reason is not None
    assert "distance_km is outside the sanity range" in far.reason.en
    assert far.reason.en.isprintable() and "超" not in far.reason.en
    fast = take(world.act(city, city.people[1], facts={"distance_km": "100"}))[0]
    assert (fast.state, fast.reason and fast.reason.code) == ("held", "impossible_speed")
    assert (
        one("select count(*) from entries where transfer_id in (select id from transfers where reason = 'reduction')")
        == 0
    )


def test_a_held_record_can_be_released_and_then_counts(city: World) -> None:
    held = take(world.act(city, city.people[0], facts={"distance_km": "100"}))[0]
    with transaction():
        released = records.release(record_id=held.record_id or 0, by="operator:ops", at=AT)
    assert (released.state, released.mg) == ("counted", 10325600)
    with pytest.raises(Refusal) as refused, transaction():
        records.release(record_id=held.record_id or 0, by="operator:ops", at=AT)
    assert refused.value.code == "state_conflict"


def test_a_rejected_record_tells_the_person_and_a_granted_appeal_restores_it(city: World) -> None:
    person = city.people[0]
    held = take(world.act(city, person, facts={"distance_km": "100"}))[0].record_id or 0
    with transaction():
        records.reject(record_id=held, code="evidence_missing", words="缺少凭证", by="operator:ops", at=AT)
    assert one("select zh from notices where person_id = :p", p=person).endswith("缺少凭证")
    with transaction():
        number, fresh = appeals.ask(object_id=held, person_id=person, words="我有凭证", at=AT)
        assert fresh
        assert appeals.ask(object_id=held, person_id=person, words="again", at=AT) == (number, False)
    with pytest.raises(Refusal) as refused, transaction():
        appeals.ask(object_id=held, person_id=city.people[1], words="not mine", at=AT)
    assert refused.value.code == "not_found"
    with transaction():
        appeals.answer(appeal_id=number, granted=True, words="谢谢", by="operator:second", at=AT)
    assert one("select state from records where id = :id", id=held) == "counted"
    assert one("select sum(balance) from accounts where kind = 'saved'") == 10325600


def test_reversal_after_spending_becomes_a_debt_that_later_credits_pay_first(city: World) -> None:
    from app import orders

    person = city.people[0]
    record = take(world.act(city, person))[0].record_id or 0
    with transaction():
        orders.place(person_id=person, client_ref="o", wish=orders.Wish(city.item_id, 1, 100), at=AT)
        records.reverse(record_id=record, code="fraud", words="x", by="operator:ops", at=AT)
    assert one("select debt_credits from wallets where person_id = :p", p=person) == 100
    assert one("select sum(balance) from accounts where kind = 'saved'") == 0
    later = world.act(
        city, person, occurred_at=AT - timedelta(days=1, hours=2), ended_at=AT - timedelta(days=1, hours=1)
    )
    take(later)
    assert one("select debt_credits from wallets where person_id = :p", p=person) == 0
    assert one("select balance from accounts where kind = 'wallet' and owner_key = :p", p=str(person)) == 3
    assert one("select sum(remaining) from lots") == 3


def test_restoring_a_reversed_record_counts_it_anew_as_of_its_day(city: World) -> None:
    record = take(world.act(city, city.people[0]))[0].record_id or 0
    with transaction():
        records.reverse(record_id=record, code="error", words="x", by="operator:ops", at=AT)
    with transaction():
        records.restore(record_id=record, by="operator:ops", at=AT)
    assert one("select count(*) from records where state = 'counted'") == 1
    assert one("select supersedes_id from records where state = 'counted'") == record
    assert one("select sum(balance) from accounts where kind = 'wallet'") == 103


def test_caps_cut_and_say_so(city: World) -> None:
    person = city.people[0]
    acts = [
        world.act(
            city,
            person,
            facts={"distance_km": "30"},
            occurred_at=AT - timedelta(hours=8 - hour),
            ended_at=AT - timedelta(hours=7 - hour),
        )
        for hour in range(4)
    ]
    take(*acts)
    cap = one("select (caps->>'day')::bigint from scenarios where code = 'metro-ride'")
    assert one("select sum(credits) from awards") == cap
    assert one("select count(*) from awards where cut_micro > 0 and cut_by is not null") >= 1
    assert one("select sum(counted_mg) from reductions") == 4 * 3097680
    cut = one("select record_id from awards where cut_micro > 0 order by id limit 1")
    why = openness.opened(record_id=cut, person_id=person)["why"]
    assert why[0]["code"] == "capped"
    assert "每日积分上限" in why[0]["zh"] and "次日" in why[0]["zh"]
    assert "the daily cap of this scenario" in why[0]["en"] and "scenario:" not in why[0]["zh"] + why[0]["en"]
    assert one("select count(*) from cap_uses where used_micro > cap_micro") == 0


def test_an_empty_budget_leaves_the_reduction_and_pays_later_in_order(city: World) -> None:
    from app import funding
    from app.funding.models import Budget

    with transaction():
        dry = world.build(deposit_fen=100, people=3)  # covers 50 credits
    answers = take(*(world.act(dry, person) for person in dry.people))
    assert [answer.award_state for answer in answers] == ["pending"] * 3
    assert [answer.mg for answer in answers] == [1032560] * 3
    with transaction():
        small = world.act(dry, dry.people[0], facts={"distance_km": "1"}, occurred_at=AT - timedelta(days=1))
        small.ended_at = small.occurred_at + timedelta(minutes=10)
    assert take(small)[0].award_state == "pending"  # newcomers queue behind a large head
    with transaction():
        budget = session().get_one(Budget, dry.budget_id)
        funding.receive_deposit(budget=budget, fen=400, reference="more", at=AT)
    with transaction():
        paid = funding.pay_pending(budget_id=dry.budget_id, at=AT)
    assert len(paid) == 2
    first = connection().execute(
        text("select id from awards where state = 'paid' and program_id = :p"), {"p": dry.program_id}
    )
    assert sorted(paid) == sorted(first.scalars().all())
    assert one("select min(id) from awards where state = 'pending' and program_id = :p", p=dry.program_id) > max(paid)


def test_a_retired_scenario_and_program_take_nothing_more(city: World) -> None:
    with transaction():
        scenarios.retire(program_id=city.program_id, code="metro-ride", at=AT)
    answer = take(world.act(city, city.people[0]))[0]
    assert answer.refusal is not None
    assert answer.refusal.code == "unknown_scenario"
    with transaction():
        session().get_one(Program, city.program_id).state = "retired"
    answer = take(world.act(city, city.people[0], "bus-ride"))[0]
    assert answer.refusal is not None
    assert answer.refusal.code == "program_closed"


def test_acts_of_a_program_without_any_budget_wait_for_its_first(city: World) -> None:
    from app import funding
    from app.programs import templates

    with transaction():
        program = given.program(template="city")
        for draft in templates.load("city").scenarios:
            scenarios.offer(program_id=program.id, definition=draft)
        source = world.sources.register(program_id=program.id, code="partner", kind="partner", name="p").id
        person = world.join(program)
    act = world.act(city, person)
    act.program_id, act.source_id = program.id, source
    assert take(act)[0].award_state == "pending"
    with transaction():
        payer = funding.sponsor(program_id=program.id, code="s", name="s", name_en="s")
        budget = funding.open_budget(
            program_id=program.id, sponsor_id=payer.id, code="m", name="m", price_fen=2000, is_default=True, at=AT
        )
        funding.receive_deposit(budget=budget, fen=1000, reference="r", at=AT)
    with transaction():
        assert len(funding.pay_pending(budget_id=budget.id, at=AT)) == 1
