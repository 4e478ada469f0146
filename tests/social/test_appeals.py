"""Appeals: by whom and until when, answered by somebody else, and what a granted one gives back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import appeals, orders, records
from app.db import connection, transaction
from app.errors import Refusal
from jobs.relay import relay_all
from tests import world
from tests.races.crowd import at_once, codes, fine
from tests.world import AT, World

OPS, SECOND, THIRD = "operator:ops", "operator:second", "operator:third"


@pytest.fixture
def city(db_session: Session) -> World:
    with transaction():
        return world.build()


def one(sql: str, **values: Any) -> Any:
    return connection().execute(text(sql), values).scalar_one()


def refused(command: Callable[[], Any]) -> str:
    with pytest.raises(Refusal) as caught, transaction():
        command()
    return caught.value.code


def counted(city: World, **changes: Any) -> int:
    with transaction():
        return world.take(city, city.people[0], **changes).record_id or 0


def reversed_record(city: World, *, by: str = OPS, **changes: Any) -> int:
    record = counted(city, **changes)
    with transaction():
        records.reverse(record_id=record, code="fraud", words="核实不符", by=by, at=AT)
    return record


def asked(city: World, record: int, **changes: Any) -> int:
    values = {"object_id": record, "person_id": city.people[0], "words": "有票", "at": AT, **changes}
    with transaction():
        return appeals.ask(**values)[0]


def answered(appeal: int, *, granted: bool = True, by: str = SECOND, at: Any = AT) -> None:
    with transaction():
        appeals.answer(appeal_id=appeal, granted=granted, words="。", by=by, at=at)


def test_a_granted_appeal_gives_back_credits_and_boards_as_of_the_day_of_the_act(city: World) -> None:
    day = AT - timedelta(days=3)
    record = counted(city, occurred_at=day, ended_at=day + timedelta(minutes=30))
    credits = one("select sum(balance) from accounts where kind = 'wallet'")
    with transaction():
        orders.place(person_id=city.people[0], client_ref="o", wish=orders.Wish(city.item_id, 1, 100), at=AT)
        records.reverse(record_id=record, code="fraud", words="核实不符", by=OPS, at=AT)
    relay_all()
    assert one("select debt_credits from wallets where person_id = :p", p=city.people[0]) == 100
    answered(asked(city, record), at=AT + timedelta(days=2))
    relay_all()
    restored = one("select id from records where supersedes_id = :r", r=record)
    assert one("select local_date = (select local_date from records where id = :r) from records where id = :n",
               r=record, n=restored)  # fmt: skip
    assert one("select debt_credits from wallets where person_id = :p", p=city.people[0]) == 0
    assert one("select sum(balance) from accounts where kind = 'wallet'") == credits - 100
    on_the_day = "select mg from scores where subject_kind = 'person' and period_kind = 'day' and period_key = :d"
    assert one(on_the_day, d=str(day.date())) == 1032560


def test_a_restored_act_is_not_judged_anew(city: World) -> None:
    """It had been released although its speed was odd: a granted appeal must not hold it again, nor lose it because
    the person has withdrawn the consent or the scenario is over by now."""
    with transaction():
        held = world.take(city, city.people[0], facts={"distance_km": "100"}).record_id or 0
        assert records.release(record_id=held, by=OPS, at=AT).state == "counted"
        records.reverse(record_id=held, code="error", words="x", by=OPS, at=AT)
        connection().execute(text("update scenarios set state = 'retired' where code = 'metro-ride'"))
    answered(asked(city, held))
    assert one("select state from records where supersedes_id = :r", r=held) == "counted"
    assert one("select count(*) from notices where kind = 'appeal.granted'") == 1


def test_a_photo_does_not_stand_in_its_own_way(city: World) -> None:
    record = reversed_record(city, facts={"distance_km": "10", "photo_hash": "ab" * 16})
    answered(asked(city, record))
    assert one("select state from records where supersedes_id = :r", r=record) == "counted"


def test_who_decided_does_not_answer_and_the_second_look_is_somebody_elses(city: World) -> None:
    record = reversed_record(city)
    first = asked(city, record)
    assert refused(partial(appeals.answer, appeal_id=first, granted=False, words="不", by=OPS, at=AT)) == (
        "appeal_own_decision"
    )
    answered(first, granted=False)
    second = asked(city, record)
    assert second != first
    again = partial(appeals.answer, appeal_id=second, granted=True, words="好", by=SECOND, at=AT)
    assert refused(again) == "appeal_own_decision"
    answered(second, granted=False, by=THIRD)
    third = partial(appeals.ask, object_id=record, person_id=city.people[0], words="再", at=AT)
    assert refused(third) == "appeal_decided"


def test_who_asked_for_a_reversal_does_not_answer_either(city: World) -> None:
    record = reversed_record(city)
    with transaction():
        connection().execute(
            text(
                "insert into approvals (action, payload, payload_hash, reason, maker, asked_at, state, checker,"
                " decided_at)"
                " values ('records.reverse', jsonb_build_object('record_id', cast(:r as bigint)), '\\x00', 'r',"
                " 'operator:maker', now(), 'executed', 'operator:ops', now())"
            ),
            {"r": record},
        )
    appeal = asked(city, record)
    by_maker = partial(appeals.answer, appeal_id=appeal, granted=True, words="好", by="operator:maker", at=AT)
    assert refused(by_maker) == "appeal_own_decision"


def test_the_sixty_days_run_from_when_the_person_was_told(city: World) -> None:
    record = counted(city)
    late = AT + timedelta(days=90)
    with transaction():
        records.reverse(record_id=record, code="fraud", words="x", by=OPS, at=late)
    ask = partial(appeals.ask, object_id=record, person_id=city.people[0], words="有票")
    assert refused(partial(ask, at=late + timedelta(days=60, seconds=1))) == "appeal_too_late"
    assert asked(city, record, at=late + timedelta(days=60)) > 0


def test_an_act_that_another_record_counts_for_cannot_be_granted(city: World) -> None:
    """Granting must not say "restored" when nothing is."""
    counted(city)
    with transaction():
        doubled = world.take(city, city.people[0], reference="second-report")
    assert doubled.state == "duplicate"
    appeal = asked(city, doubled.record_id or 0)
    grant = partial(appeals.answer, appeal_id=appeal, granted=True, words="好", by=SECOND, at=AT)
    assert refused(grant) == "appeal_cannot_count"
    assert one("select state from appeals where id = :a", a=appeal) == "open"
    assert one("select count(*) from notices where kind = 'appeal.granted'") == 0


def test_a_record_released_meanwhile_is_granted_without_counting_twice(city: World) -> None:
    with transaction():
        held = world.take(city, city.people[0], facts={"distance_km": "100"}).record_id or 0
    appeal = asked(city, held)
    with transaction():
        records.release(record_id=held, by=OPS, at=AT)
    answered(appeal)
    assert one("select count(*) from records where state = 'counted'") == 1
    assert one("select state from appeals where id = :a", a=appeal) == "granted"
    again = partial(appeals.ask, object_id=held, person_id=city.people[0], words="再", at=AT)
    assert refused(again) == "nothing_to_appeal"


def test_a_refused_appeal_leaves_nothing_held_for_ever(city: World) -> None:
    with transaction():
        held = world.take(city, city.people[0], facts={"distance_km": "100"}).record_id or 0
    answered(asked(city, held), granted=False)
    assert one("select state || ' ' || reason_code from records where id = :r", r=held) == "rejected evidence_missing"
    second = asked(city, held)
    again = partial(appeals.answer, appeal_id=second, granted=True, words="好", by=SECOND, at=AT)
    assert refused(again) == "appeal_own_decision"
    answered(second, by=THIRD)
    assert one("select state from records where id = :r", r=held) == "counted"


def test_what_was_restored_is_not_restored_twice(city: World) -> None:
    record = reversed_record(city)
    answered(asked(city, record))
    again = partial(appeals.ask, object_id=record, person_id=city.people[0], words="再", at=AT)
    assert refused(again) == "nothing_to_appeal"
    with transaction():
        records.restore(record_id=record, by=SECOND, at=AT)
    assert one("select count(*) from records where state = 'counted'") == 1


def test_who_waits_longer_than_promised_is_told_once(city: World) -> None:
    asked(city, reversed_record(city))
    with transaction():
        assert appeals.tell_late(at=AT + timedelta(days=10)) == 0
        assert appeals.tell_late(at=AT + timedelta(days=10, seconds=1)) == 1
        assert appeals.tell_late(at=AT + timedelta(days=11)) == 0
    assert one("select count(*) from notices where kind = 'appeal.late'") == 1


def test_eight_appeals_at_once_are_one_and_two_answers_are_one(crowd: Any) -> None:
    with transaction():
        city = world.build()
    record = reversed_record(city)
    ask = partial(appeals.ask, object_id=record, person_id=city.people[0], words="有票", at=AT)
    opened = fine(at_once(crowd, *[ask] * 8))
    assert len({number for number, _ in opened}) == 1
    assert sum(fresh for _, fresh in opened) == 1
    grant = partial(appeals.answer, appeal_id=opened[0][0], granted=True, words="好", at=AT)
    answers = at_once(crowd, partial(grant, by=SECOND), partial(grant, by=THIRD))
    assert (len(fine(answers)), codes(answers)) == (1, ["state_conflict"])
    assert one("select count(*) from records where state = 'counted'") == 1
