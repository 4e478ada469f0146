"""Consents: nothing by default, to the words that were shown, withdrawn at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import people
from app.errors import Refusal
from app.people import consents
from app.people.models import Consent
from tests import given
from tests.given import AT

PRESENT = consents.PURPOSES["rides"].version


def test_nothing_is_agreed_before_an_act_of_the_person(db_session: Session) -> None:
    person = given.person()
    assert consents.live_of(person) == []
    for purpose in consents.PURPOSES:
        with pytest.raises(Refusal) as refused:
            people.require_consent(person, purpose)
        assert (refused.value.code, refused.value.details) == ("consent_required", {"purpose": purpose})
    people.require_consent(person, None)


def test_agreeing_twice_is_agreeing_once(db_session: Session) -> None:
    person = given.person()
    for _ in range(2):
        consents.agree(person_id=person, key="rides", version=PRESENT, at=AT)
    assert db_session.scalar(select(func.count()).select_from(Consent)) == 1
    people.require_consent(person, "rides")
    assert not people.has_consent(person, "steps"), "one purpose is not another"


def test_only_the_present_text_can_be_agreed_to(db_session: Session) -> None:
    person = given.person()
    with pytest.raises(Refusal) as refused:
        consents.agree(person_id=person, key="rides", version="2020-01", at=AT)
    assert refused.value.code == "consent_outdated"
    assert refused.value.details["version"] == PRESENT
    with pytest.raises(Refusal) as unknown:
        consents.agree(person_id=person, key="everything", version=PRESENT, at=AT)
    assert unknown.value.code == "not_found"


def test_withdrawing_acts_at_once_and_keeps_the_proof(db_session: Session) -> None:
    person = given.person()
    consents.agree(person_id=person, key="rides", version=PRESENT, at=AT)
    assert consents.withdraw(person_id=person, key="rides", at=AT + timedelta(days=1))
    assert not people.has_consent(person, "rides")
    assert not consents.withdraw(person_id=person, key="rides", at=AT + timedelta(days=2))
    consents.agree(person_id=person, key="rides", version=PRESENT, at=AT + timedelta(days=3))
    kept = db_session.execute(select(Consent.granted_at, Consent.withdrawn_at).order_by(Consent.id)).all()
    assert kept == [(AT, AT + timedelta(days=1)), (AT + timedelta(days=3), None)]


def test_an_older_text_gives_way_and_keeps_its_hash(db_session: Session) -> None:
    person = given.person()
    consents.record(person_id=person, key="rides", version="2025-01", text_hash=b"old words", at=AT)
    assert people.has_consent(person, "rides"), "still in force until withdrawn or replaced"
    consents.agree(person_id=person, key="rides", version=PRESENT, at=AT + timedelta(days=1))
    rows = db_session.scalars(select(Consent).order_by(Consent.id)).all()
    assert [row.text_hash for row in rows] == [b"old words", consents.PURPOSES["rides"].text_hash]
    assert [row.withdrawn_at is None for row in rows] == [False, True]


def test_a_whole_batch_is_asked_in_one_statement(db_session: Session) -> None:
    yes, no = given.person(), given.person()
    consents.agree(person_id=yes, key="rides", version=PRESENT, at=AT)
    assert people.consenting([yes, no], "rides") == {yes}
