"""Challenges: what counts, who wins, prizes reserved and paid once, and what follows when the data change later."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app import challenges, records
from app.db import run, transaction
from app.errors import Refusal
from jobs.relay import relay_all
from tests import world
from tests.contest import field
from tests.contest.field import CLOSED, END, START, balance, join, live, ranks, ride, settle, toml, wins
from tests.world import World


@pytest.fixture
def city(db_session: Session) -> World:
    with transaction():
        return world.build(people=4, at=START - timedelta(days=20))


def standing(challenge: Any, person: int) -> Any:
    found = run("select * from challenges where id = %(id)s", {"id": challenge.id})[0]
    return challenges.standing(found, person)


def test_a_race_is_ranked_by_kilometres_and_its_first_two_are_paid_from_the_reserve(city: World) -> None:
    one, two, three, idle = city.people
    before = field.capacity(city.budget_id)
    race = live(city, toml())
    assert race.reserved == 100 and field.capacity(city.budget_id) == before - 100
    join(city, one, two, three, idle)
    ride(city, one, 17, "12.5")
    ride(city, two, 18, "30")
    ride(city, three, 19, "7")
    ride(city, three, 15, "400")  # before it began
    relay_all()
    assert standing(race, two).value == 30_000
    assert challenges.around(race, one).line.rank == 2  # type: ignore[union-attr]
    had = balance(city, two)
    settle(race)
    assert ranks(race) == [(two, 30_000), (one, 12_500), (three, 7_000)]
    assert wins(race) == {two: (50, "paid"), one: (50, "paid")}
    assert balance(city, two) == had + 50
    settle(race)  # once
    assert balance(city, two) == had + 50
    assert field.capacity(city.budget_id) == before - sum(
        row.credits for row in run("select credits from awards where state = 'paid'")
    )
    assert challenges.verify(race.id) == (True, [])


def test_a_prize_is_its_own_transfer_named_for_the_challenge_and_no_cap_cuts_it(city: World) -> None:
    one = city.people[0]
    race = live(city, toml(prizes=field.RANKS.format(first=1, last=1, credits=9_000)))
    join(city, one)
    ride(city, one, 17)
    settle(race)
    award = run("select reason, credits, cut_micro, state from awards where reason like 'challenge.%%'")[0]
    assert tuple(award) == ("challenge.metro-week", 9_000, 0, "paid")
    told = run("select zh from notices where kind = 'challenge.prize' and person_id = %(p)s", {"p": one})
    assert len(told) == 1 and "9000" in told[0].zh


def test_an_equal_score_goes_to_who_reached_it_first(city: World) -> None:
    one, two = city.people[:2]
    race = live(city, toml())
    join(city, one, two)
    ride(city, two, 18, "10", hour=9)
    ride(city, one, 18, "10", hour=8)
    settle(race)
    assert [subject for subject, _ in ranks(race)] == [one, two]


def test_a_streak_counts_days_in_a_row_and_not_days(city: World) -> None:
    one, two = city.people[:2]
    streak = live(city, toml("streak", "days", prizes=field.REACH.format(reach="3", credits=30)))
    join(city, one, two)
    for day in (16, 17, 19, 20):
        ride(city, one, day)
    for day in (17, 18, 19):
        ride(city, two, day)
    settle(streak)
    assert dict(ranks(streak)) == {one: 2, two: 3}
    assert wins(streak) == {two: (30, "paid")}


def test_a_day_of_our_own_outage_breaks_no_streak(city: World) -> None:
    one = city.people[0]
    streak = live(city, toml("streak", "days", prizes=field.REACH.format(reach="3", credits=30)))
    join(city, one)
    for day in (16, 17, 19):
        ride(city, one, day)
    run(
        "insert into check_in_freezes (day, minutes, reason, made_by, made_at)"
        " values ('2026-11-18', 90, 'outage', 'system', now())"
    )
    settle(streak)
    assert ranks(streak) == [(one, 3)]


def test_stages_of_a_goal_are_reached_one_after_the_other(city: World) -> None:
    one, two = city.people[:2]
    stages = field.REACH.format(reach="10", credits=5) + field.REACH.format(reach="20", credits=20)
    goal = live(city, toml("goal", prizes=stages))
    assert goal.reserved == 2_500  # 100 places, both stages
    join(city, one, two)
    ride(city, one, 17, "20")  # exactly
    ride(city, two, 17, "19.999")
    settle(goal)
    query = "select person_id, prize_no from challenge_wins where challenge_id = %(id)s order by 1, 2"
    assert [tuple(row) for row in run(query, {"id": goal.id})] == [(one, 1), (one, 2), (two, 1)]


def test_a_day_counts_at_most_what_the_rules_say(city: World) -> None:
    one = city.people[0]
    race = live(city, toml("race", "count", more="capacity = 100\nper_day = 2"))
    join(city, one)
    for hour in (7, 9, 11):
        ride(city, one, 17, hour=hour)
    ride(city, one, 18)
    settle(race)
    assert ranks(race) == [(one, 3)]


def test_grams_are_the_milligrams_of_the_records(city: World) -> None:
    one = city.people[0]
    race = live(city, toml("race", "g"))
    join(city, one)
    record = ride(city, one, 17)
    settle(race)
    mg = run("select counted_mg from reductions where record_id = %(id)s", {"id": record})[0].counted_mg
    assert ranks(race) == [(one, mg)]


def test_late_data_count_until_it_closes_and_not_a_moment_longer(city: World) -> None:
    one, two = city.people[:2]
    race = live(city, toml())
    join(city, one, two)
    ride(city, one, 22, at=race.closes_at - timedelta(milliseconds=1))
    ride(city, two, 22, at=race.closes_at)
    settle(race)
    assert [subject for subject, _ in ranks(race)] == [one]


def test_the_edges_of_its_time_are_half_open(city: World) -> None:
    one, two = city.people[:2]
    race = live(city, toml("race", "count"))
    join(city, one, two)
    for person, moment in ((one, START), (one, END - timedelta(milliseconds=1)), (two, END),
                           (two, START - timedelta(milliseconds=1))):  # fmt: skip
        with transaction():
            records.take(world.act(city, person, occurred_at=moment, ended_at=moment), at=moment + timedelta(hours=1))
    settle(race)
    assert dict(ranks(race)) == {one: 2}


def test_nobody_joins_before_or_after_the_window(city: World) -> None:
    race = live(city, toml(), at=START - timedelta(days=10))
    assert refusal(city, at=race.enrol_from - timedelta(milliseconds=1)) == "enrolment_not_open"
    join(city, city.people[1], at=race.enrol_until - timedelta(milliseconds=1))
    assert refusal(city, at=race.enrol_until) == "enrolment_closed"
    settle(race)
    assert refusal(city, at=CLOSED) == "enrolment_closed"


def refusal(city: World, **values: Any) -> str:
    with pytest.raises(Refusal) as refused, transaction():
        challenges.enrol(program_id=city.program_id, code="metro-week", person_id=city.people[0], **values)
    return refused.value.code


def test_the_last_place_is_one_and_a_withdrawal_frees_it(city: World) -> None:
    one, two = city.people[:2]
    race = live(city, toml(more="capacity = 1"))
    join(city, two)
    assert refusal(city, at=START) == "challenge_full"
    with transaction():
        challenges.withdraw(program_id=city.program_id, code="metro-week", person_id=two, at=START)
    join(city, one)
    join(city, one)  # twice is once
    assert run("select enrolled from challenges where id = %(id)s", {"id": race.id})[0].enrolled == 1


def test_what_was_put_in_goes_with_who_withdraws(city: World) -> None:
    one, two = city.people[:2]
    race = live(city, toml())
    join(city, one, two)
    ride(city, one, 17)
    ride(city, two, 17)
    with transaction():
        challenges.withdraw(program_id=city.program_id, code="metro-week", person_id=one, at=END - timedelta(hours=1))
    relay_all()
    assert challenges.around(race, one).line is None
    settle(race)
    assert [subject for subject, _ in ranks(race)] == [two]
    with pytest.raises(Refusal, match="challenge_begun"), transaction():
        challenges.withdraw(program_id=city.program_id, code="metro-week", person_id=two, at=END)


def test_an_empty_prize_budget_refuses_the_launch_and_changes_nothing(db_session: Session) -> None:
    with transaction():
        poor = world.build(people=1, deposit_fen=150, at=START - timedelta(days=20))
    with pytest.raises(Refusal) as refused:
        live(poor, toml())
    assert refused.value.code == "reserve_short"
    assert refused.value.details == {"needed": 100, "available": 75, "budget": "main"}
    assert field.capacity(poor.budget_id) == 75
    assert run("select 1 from challenges") == [] and run("select 1 from budget_reserves") == []


def test_two_launches_on_one_deposit_are_not_both_covered(db_session: Session) -> None:
    with transaction():
        small = world.build(people=1, deposit_fen=300, at=START - timedelta(days=20))
    live(small, toml())
    with pytest.raises(Refusal, match="reserve_short"):
        live(small, toml(code="second"))


def test_a_change_after_enrolment_only_in_favour_of_who_takes_part(city: World) -> None:
    race = live(city, toml())
    join(city, city.people[0])

    def amend(text: str) -> Any:
        with transaction():
            return challenges.amend(
                challenge_id=race.id, definition=challenges.parse(text), actor="operator:lin", at=START
            )

    for worse, name in (
        (toml(prizes=field.RANKS.format(first=1, last=2, credits=49)), "prizes"),
        (toml(prizes=field.RANKS.format(first=1, last=1, credits=50)), "prizes"),
        (toml(more="capacity = 99"), "capacity"),
        (toml("race", "g"), "measure"),
        (toml().replace("ends = 2026-11-23", "ends = 2026-11-24"), "ends_at"),
    ):
        with pytest.raises(Refusal) as refused:
            amend(worse)
        assert refused.value.code == "change_against_promise" and name in refused.value.details["fields"]
    better = amend(toml(more="capacity = 200", prizes=field.RANKS.format(first=1, last=3, credits=60)))
    assert (better.version, better.reserved) == (2, 180)
    kept = run("select version from enrolments where challenge_id = %(id)s", {"id": race.id})[0].version
    assert kept == 1  # enrolled under the first


def test_a_record_reversed_before_the_settlement_does_not_count(city: World) -> None:
    one, two = city.people[:2]
    race = live(city, toml())
    join(city, one, two)
    wrong = ride(city, one, 17, "60")
    ride(city, two, 17, "10")
    reverse(wrong, at=END)
    relay_all()
    assert challenges.around(race, one).line is None
    settle(race)
    assert [subject for subject, _ in ranks(race)] == [two]


def reverse(record_id: int, at: Any = CLOSED + timedelta(hours=1)) -> None:
    with transaction():
        records.reverse(record_id=record_id, code="fraud", words="", by="operator:wu", at=at)


def correct(challenge: Any, *people: int) -> int:
    with transaction():
        return challenges.correct(challenge_id=challenge.id, person_ids=people, at=CLOSED + timedelta(hours=2))


def test_a_record_reversed_after_the_prize_was_paid_takes_it_back_and_the_list_stands(city: World) -> None:
    one, two, three = city.people[:3]
    race = live(city, toml())
    join(city, one, two, three)
    wrong = ride(city, one, 17, "60")
    ride(city, two, 17, "50")
    ride(city, three, 17, "10")
    relay_all()
    settle(race)
    published = ranks(race)
    had = balance(city, one)
    reverse(wrong)
    relay_all()
    jobs = run("select args from procrastinate_jobs where task_name = 'challenges.correct'")
    assert [job.args for job in jobs] == [{"challenge_id": race.id, "person_ids": [one]}]
    assert correct(race, one) == 1 and correct(race, one) == 0  # twice is once
    assert wins(race)[one] == (50, "taken_back") and wins(race)[two] == (50, "paid")
    assert balance(city, one) <= had - 50
    assert ranks(race) == published and three not in wins(race)  # nobody moves up
    assert challenges.verify(race.id) == (True, [])  # as of its instant it is still the same
    log = run("select value_before, value_after, effect from challenge_corrections")
    assert [tuple(row) for row in log] == [(60_000, 0, "taken_back")]


def test_where_the_rule_says_keep_the_prize_stays(city: World) -> None:
    one = city.people[0]
    race = live(city, toml(more='capacity = 100\non_reversal = "keep"'))
    join(city, one)
    wrong = ride(city, one, 17, "60")
    settle(race)
    reverse(wrong)
    assert correct(race, one) == 1
    assert wins(race) == {one: (50, "paid")}
    assert [row.effect for row in run("select effect from challenge_corrections")] == ["none"]


def test_a_prize_that_is_spent_becomes_a_debt(city: World) -> None:
    one = city.people[0]
    race = live(city, toml())
    join(city, one)
    wrong = ride(city, one, 17, "10")
    settle(race)
    with transaction():
        wallet = world.funding.lock_wallet(person_id=one, program_id=city.program_id, at=CLOSED)
        account = world.funding.actions.ledger.account(program_id=city.program_id, asset="credits", kind="sink")
        world.funding.spend(wallet=wallet, credits=balance(city, one), to_account_id=account, reason="test",
                            source_ref="spent", at=CLOSED)  # fmt: skip
    reverse(wrong)
    correct(race, one)
    debt = run("select debt_credits from wallets where person_id = %(p)s", {"p": one})[0].debt_credits
    assert debt >= 50


def test_an_appeal_granted_after_the_settlement_pays_as_of_the_day(city: World) -> None:
    one = city.people[0]
    goal = live(city, toml("goal", prizes=field.REACH.format(reach="10", credits=30)))
    join(city, one)
    record = ride(city, one, 17, "10")
    with transaction():
        records.reverse(record_id=record, code="fraud", words="", by="operator:wu", at=END)
    settle(goal)
    assert wins(goal) == {}
    with transaction():
        records.restore(record_id=record, by="operator:lin", at=CLOSED + timedelta(days=1))
    relay_all()
    assert correct(goal, one) == 1
    assert wins(goal) == {one: (30, "paid")}
    assert challenges.verify(goal.id) == (True, [])


def test_a_cancelled_challenge_gives_its_reserve_back_and_tells_everybody(city: World) -> None:
    before = field.capacity(city.budget_id)
    race = live(city, toml())
    join(city, *city.people)
    with transaction():
        challenges.cancel(challenge_id=race.id, words="暴雨", actor="operator:lin", at=START)
    assert field.capacity(city.budget_id) == before
    assert len(run("select 1 from notices where kind = 'challenge.cancelled'")) == 4
    with pytest.raises(Refusal, match="state_conflict"):
        settle(race)


def test_a_challenge_that_is_not_over_is_not_settled(city: World) -> None:
    race = live(city, toml())
    with pytest.raises(Refusal, match="state_conflict"):
        settle(race, at=race.closes_at + timedelta(minutes=9))
    assert challenges.due(at=race.closes_at + timedelta(minutes=9)) == []
    assert challenges.due(at=race.closes_at + timedelta(minutes=10)) == [race.id]


def test_the_ranks_are_the_same_without_redis(city: World, redis: Any) -> None:
    one, two, three = city.people[:3]
    race = live(city, toml())
    join(city, one, two, three)
    for person, km in ((one, "3"), (two, "5"), (three, "5")):
        ride(city, person, 17, km)
    relay_all()
    shown = challenges.top(race, offset=0, limit=10)
    mine = challenges.around(race, one)
    redis.flushdb()
    assert challenges.top(race, offset=0, limit=10) == shown
    assert challenges.around(race, one) == mine
    challenges.rebuild(race.id)
    assert challenges.top(race, offset=0, limit=10) == shown


def test_who_has_opted_out_competes_unseen(city: World) -> None:
    one, two = city.people[:2]
    race = live(city, toml())
    join(city, one, two)
    ride(city, one, 17, "30")
    ride(city, two, 17, "10")
    run("update persons set on_boards = false where id = %(p)s", {"p": one})
    settle(race)
    assert wins(race)[one] == (50, "paid")
    assert challenges.persons([one, two])[one] is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (toml(more=""), ""),
        (toml("goal", more=""), "capacity"),
        (toml("streak", "km"), "a streak is measured in days"),
        (toml("race", "kwh_per_100km"), "norms"),
        (toml(more="capacity = 0"), "capacity"),
        (toml(more="capacity = 1.5"), "capacity"),
        (toml(more="colour = 'red'"), "colour: no such field"),
        (toml(prizes=field.RANKS.format(first=3, last=1, credits=5)), "prizes 1"),
        (toml(prizes=field.RANKS.format(first=1, last=1, credits=-5)), "prizes 1"),
        (toml("goal", prizes=field.REACH.format(reach="0", credits=5)), "above zero"),
        (toml("goal", prizes=field.REACH.format(reach="NaN", credits=5)), "above zero"),
        (toml().replace("2026-11-23T00:00:00+08:00", '"soon"'), "ends"),
        (toml().replace("budget", "# budget"), "budget"),
        (toml().replace('"metro-ride"', '"teleport"'), "no teleport"),
        ("not = [toml", ""),
        (toml("unit"), "units"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(city: World, text: str, words: str) -> None:
    if not words and text.startswith("\ncode"):
        live(city, text)  # ranks alone need no capacity
        return
    with pytest.raises(Refusal) as refused:
        live(city, text)
    assert refused.value.code == "challenge_invalid"
    assert words in " ".join(refused.value.details["problems"])
