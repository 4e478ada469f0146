"""One appeal, everything that hangs on the act: credits, the streak, the challenge and the boards, as of its day."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import appeals, checkins, clock, records, teams
from app.clock import SHANGHAI
from app.db import connection, transaction
from jobs.relay import relay_all
from tests import world
from tests.contest import field
from tests.world import World

NOW = datetime(2026, 11, 19, 12, tzinfo=SHANGHAI)


@pytest.fixture
def here(db_session: Session) -> World:
    with transaction():
        return world.build(people=3, at=datetime(2026, 11, 1, tzinfo=SHANGHAI))


def hear() -> None:
    with clock.frozen(NOW):
        relay_all()


def all_of(sql: str, **values: Any) -> list[Any]:
    return list(connection().execute(text(sql), values).scalars())


def decide(record_id: int) -> None:
    with transaction():
        records.reverse(record_id=record_id, code="fraud", words="核实不符", by="operator:ops", at=NOW)
    hear()


def grant(record_id: int, person_id: int) -> None:
    with transaction():
        appeal, _ = appeals.ask(object_id=record_id, person_id=person_id, words="有凭证", at=NOW)
        appeals.answer(appeal_id=appeal, granted=True, words="属实", by="operator:second", at=NOW)
    hear()


def streak(here: World) -> int:
    month = clock.period("month", clock.business_day(NOW))
    found = checkins.calendar(program_id=here.program_id, person_id=here.people[0], month=month, at=NOW)
    assert found is not None
    return int(found.streak.length)


def test_a_check_in_comes_back_into_its_streak(here: World) -> None:
    for day in (16, 17, 18, 19):
        with transaction():
            checkins.check_in(
                program_id=here.program_id, person_id=here.people[0], at=datetime(2026, 11, day, 8, tzinfo=SHANGHAI)
            )
    hear()
    assert streak(here) == 4
    (of_the_day,) = all_of("select id from records where local_date = '2026-11-17'")
    decide(of_the_day)
    assert streak(here) == 2
    grant(of_the_day, here.people[0])
    assert streak(here) == 4
    again = all_of("select local_date::text from records where state = 'counted' order by local_date")
    assert again == ["2026-11-16", "2026-11-17", "2026-11-18", "2026-11-19"]


def test_a_ride_comes_back_into_its_challenge_and_boards(here: World) -> None:
    ann, ben, _ = here.people
    challenge = field.live(here, field.toml("race", "km"))
    field.join(here, ann, ben)
    lost = field.ride(here, ann, 17, "20")
    field.ride(here, ben, 17, "15")
    hear()

    def values() -> dict[int, int]:
        query = "select subject_id, value from challenge_scores where challenge_id = :c"
        return {row.subject_id: row.value for row in connection().execute(text(query), {"c": challenge.id})}

    def on_the_day() -> int:
        query = "select mg from scores where subject_id = :p and subject_kind = 'person' and period_key = '2026-11-17'"
        return int(all_of(query, p=ann)[0])

    before = (values(), on_the_day(), all_of("select sum(balance) from accounts where kind = 'wallet'"))
    decide(lost)
    assert values().get(ann, 0) == 0 and on_the_day() == 0
    grant(lost, ann)
    assert (values(), on_the_day(), all_of("select sum(balance) from accounts where kind = 'wallet'")) == before


def test_a_ride_counts_for_the_team_that_one_was_in_on_that_day(here: World) -> None:
    ann, ben, cleo = here.people
    began = datetime(2026, 11, 16, 6, tzinfo=SHANGHAI)
    with transaction():
        team = teams.found(program_id=here.program_id, person_id=ann, kind="team", name="队", at=began)
        teams.join(code=team.code, person_id=ben, at=began)
        other = teams.found(program_id=here.program_id, person_id=cleo, kind="team", name="他", at=began)
    challenge = field.live(here, field.toml("team", "km", more="capacity = 100\nleast_members = 1"))
    for captain in (ann, cleo):
        field.join(here, captain)
    lost = field.ride(here, ben, 17, "20")
    with transaction():
        teams.leave(team_id=team.id, person_id=ben, at=datetime(2026, 11, 18, tzinfo=SHANGHAI))
        teams.join(code=other.code, person_id=ben, at=datetime(2026, 11, 18, 1, tzinfo=SHANGHAI))
    hear()
    decide(lost)
    grant(lost, ben)
    query = "select subject_id, value from challenge_scores where challenge_id = :c and value > 0"
    found = {row.subject_id: row.value for row in connection().execute(text(query), {"c": challenge.id})}
    assert set(found) == {team.id}


def test_after_the_result_it_is_a_correction(here: World) -> None:
    ann, ben, _ = here.people
    challenge = field.live(here, field.toml("race", "km"))
    field.join(here, ann, ben)
    lost = field.ride(here, ann, 17, "20")
    field.ride(here, ben, 17, "15")
    hear()
    decide(lost)
    field.settle(challenge)
    published = field.ranks(challenge)
    assert [subject for subject, _ in published] == [ben]
    grant(lost, ann)
    assert field.ranks(challenge) == published, "a published list stays as it was"
