"""A copy of everything about me and nothing about others; a deletion that erases me and keeps the books."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import audit, notices, people, personal_data, programs, tables  # noqa: F401
from app.db import Model
from app.errors import Refusal
from app.people import consents, logins, purge
from app.people.models import Person
from app.people.personal import REMEMBERED_AS_FORMER
from tests import given
from tests.given import APPID, AT

LATER = AT + timedelta(days=1)
# Columns whose name sounds like a person and which are none.
NO_PERSON = {
    "items.per_person": "a number: how many pieces one person may take",
    "offers.per_person": "a number too",
}


def test_every_column_about_a_person_is_covered() -> None:
    """A new column that names a person needs a line in its feature's personal.py: erased, or kept and why."""
    covered = personal_data.covered_columns()
    missing = []
    for table in Model.metadata.tables.values():
        for column in table.columns:
            name = f"{table.name}.{column.name}"
            names_one = any(key.target_fullname == "persons.id" for key in column.foreign_keys)
            sounds_so = "person" in column.name or column.name == "subject_id"
            if (names_one or sounds_so) and name not in covered and name not in NO_PERSON:
                missing.append(name)
    assert missing == []


def test_no_line_covers_a_column_that_is_not_there() -> None:
    known = {f"{table.name}.{column.name}" for table in Model.metadata.tables.values() for column in table.columns}
    assert set(personal_data.covered_columns()) <= known
    for fate in personal_data.covered_columns().values():
        assert fate == "erased" or fate.startswith("kept: ")


def test_names_of_exported_parts_are_unique() -> None:
    names = [name for feature in personal_data.FEATURES for name in feature.EXPORT]
    assert len(names) == len(set(names))


def test_the_copy_holds_everything_about_me_and_nothing_about_others(db_session: Session) -> None:
    mine, theirs = _full_person("mine"), _full_person("theirs")
    copy = personal_data.export(mine, LATER)
    written = json.dumps(copy, ensure_ascii=False)
    assert copy["data"]["profile"][0]["nickname"] == "canary-mine"
    assert copy["data"]["consents"][0]["purpose"] in ("terms", "rides")
    assert copy["data"]["memberships"][0]["state"] == "active"
    assert copy["data"]["notices"][0]["zh"] == "canary-mine"
    assert "o-canary-mine" in written
    assert "theirs" not in written
    assert str(theirs) not in [copy["data"]["profile"][0]["id"]]


def test_deletion_shows_what_is_lost_and_wants_it_seen(db_session: Session) -> None:
    person_id = _full_person("mine")
    losses, seen = personal_data.losses(person_id, LATER)
    assert [loss["what"] for loss in losses] == ["membership"]
    given.member(given.program(), person_id)
    with pytest.raises(Refusal) as refused:
        personal_data.forget(person_id=person_id, seen=seen, at=LATER)
    assert refused.value.code == "losses_changed"
    assert len(refused.value.details["losses"]) == 2


def test_after_deletion_nothing_personal_is_left_anywhere(db_session: Session) -> None:
    login = given.login("o-canary-mine", device="canary-mine")
    person_id = _full_person("mine")
    _, seen = personal_data.losses(person_id, LATER)
    logins.evict(personal_data.forget(person_id=person_id, seen=seen, at=LATER))
    db_session.flush()
    for table in Model.metadata.sorted_tables:
        rows = db_session.execute(text(f"select t::text from {table.name} t")).scalars()
        assert [row for row in rows if "canary" in row] == [], table.name
    assert logins.check(login.token, at=LATER) is None
    person = db_session.get_one(Person, person_id)
    assert (person.state, person.on_boards, people.shown_name(person)) == ("deleted", False, "已注销")
    told = db_session.execute(text("select event, payload from outbox order by id desc limit 1")).one()
    assert told == ("person.deleted", {"person_id": person_id})
    assert programs.places_of(person_id, LATER + timedelta(seconds=1)) == []
    assert consents.live_of(person_id) == []


def test_deleted_once_is_deleted(db_session: Session) -> None:
    person_id = given.person()
    _, seen = personal_data.losses(person_id, LATER)
    personal_data.forget(person_id=person_id, seen=seen, at=LATER)
    with pytest.raises(Refusal) as refused:
        personal_data.forget(person_id=person_id, seen=seen, at=LATER)
    assert refused.value.code == "not_found"


def test_who_comes_back_is_a_new_person_but_for_a_time_no_newcomer(db_session: Session) -> None:
    first = given.login("o-alice").person_id
    _, seen = personal_data.losses(first, LATER)
    personal_data.forget(person_id=first, seen=seen, at=LATER)
    db_session.flush()
    again = given.login("o-alice", at=LATER).person_id
    assert again != first
    assert not people.get(again).newcomer
    assert people.get(given.person()).newcomer

    _, seen = personal_data.losses(again, LATER)
    personal_data.forget(person_id=again, seen=seen, at=LATER)
    db_session.flush()
    much_later = LATER + REMEMBERED_AS_FORMER + timedelta(seconds=1)
    assert purge(at=much_later) == 2  # the remembered identity, and a login of the other person
    assert people.get(given.login("o-alice", at=much_later).person_id).newcomer


def test_ended_logins_are_purged_after_thirty_days(db_session: Session) -> None:
    given.login("o-alice")
    ended = given.login("o-bob")
    people.sign_out(session_id=ended.session_id, person_id=ended.person_id, at=AT)
    db_session.flush()
    assert purge(at=AT + timedelta(days=29)) == 0
    assert purge(at=AT + timedelta(days=31)) == 1
    assert purge(at=AT + timedelta(days=61)) == 1


def _full_person(word: str) -> int:
    """Somebody with a bit of everything, each bit with a canary."""
    person_id = given.login(f"o-canary-{word}", unionid=f"u-canary-{word}", device=f"canary-{word}").person_id
    given.profile(person_id, nickname=f"canary-{word}", show_name=True)
    consents.agree(person_id=person_id, key="rides", version=consents.PURPOSES["rides"].version, at=AT)
    given.member(given.program(), person_id)
    notices.tell(key=f"n-{word}", person_id=person_id, kind="hello", zh=f"canary-{word}", en="", at=AT)
    assert people.sign_in(appid=APPID, openid=f"o-canary-{word}", at=AT, session_days=30).person_id == person_id
    return person_id
