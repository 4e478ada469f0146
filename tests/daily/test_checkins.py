"""The daily check-in: what counts as a day, what a streak is, what it earns, and what mends it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import checkins, clock, notices, operators, programs, records
from app.checkins import rules, streaks
from app.checkins.rules import Milestone
from app.db import connection, transaction
from app.errors import Refusal
from jobs.relay import relay_all
from tests import given, world
from tests.flows.conftest import Citizen
from tests.world import World

DAY = timedelta(days=1)
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai, a Monday


@pytest.fixture
def here(db_session: Session) -> World:
    with transaction():
        return world.build(people=2, at=NOON - 30 * DAY)


def come(here: World, at: datetime, person: int = 0) -> checkins.CheckedIn:
    with transaction():
        return checkins.check_in(program_id=here.program_id, person_id=here.people[person], at=at)


def streak(here: World, at: datetime, person: int = 0) -> Any:
    month = clock.period("month", clock.business_day(at))
    found = checkins.calendar(program_id=here.program_id, person_id=here.people[person], month=month, at=at)
    assert found is not None
    return found.streak


def make_up(here: World, day: date, at: datetime) -> checkins.MadeUp:
    with transaction():
        return checkins.make_up(program_id=here.program_id, person_id=here.people[0], day=day, at=at)


def refused(command: Callable[[], Any]) -> str:
    with pytest.raises(Refusal) as caught:
        command()
    return caught.value.code


def credits(here: World, person: int = 0) -> int:
    query = text("select coalesce(sum(credits), 0) from awards where person_id = :p and state = 'paid'")
    return int(connection().execute(query, {"p": here.people[person]}).scalar_one())


def test_the_first_of_a_day_counts_and_the_rest_are_answered_with_it(here: World) -> None:
    first = come(here, NOON)
    again = come(here, NOON + timedelta(hours=11, minutes=59, seconds=59))
    assert (first.fresh, again.fresh) == (True, False)
    assert (again.record_id, again.checked_at, again.credits) == (first.record_id, first.checked_at, 1)
    assert (again.streak, again.total) == (1, 1)
    assert credits(here) == 1


def test_midnight_is_shanghais(here: World) -> None:
    last = datetime(2026, 3, 2, 15, 59, 59, 999_999, tzinfo=UTC)
    assert come(here, last).day == date(2026, 3, 2)
    assert come(here, last).fresh is False
    next_day = come(here, last + timedelta(microseconds=1))
    assert (next_day.day, next_day.fresh, next_day.streak) == (date(2026, 3, 3), True, 2)


@pytest.mark.parametrize("first", [date(2026, 12, 25), date(2028, 2, 20), date(2027, 2, 22)])
def test_streaks_go_on_over_months_years_and_leap_days(here: World, first: date) -> None:
    at = clock.day_start(first) + timedelta(hours=1)
    for length in range(1, 15):
        found = come(here, at)
        assert (found.streak, found.longest) == (length, length)
        at += DAY


def test_a_missed_day_ends_a_streak_and_milestones_are_paid_once_a_cycle(here: World) -> None:
    reached = []
    for day in [*range(10), *range(11, 25)]:
        found = come(here, NOON + day * DAY)
        if found.milestone is not None:
            reached.append((day, found.milestone.milestone.name, found.milestone.state, found.milestone.credits))
    assert reached == [(6, "week", "paid", 5), (17, "week", "earlier", 0), (24, "fortnight", "paid", 10)]
    assert credits(here) == 24 + 15
    assert streak(here, NOON + 26 * DAY).length == 0
    assert streak(here, NOON + 25 * DAY).length == 14, "until the day is over, nothing is lost"


LADDERS = [
    {3: 10, 30: 1},
    {1: 1, 2: 2, 3: 3, 7: 10},
    {7: 5, 14: 10, 30: 30},
    {5: 5},
]


@pytest.mark.parametrize("steps", LADDERS)
def test_no_pattern_of_skipping_earns_more_than_coming_every_day(steps: dict[int, int]) -> None:
    ladder = {days: Milestone(str(days), days, earned, "", "") for days, earned in steps.items()}

    def earned(days: Iterable[int]) -> int:
        runs = streaks.runs([date(2026, 1, 1) + DAY * day for day in days], frozenset())
        return sum(step.credits for _, step in streaks.due(runs, lambda *_: ladder, {}))

    honest = earned(range(60))
    draw = random.Random(5)
    patterns = [[day for day in range(60) if day % (kept + 1) != kept] for kept in range(1, 31)]
    patterns += [[day for day in range(60) if draw.random() < share] for share in (0.5, 0.8, 0.9, 0.97) * 50]
    assert honest > 0
    assert max(earned(pattern) for pattern in patterns) <= honest


def test_a_step_that_changes_during_a_streak_is_the_better_of_both(here: World) -> None:
    come(here, NOON)
    step = {"name": "week", "days": 7, "credits": 2, "zh": "周", "en": "week"}
    with transaction():
        made = checkins.set_rules(
            program_id=here.program_id, definition={"milestones": [step]}, by="operator:x", at=NOON
        )
    assert made.effective_at == clock.day_start(date(2026, 3, 3))
    found = [come(here, NOON + day * DAY) for day in range(1, 7)][-1]
    assert found.milestone is not None and found.milestone.credits == 5, "as when the streak began"
    begun_later = [come(here, NOON + day * DAY, 1) for day in range(1, 8)][-1]
    assert begun_later.milestone is not None and begun_later.milestone.credits == 2


def test_rules_that_make_no_sense_are_refused(here: World) -> None:
    def set_rules(**definition: Any) -> str:
        return refused(
            lambda: checkins.set_rules(program_id=here.program_id, definition=definition, by="operator:x", at=NOON)
        )

    step = {"name": "a", "days": 7, "credits": 2, "zh": "a", "en": "a"}
    for bad in (
        {"card_every": -1}, {"cards_most": "3"}, {"makeup_days": True}, {"else": 1}, {"milestones": "none"},
        {"milestones": [{**step, "days": 0}]}, {"milestones": [{**step, "credits": 10**9}]},
        {"milestones": [step, {**step, "name": "b"}]}, {"milestones": [step, {**step, "days": 8}]}, {"milestones": [1]},
    ):  # fmt: skip
        assert set_rules(**bad) == "check_in_rules_invalid", bad


def test_a_card_fills_a_missed_day_and_the_milestone_is_paid_as_of_its_day(here: World) -> None:
    for day in [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12]:
        found = come(here, NOON + day * DAY)
    assert (found.streak, found.cards) == (5, 1)
    missed, now = date(2026, 3, 9), NOON + 12 * DAY
    made = make_up(here, missed, now)
    assert (made.fresh, made.streak.length, made.streak.cards) == (True, 13, 0)
    assert make_up(here, missed, now).fresh is False
    assert credits(here) == 12 + 5, "the made-up day earns nothing itself"
    after = come(here, NOON + 13 * DAY)
    assert (after.streak, after.milestone and after.milestone.credits) == (14, 10)
    assert after.cards == 1, "the 14th day earns the next card"


def test_what_cannot_be_made_up(here: World) -> None:
    now = NOON + 20 * DAY
    for day in [*range(13), 15, 18]:
        come(here, NOON + day * DAY)
    today = clock.business_day(now)
    assert refused(lambda: make_up(here, today, now)) == "day_not_to_make_up"
    assert refused(lambda: make_up(here, today + DAY, now)) == "day_not_to_make_up"
    assert refused(lambda: make_up(here, today - 8 * DAY, now)) == "day_not_to_make_up"
    assert refused(lambda: make_up(here, today - 2 * DAY, now)) == "day_not_missed"
    with transaction():
        assert checkins.freeze_day(program_id=None, day=today - 3 * DAY, reason="x", by="operator:x", at=now)
    assert refused(lambda: make_up(here, today - 3 * DAY, now)) == "day_not_missed"
    with transaction():
        connection().execute(text("update check_in_streaks set cards = 3"))
    make_up(here, today - DAY, now)
    make_up(here, today - 4 * DAY, now)
    assert refused(lambda: make_up(here, today - 6 * DAY, now)) == "make_up_limit"
    april = datetime(2026, 4, 1, 1, 0, tzinfo=UTC)
    assert refused(lambda: make_up(here, date(2026, 3, 16), april)) == "day_not_to_make_up"
    with transaction():
        connection().execute(text("update check_in_streaks set cards = 0"))
    assert refused(lambda: make_up(here, date(2026, 3, 28), april)) == "no_make_up_card"


def test_nobody_makes_up_a_day_before_joining(here: World) -> None:
    now = NOON + 5 * DAY
    with transaction():
        late = world.join(programs.by_code(here.code), at=NOON + 3 * DAY)
        checkins.check_in(program_id=here.program_id, person_id=late, at=now)
        connection().execute(text("update check_in_streaks set cards = 1"))

    def command() -> Any:
        with transaction():
            day = clock.business_day(NOON + 2 * DAY)
            return checkins.make_up(program_id=here.program_id, person_id=late, day=day, at=now)

    assert refused(command) == "day_not_to_make_up"


def test_an_outage_of_ours_freezes_the_day_by_itself(here: World) -> None:
    with transaction():
        checkins.beat(at=NOON)
    come(here, NOON)
    back = NOON + 2 * DAY - timedelta(hours=2)  # away from 12:00 on the 2nd until 10:00 on the 4th
    with transaction():
        assert checkins.beat(at=back) == [date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 4)]
        assert checkins.beat(at=back + timedelta(minutes=1)) == []
    found = come(here, back)
    assert found.streak == 2, "the 3rd is frozen: it neither breaks nor counts"
    states = {day.day: day.state for day in _month(here, back).days}
    assert (states[date(2026, 3, 2)], states[date(2026, 3, 3)]) == ("daily", "frozen")


def test_a_short_silence_freezes_nothing(here: World) -> None:
    with transaction():
        assert checkins.beat(at=NOON) == []
        assert checkins.beat(at=NOON + timedelta(minutes=9, seconds=59)) == []
        midnight = clock.day_start(date(2026, 3, 3))
        around = {"began": midnight - timedelta(minutes=9), "ended": midnight + timedelta(minutes=10)}
        frozen = checkins.freeze_outage(**around, reason="outage", by="system:beat", at=NOON + DAY)
    assert frozen == [date(2026, 3, 3)], "nine minutes before midnight are too short, ten after it are not"


def test_a_day_frozen_later_joins_what_it_had_parted(here: World, app: Any) -> None:
    for day in [0, 1, 2, 3, 4, 6, 7, 8]:
        found = come(here, NOON + day * DAY)
    assert (found.streak, credits(here)) == (3, 8)
    with transaction():
        checkins.freeze_day(
            program_id=here.program_id, day=date(2026, 3, 7), reason="x", by="operator:x", at=NOON + 9 * DAY
        )
        assert checkins.affected(date(2026, 3, 7), None) == [(here.program_id, here.people[0])]
        checkins.recount(person_id=here.people[0], program_id=here.program_id, at=NOON + 9 * DAY)
    assert streak(here, NOON + 9 * DAY).length == 8
    assert credits(here) == 8 + 5, "and the week that was reached is paid, once"
    with transaction():
        checkins.recount(person_id=here.people[0], program_id=here.program_id, at=NOON + 9 * DAY)
    assert credits(here) == 13


def _month(here: World, at: datetime) -> checkins.Calendar:
    month = clock.period("month", clock.business_day(at))
    found = checkins.calendar(program_id=here.program_id, person_id=here.people[0], month=month, at=at)
    assert found is not None
    return found


def test_a_check_in_taken_back_shortens_and_an_appeal_restores_the_streak(here: World) -> None:
    found = [come(here, NOON + day * DAY) for day in range(5)]
    now = NOON + 4 * DAY + timedelta(hours=1)
    third = found[2].record_id or 0
    with transaction():
        records.reverse(record_id=third, code="fraud", words="x", by="operator:x", at=now)
    relay_all()
    assert streak(here, now).length == 2
    assert {day.day.day: day.state for day in _month(here, now).days}[4] == "void"
    with transaction():
        records.restore(record_id=third, by="operator:x", at=now)
    relay_all()
    assert streak(here, now).length == 5
    with transaction():
        checkins.recount(person_id=here.people[0], program_id=here.program_id, at=now)
    assert streak(here, now).length == 5
    assert come(here, NOON + 5 * DAY).streak == 6


def test_one_person_in_two_programs_is_paid_once_and_has_two_streaks(here: World) -> None:
    with transaction():
        other = world.build(people=0, template="community", at=NOON - 30 * DAY)
        world.join(programs.by_code(other.code), at=NOON - 20 * DAY, person_id=here.people[0])
    first = come(here, NOON)
    with transaction():
        second = checkins.check_in(program_id=other.program_id, person_id=here.people[0], at=NOON)
    assert (first.credits, first.streak) == (1, 1)
    assert (second.credits, second.streak, second.state) == (0, 1, "duplicate")
    assert second.reason is not None and second.reason.code == "same_act"
    assert credits(here) == 1


def test_who_may_not_check_in(here: World) -> None:
    stranger = given.person()

    def command() -> Any:
        with transaction():
            return checkins.check_in(program_id=here.program_id, person_id=stranger, at=NOON)

    assert refused(command) == "not_a_member"
    assert connection().execute(text("select count(*) from check_ins")).scalar_one() == 0


def test_whoever_wishes_is_reminded_once_a_day_and_not_after_checking_in(here: World) -> None:
    evening = datetime(2026, 3, 2, 12, 5, tzinfo=UTC)  # 20:05
    for person in here.people:
        with transaction():
            checkins.set_reminder(program_id=here.program_id, person_id=person, minute=20 * 60, at=NOON)
    come(here, NOON, 1)
    for at, told in ((NOON + timedelta(hours=1), 0), (evening, 1), (evening + timedelta(minutes=10), 0)):
        with transaction():
            assert checkins.remind_due(at=at) == told
    assert [one.kind for one in notices.of_person(here.people[0], before=None, limit=5)] == ["check-in.reminder"]
    assert notices.of_person(here.people[1], before=None, limit=5) == []
    with transaction():
        assert checkins.remind_due(at=evening + DAY + timedelta(hours=3)) == 0, "nobody is told at night"
        assert checkins.remind_due(at=evening + DAY) == 2
        checkins.end_reminder(program_id=here.program_id, person_id=here.people[0])
        assert checkins.remind_due(at=evening + 2 * DAY) == 1
    for minute in (0, 359, 1351):
        assert (
            refused(
                lambda m=minute: checkins.set_reminder(
                    program_id=here.program_id, person_id=here.people[0], minute=m, at=NOON
                )
            )
            == "reminder_time"
        )


# -- by the API


def test_the_story_of_a_week_by_phone(town: World, settle: Callable[..., Citizen], app: Any) -> None:
    start, ann = clock.now(), settle("alice")
    path = f"/programs/{town.code}/check-in"
    for day in (0, 1, 2, 3, 4, 5, 6, 8):
        with clock.frozen(start + day * DAY):
            ann.phone.sign_in()
            found = ann.post(path)
    assert (found["streak"], found["first"], found["cards"]) == (1, True, 1)
    with clock.frozen(start + 9 * DAY):
        ann.phone.sign_in()
        _mend_and_look(ann, path)


def _mend_and_look(ann: Citizen, path: str) -> None:
    shown = ann.get(path)
    assert (shown["streak"], shown["checked_today"], shown["cards"]["held"]) == (1, False, 1)
    assert [day["day"] for day in shown["days"] if day["can_make_up"]] == ["2026-12-02"]
    made = ann.post(f"{path}/make-up", {"day": "2026-12-02"})
    assert (made["streak"], made["cards"]) == (9, 0)
    assert ann.post(f"{path}/make-up", {"day": "2026-12-02"}, 200)["first"] is False
    today = ann.post(path)
    assert (today["streak"], today["credits"], today["state"]) == (10, 1, "counted")
    assert ann.post(path, status=200)["record_id"] == today["record_id"]
    assert ann.get(path)["ahead"][0] == {
        "name": "fortnight", "title": "连续签到 14 天", "days": 14, "credits": 10, "day": "2026-12-08", "more_days": 4,
    }  # fmt: skip
    assert ann.get(f"{path}?month=2026-10")["days"][0]["state"] == "before"
    for bad in ("2026-13", "2026-1", "x"):
        assert ann.phone.get(f"{path}?month={bad}").status_code == 422
    for bad in ("2026-02-30", "20261123", ""):
        assert ann.refused(f"{path}/make-up", {"day": bad})[0] == 422
    assert ann.phone.put(f"{path}/reminder", {"time": "20:30"}).json == {"time": "20:30"}
    assert ann.get(path)["reminder"] == "20:30"
    assert ann.refused(f"{path}/reminder", {"time": "23:30"}, "PUT") == (422, "reminder_time")
    assert ann.phone.delete(f"{path}/reminder").status_code == 204
    assert ann.get(path)["reminder"] is None


def test_the_operators_side(town: World, settle: Callable[..., Citizen], app: Any, tmp_path: Any) -> None:
    with transaction():
        operators.add(handle="lin", name="林", at=clock.now())
    lin = settle("alice")
    lin.post(f"/programs/{town.code}/check-in")
    flask = app.test_cli_runner().invoke
    assert '"daily": 1' in flask(args=["checkins", "days", "--program", town.code, "--json"]).output
    file = tmp_path / "rules.toml"
    file.write_text('card_every = 5\n[[milestones]]\nname = "a"\ndays = 3\ncredits = 2\nzh = "三天"\nen = "three"\n')
    args = ["checkins", "rules", "--program", town.code, str(file)]
    assert flask(args=args).exit_code == 2, "who does it?"
    tried = flask(args=[*args, "--as", "lin", "--dry-run"])
    assert tried.exit_code == 0 and "nothing was changed" in tried.output
    done = flask(args=[*args, "--as", "lin"])
    assert done.exit_code == 0 and "three" not in done.output and "3" in done.output
    file.write_text("card_every = -5\n")
    assert flask(args=[*args, "--as", "lin"]).exit_code == 1
    file.write_text("card_every = \n")
    assert flask(args=[*args, "--as", "lin"]).exit_code == 1
    day = (clock.business_day(clock.now()) - DAY).isoformat()
    froze = flask(args=["checkins", "freeze", day, "--reason", "停电", "--as", "lin"])
    assert froze.exit_code == 0 and "is frozen;" in froze.output
    assert flask(args=["checkins", "freeze", "2026-01-01", "--reason", "x", "--as", "lin"]).exit_code == 1
    assert flask(args=["checkins", "recount", "--program", town.code, str(lin.person_id)]).exit_code == 0
    assert rules.in_force(town.program_id, clock.now() + DAY).card_every == 5
