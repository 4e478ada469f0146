"""Awards, budgets and deposits under real threads.

Seen red with each of these planted: the look for waiting awards left out of budget_reserve (AWD-3: a newcomer
overtook); what it grants not limited to what there is (the drain met the constraint); ledger_post without its conflict
clause (an error per loser); pay_pending without its locks (paid twice); a slice kept while all are locked (deadlocks).
"""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from app import funding, ledger, welfare
from app.db import connection, session, transaction
from app.funding import AwardRequest
from app.funding.models import Budget
from app.records import reviews
from tests import world
from tests.races.crowd import at_once, codes, fine
from tests.world import AT, World

pytestmark = pytest.mark.race


def request(city: World, person: int, ref: str, credits: int) -> AwardRequest:
    """An award of so many credits."""
    return AwardRequest(
        city.program_id, person, "race", ref, AT - timedelta(days=3), base_micro=credits * 1_000_000
    )  # fmt: skip


def award(city: World, person: int, ref: str, credits: int) -> funding.Awarded:
    return funding.award([request(city, person, ref, credits)], at=AT)[0]


def number(sql: str, **values: Any) -> int:
    with transaction():
        return int(connection().execute(text(sql), values).scalar_one())


def capacity(city: World) -> int:
    return number(
        "select sum(a.balance) from budget_slices s join accounts a on a.id = s.account_id where s.budget_id = :b",
        b=city.budget_id,
    )


def deposit(city: World, fen: int, reference: str) -> bool:
    budget = session().get_one(Budget, city.budget_id)
    return funding.receive_deposit(budget=budget, fen=fen, reference=reference, at=AT)[1]


def test_twenty_post_one_award_and_there_is_one_transfer(crowd: Any, city: World) -> None:
    answers = at_once(crowd, *[partial(award, city, city.people[0], "same", 50)] * 20)
    assert codes(answers) == []
    assert len({answer.award_id for answer in fine(answers)}) == 1
    assert sum(answer.fresh for answer in fine(answers)) == 1
    assert number("select count(*) from transfers where reason = 'award.race'") == 1
    assert capacity(city) == 950


def test_twenty_post_one_transfer_straight_to_the_ledger(crowd: Any, city: World) -> None:
    with transaction():
        mint = ledger.account(program_id=city.program_id, asset="credits", kind="mint")
        spent = ledger.account(program_id=city.program_id, asset="credits", kind="spent")
    draft = ledger.Draft(city.program_id, "race", "same", [(mint, -1), (spent, 1)])
    answers = at_once(crowd, *[partial(ledger.post, [draft], at=AT)] * 20)
    assert len({answer[0].transfer_id for answer in fine(answers)}) == 1
    assert sum(answer[0].fresh for answer in fine(answers)) == 1


def test_thirty_drain_a_budget_of_a_thousand_by_fifty(crowd: Any, city: World) -> None:
    """Twenty are paid; ten wait, and the next money pays them in the order in which they came."""
    people = city.people
    tries: list[int] = []

    def one(person: int) -> funding.Awarded:
        tries.append(person)
        return award(city, person, f"drain-{person}", 50)

    answers = at_once(crowd, *[partial(one, person) for person in people])
    assert sorted(tries) == sorted(people), "nobody was the victim of a deadlock, which takes PostgreSQL a second each"
    states = [answer.state for answer in fine(answers)]
    assert sorted(states) == ["paid"] * 20 + ["pending"] * 10
    assert capacity(city) == 0
    first_waiting = min(answer.award_id for answer in fine(answers) if answer.state == "pending")
    assert all(answer.award_id < first_waiting for answer in fine(answers) if answer.state == "paid")
    with transaction():
        deposit(city, 300, "covers 150")
    with transaction():
        paid = funding.pay_pending(budget_id=city.budget_id, at=AT)
    waiting = sorted(answer.award_id for answer in fine(answers) if answer.state == "pending")
    assert paid == waiting[:3]


def test_awards_of_many_sizes_never_overrun(crowd: Any, city: World) -> None:
    sizes = [7, 13, 29, 61, 97, 151] * 5
    people = city.people
    answers = at_once(
        crowd, *[partial(award, city, person, f"d-{person}", size) for person, size in zip(people, sizes, strict=True)]
    )
    paid = sum(answer.credits for answer in fine(answers) if answer.state == "paid")
    assert paid <= 1_000
    assert capacity(city) == 1_000 - paid


def test_waiting_awards_are_paid_once_and_in_order_while_others_arrive(crowd: Any, city: World) -> None:
    with transaction():
        for person in city.people[:12]:
            award(city, person, f"first-{person}", 100)
        deposit(city, 2_000, "second")
    pay = [partial(funding.pay_pending, budget_id=city.budget_id, at=AT)] * 4
    late = [partial(award, city, person, f"late-{person}", 30) for person in city.people[12:22]]
    more = [partial(deposit, city, 400, "third")] * 2
    answers = at_once(crowd, *pay, *late, *more)
    assert codes(answers) == []
    for _ in range(3):
        with transaction():
            funding.pay_pending(budget_id=city.budget_id, at=AT)
    assert number("select count(*) from awards where state = 'pending'") == 0
    assert number("select count(*) from transfers where reason = 'award.race'") == 22
    assert capacity(city) == 1_000 + 1_000 + 200 - 1_200 - 300


def test_one_deposit_twice_at_once_is_one(crowd: Any, city: World) -> None:
    answers = at_once(crowd, *[partial(deposit, city, 500, "bank-77")] * 8)
    assert sorted(fine(answers)) == [False] * 7 + [True]
    assert capacity(city) == 1_250
    others = at_once(crowd, partial(deposit, city, 500, "bank-77"), partial(deposit, city, 501, "bank-77"))
    assert codes(others) == ["idempotency_conflict"]


def test_a_reversal_and_a_spend_of_the_same_credits(crowd: Any, city: World) -> None:
    """Whichever wins, the books hold: the spend is refused, or it stands and is owed."""
    person = city.people[0]
    for round_ in range(6):
        starts = AT - timedelta(days=round_ + 1)
        with transaction():
            ride = world.take(city, person, occurred_at=starts, ended_at=starts + timedelta(minutes=30))
        before = number("select count(*) from gifts")
        gift = partial(
            welfare.give,
            person_id=person,
            program_id=city.program_id,
            project_id=city.project_id,
            credits=90,
            client_ref=f"gift-{round_}",
            at=AT,
        )
        fall = partial(
            reviews.reverse, record_id=ride.record_id or 0, code="error", words="", by="operator:ops", at=AT
        )  # fmt: skip
        answers = at_once(crowd, gift, fall) if round_ % 2 else at_once(crowd, fall, gift)
        assert codes(answers) in ([], ["insufficient"])
        given = number("select count(*) from gifts") - before
        assert given == (0 if codes(answers) else 1)
        owed = number("select sum(debt_credits) from wallets where person_id = :p", p=person)
        assert owed == 90 * number("select count(*) from gifts")


def test_the_slices_stay_useful_after_a_shortage(crowd: Any, city: World) -> None:
    """When the slices were gathered for an award larger than each, what is left is spread again: nobody queues."""
    with transaction():
        award(city, city.people[0], "larger than a slice", 70)
    filled = number(
        "select count(*) from budget_slices s join accounts a on a.id = s.account_id"
        " where s.budget_id = :b and a.balance > 0",
        b=city.budget_id,
    )
    assert filled == 13
    assert capacity(city) == 930


def test_locks_are_taken_in_one_order(crowd: Any, city: World) -> None:
    """Batches that name the same wallets in opposite orders never deadlock."""
    seen: list[str] = []
    watch = threading.Lock()

    def batch(step: int, people: list[int]) -> None:
        with watch:
            seen.append("try")
        funding.award([request(city, person, f"b{step}-{person}", 1) for person in people], at=AT)

    forward, backward = city.people[:10], city.people[9::-1]
    commands = [partial(batch, step, forward if step % 2 else backward) for step in range(12)]
    assert codes(at_once(crowd, *commands)) == []
    assert len(seen) == 12  # nobody had to try again
