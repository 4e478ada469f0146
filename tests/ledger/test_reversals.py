"""Reversals: exact, even when the credits are spent, whatever the carry did since, and with the debt paid first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app import funding, orders, redemptions, welfare
from app.db import connection, session, transaction
from app.funding.models import Budget
from app.records import reviews
from jobs.proofs import BOOKS, proofs
from tests import world
from tests.world import AT, World

HOUR = timedelta(hours=1)


@pytest.fixture
def city(db_session: Any) -> Any:
    """After each test the books must prove themselves."""
    with transaction():
        here = world.build(people=2, deposit_fen=3_800)  # covers 1,900 credits
    yield here
    link = connection()
    assert {proof.id: rows for proof in proofs(ids=BOOKS) if (rows := proof.find(link))} == {}


def ride(city: World, hours: int, km: str = "10", **changes: Any) -> Any:
    """A metro ride of the first person, some hours ago."""
    starts = AT - hours * HOUR
    with transaction():
        return world.take(
            city, city.people[0], facts={"distance_km": km}, occurred_at=starts, ended_at=starts + HOUR / 2, **changes
        )


def reverse(record_id: int, at: Any = AT) -> None:
    with transaction():
        reviews.reverse(record_id=record_id, code="error", words="", by="operator:ops", at=at)


def give(city: World, credits: int, ref: str) -> None:
    with transaction():
        welfare.give(
            person_id=city.people[0],
            program_id=city.program_id,
            project_id=city.project_id,
            credits=credits,
            client_ref=ref,
            at=AT,
        )


def wallet(city: World) -> Any:
    query = text(
        "select w.carry_micro, w.debt_credits, c.balance as credits, m.balance as mg from wallets w"
        " join accounts c on c.id = w.credits_account_id join accounts m on m.id = w.mg_account_id"
        " where w.person_id = :p and w.program_id = :g"
    )
    return connection().execute(query, {"p": city.people[0], "g": city.program_id}).one()


def worth(city: World) -> int:
    """All that a wallet has, in micro-credits."""
    now = wallet(city)
    return int((now.credits - now.debt_credits) * 1_000_000 + now.carry_micro)


def capacity(city: World) -> int:
    query = text(
        "select sum(a.balance) from budget_slices s join accounts a on a.id = s.account_id where s.budget_id = :b"
    )
    return int(connection().execute(query, {"b": city.budget_id}).scalar_one())


def test_unspent_credits_go_back_as_if_nothing_had_been(city: World) -> None:
    before = capacity(city)
    taken = ride(city, 5)
    assert taken.credits > 0
    reverse(taken.record_id)
    assert tuple(wallet(city)) == (0, 0, 0, 0)
    assert capacity(city) == before


def test_what_was_spent_becomes_a_debt_and_later_credits_pay_it_first(city: World) -> None:
    first = ride(city, 50, "40")
    give(city, first.credits - 3, "g")
    reverse(first.record_id)
    owed = wallet(city).debt_credits
    # Three whole credits were still there. What the carry had is gone with it.
    assert owed == first.credits - 3
    assert wallet(city).credits == 0
    small = ride(city, 30, "5")
    assert wallet(city).debt_credits == owed - small.credits
    assert wallet(city).credits == 0
    ride(city, 20, "60")
    assert wallet(city).debt_credits == 0
    assert wallet(city).credits > 0


def test_spent_credits_of_an_award_that_many_slices_paid(city: World) -> None:
    """A pending award is paid out of several slices; its debt is booked on those, not on the first alone."""
    with transaction():
        world.rich(city, city.people[1], capacity(city) - 5)
    waiting = ride(city, 50, "40")
    assert waiting.award_state == "pending"
    with transaction():
        budget = session().get_one(Budget, city.budget_id)
        funding.receive_deposit(budget=budget, fen=waiting.credits * 2 + 2, reference="more", at=AT)
    with transaction():
        assert funding.pay_pending(budget_id=city.budget_id, at=AT)
    give(city, wallet(city).credits, "g")
    reverse(waiting.record_id)
    assert wallet(city).debt_credits == waiting.credits


def earned(city: World) -> int:
    """What a wallet's live awards are worth, in micro-credits."""
    query = text(
        "select sum(earned_micro - cut_micro) from awards"
        " where person_id = :p and state in ('paid', 'pending', 'nothing')"
    )
    return int(connection().execute(query, {"p": city.people[0]}).scalar_one() or 0)


def test_a_carry_above_one_credit_after_a_reversal_becomes_a_credit(city: World) -> None:
    """3.89 and 3.20 and 3.50 credits: the second crossed a whole credit, which the others together have without it."""
    rides = [ride(city, hours, km) for hours, km in ((60, "0.377"), (50, "0.31"), (40, "0.339"))]
    assert [taken.credits for taken in rides] == [3, 4, 3]
    reverse(rides[1].record_id)
    assert wallet(city).credits == 7
    assert worth(city) == earned(city)


def test_a_carry_below_zero_is_made_up_by_a_whole_credit(city: World) -> None:
    rides = [ride(city, hours, km) for hours, km in ((60, "0.377"), (50, "0.31"))]
    reverse(rides[0].record_id)
    assert (wallet(city).credits, wallet(city).debt_credits) == (3, 0)
    assert worth(city) == earned(city)


def test_whatever_order_records_fall_in_the_rest_is_worth_what_it_earned(city: World) -> None:
    lengths = ("0.377", "0.31", "0.339", "0.41", "0.555", "0.3", "0.777")
    rides = [ride(city, 10 * (9 - number), km) for number, km in enumerate(lengths)]
    give(city, wallet(city).credits - 2, "nearly all")
    spent = sum(taken.credits for taken in rides) - 2
    for number in (3, 0, 6, 2, 5, 1, 4):
        reverse(rides[number].record_id)
        assert worth(city) == earned(city) - spent * 1_000_000
    assert earned(city) == 0


def test_a_waiting_award_is_only_cancelled(city: World) -> None:
    with transaction():
        world.rich(city, city.people[1], capacity(city))
    waiting = ride(city, 50, "40")
    assert waiting.award_state == "pending"
    reverse(waiting.record_id)
    assert tuple(wallet(city)) == (0, 0, 0, 0)
    query = text("select state from awards where record_id is not null")
    assert list(connection().execute(query).scalars()) == ["cancelled"]


def test_twice_is_once(city: World) -> None:
    taken = ride(city, 5)
    reverse(taken.record_id)
    with transaction():
        assert funding.reverse_awards(record_id=taken.record_id, at=AT) == []
    assert wallet(city).credits == 0


def other_sponsors_credits(city: World, credits: int) -> None:
    """Credits in a lot of their own, from a second budget."""
    with transaction():
        first = session().get_one(Budget, city.budget_id)
        budget = funding.open_budget(
            program_id=city.program_id,
            sponsor_id=first.sponsor_id,
            code="second",
            name="b",
            price_fen=2000,
            is_default=False,
            at=AT,
        )
        funding.receive_deposit(budget=budget, fen=credits * 2, reference="r", at=AT)
        request = funding.AwardRequest(
            program_id=city.program_id,
            person_id=city.people[0],
            reason="test",
            source_ref="other",
            occurred_at=AT - 300 * HOUR,
            base_micro=credits * 1_000_000,
            budget_id=budget.id,
        )
        assert funding.award([request], at=AT)[0].state == "paid"


def test_two_debts_of_one_size_at_one_instant_are_both_paid(city: World) -> None:
    """The instant and the size of a debt are no key: two records of equal worth may fall in one transaction."""
    records = [ride(city, hours, "40") for hours in (150, 100)]
    give(city, 400, "all of the first lot")
    other_sponsors_credits(city, 1_000)
    with transaction():
        for record in records:
            reviews.reverse(record_id=record.record_id, code="error", words="", by="operator:ops", at=AT)
    assert (wallet(city).credits, wallet(city).debt_credits) == (600, 0)


def test_credits_past_their_end_pay_no_debt_and_stand_in_nobodys_way(city: World) -> None:
    first = ride(city, 150, "40")
    give(city, 200, "all of the first lot")
    other_sponsors_credits(city, 50)
    with transaction():
        connection().execute(text("update lots set expires_at = :past where remaining > 0"), {"past": AT - HOUR})
    reverse(first.record_id)
    assert (wallet(city).credits, wallet(city).debt_credits) == (50, 200)
    taken = ride(city, 100, "10")
    assert (wallet(city).credits, wallet(city).debt_credits) == (50, 200 - taken.credits)


def test_a_placed_order_keeps_its_codes_when_the_credits_are_taken_back(city: World) -> None:
    taken = ride(city, 50, "10")
    assert taken.credits >= 100
    with transaction():
        wish = orders.Wish(city.item_id, 1, 100)
        placed = orders.place(person_id=city.people[0], client_ref="o", wish=wish, at=AT)
    reverse(taken.record_id)
    assert redemptions.codes_of_order(placed.order_id)
    assert wallet(city).debt_credits == 100
