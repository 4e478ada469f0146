"""Somebody who has done everything leaves: all of it is in the copy, nothing personal stays, the books stay whole."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app import appeals, orders, personal_data, programs, records, redemptions, sources, welfare
from app.db import session, transaction
from app.people.consents import PURPOSES
from app.people.models import Person
from jobs.proofs import proofs, prove
from tests import given, world
from tests.given import AT

LATER = AT + timedelta(days=1)


@pytest.fixture
def life(clean_db: Any) -> Any:
    """A person of a program with acts, an appeal, an order with its code, a gift, a vehicle, a bound account, work."""
    with clean_db.app_context():
        with transaction():
            made = world.build(people=1)
        with transaction():
            person = given.login("o-canary").person_id
            given.profile(person, nickname="canary")
            world.join(programs.by_code(made.code), person_id=person)
            world.rich(made, person, 500)
        with transaction():
            taken = world.take(made, person, facts={"distance_km": "200"})
            world.take(
                made, person, reference="second", occurred_at=AT - timedelta(hours=5), ended_at=AT - timedelta(hours=4)
            )
            appeals.ask(object_id=taken.record_id or 0, person_id=person, words="canary words", at=AT)
            world.car(person, mileage=True)
            sources.bind_account(source_id=made.sources["partner"], person_id=person, account="canary-card", at=AT)
            world.clerk(made, person)
        with transaction():
            orders.place(person_id=person, client_ref="r", wish=orders.Wish(made.item_id, 1, 100), at=AT)
            gift = {"project_id": made.project_id, "credits": 50, "client_ref": "g"}
            welfare.give(person_id=person, program_id=made.program_id, at=AT, **gift)
        yield made, person
        session().close()


def test_the_copy_holds_each_of_it(life: Any) -> None:
    _, person = life
    data = personal_data.export(person, LATER)["data"]
    session().rollback()
    full = (
        *("profile", "wechat", "sessions", "consents", "memberships", "wallets", "awards", "statement"),
        *("records", "appeals", "orders", "codes", "gifts", "vehicles", "bound_accounts", "work"),
    )
    assert [part for part in full if not data[part]] == []
    assert len(data["records"]) == 2
    assert len(data["consents"]) == len(PURPOSES) + 1
    assert data["appeals"][0]["words"] == "canary words"


def test_what_is_lost_is_told_and_the_books_stay_whole(life: Any) -> None:
    _, person = life
    losses, seen = personal_data.losses(person, LATER)
    told = {str(loss["what"]) for loss in losses}
    assert told == {"appeal", "credits", "code", "membership", "vehicle", "bound_account", "work"}
    before = _books()
    session().rollback()
    with transaction():
        personal_data.forget(person_id=person, seen=seen, at=LATER)
    assert _books() == before, "not an entry more or less: the lots run out by themselves"
    session().rollback()
    assert [finding.proof.id for finding in prove(proofs()) if finding.rows] == []
    left = _everything_written()
    assert "canary" not in left
    assert b"canary".hex() not in left
    assert session().get_one(Person, person).state == "deleted"


def test_late_data_of_a_deleted_person_is_refused_with_a_reason(life: Any) -> None:
    made, person = life
    _, seen = personal_data.losses(person, LATER)
    session().rollback()
    with transaction():
        personal_data.forget(person_id=person, seen=seen, at=LATER)
    act = world.act(made, person, occurred_at=AT - timedelta(hours=10), ended_at=AT - timedelta(hours=9))
    with transaction():
        late = records.take_many([act], at=LATER + timedelta(hours=1))[0]
    assert late.refusal is not None
    assert late.refusal.code in ("not_a_member", "person_deleted")
    assert sources.holder_of(made.sources["partner"], "canary-card", LATER + timedelta(hours=1)) is None
    assert redemptions.codes_of_person(person, before=None, limit=5, at=LATER)[0].state == "issued"


def _books() -> Any:
    return session().execute(text("select count(*), sum(amount), max(transfer_id) from entries")).one()


def _everything_written() -> str:
    tables = session().execute(text("select tablename from pg_tables where schemaname = 'public'")).scalars().all()
    rows = [session().execute(text(f"select t::text from {table} t")).scalars().all() for table in tables]
    return json.dumps(rows, ensure_ascii=False)
