"""A piece of daily life for books with everything in them: check-ins, a make-up, a gathering, a quiz."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import text

from app import checkins, clock, gatherings, learning
from app.db import connection, transaction
from tests.world import AT, World

DAY = timedelta(days=1)


def give_card(program_id: int, person_id: int, day: Any) -> None:
    """A make-up card as a streak earns it."""
    values = {"program": program_id, "person": person_id, "day": day, "at": AT}
    for statement in (
        "insert into check_in_cards (program_id, person_id, kind, day, at)"
        " values (:program, :person, 'earned', :day, :at)",
        "update check_in_streaks set cards = cards + 1 where program_id = :program and person_id = :person",
    ):
        connection().execute(text(statement), values)


def live(here: World) -> None:
    """One checks in on two days and today's missed one is made up; two sign up and one comes; one answers a quiz."""
    ann, ben = here.people[1], here.people[2]
    program: dict[str, Any] = {"program_id": here.program_id}
    with transaction():
        connection().execute(text("update memberships set joined_at = :at"), {"at": AT - 9 * DAY})
    for back in (3, 1):
        with transaction():
            checkins.check_in(**program, person_id=ann, at=AT - back * DAY)
    with transaction():
        give_card(here.program_id, ann, clock.business_day(AT - 3 * DAY))
        checkins.make_up(**program, person_id=ann, day=clock.business_day(AT - 2 * DAY), at=AT)
    with transaction():
        wanted = gatherings.Definition(
            code="books", kind="on-site", name="集市", scenario="attendance", starts_at=AT, capacity=5,
            ends_at=AT + timedelta(hours=1),
        )  # fmt: skip
        made = gatherings.launch(**program, definition=wanted, by="operator:ops", at=AT - DAY)
        gatherings.add_host(gathering_id=made.id, person_id=ann, at=AT)
        for person in (ann, ben):
            gatherings.sign_up(gathering_id=made.id, person_id=person, at=AT)
        screen = gatherings.screen(gathering_id=made.id, person_id=ann, place=None, at=AT)
        gatherings.scan(code=screen.text, person_id=ben, at=AT)
    with transaction():
        row = {"ref": "1", "question": "问", "A": "一", "B": "二", "right": "A", "explanation": "因为"}
        learning.import_questions(**program, bank="b", rows=[(2, row)], by="operator:ops", at=AT)
        quiz = {"code": "q", "kind": "daily", "title": "题", "bank": "b", "draws": 1}
        learning.publish(**program, quizzes=[quiz], by="operator:ops", at=AT)
        _, _, (shown,) = learning.overview(**program, person_id=ben, at=AT)
        attempt, _, asked, _ = learning.start(quiz_id=shown.id, person_id=ben, at=AT)
        learning.submit(attempt_id=attempt.id, person_id=ben, answers={asked[0].id: [0]}, at=AT)
