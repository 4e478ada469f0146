"""Four doors into a program; guessing is shut after ten tries; one membership whatever the race."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app import cache, people, programs
from app.db import session, transaction
from app.errors import Refusal
from app.programs import Pass
from app.programs.models import Invitation, Membership, RosterEntry
from tests import given
from tests.given import AT

LATER = AT + timedelta(days=1)


def refused_code(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(Refusal) as refused:
        given.member(*args, **kwargs)
    return refused.value.code


def test_an_open_program_lets_in_and_lets_choose_the_unit(db_session: Session) -> None:
    program = given.program()
    unit = programs.add_org_unit(program_id=program.id, code="east", name="东区", kind="district")
    person = given.member(program, org_unit="east")
    member = programs.membership(program.id, person)
    assert member is not None
    assert (member.state, member.org_unit_id, member.joined_by) == ("active", unit.id, "open")
    assert [consent.purpose for consent in people.consents.live_of(person)] == ["terms"]
    assert refused_code(program, person) == "already_member"
    assert refused_code(program, org_unit="nowhere") == "not_found"


def test_the_terms_that_were_shown_must_be_the_present_ones(db_session: Session) -> None:
    program, person = given.program(), given.person()
    with pytest.raises(Refusal) as refused:
        people.join_program(person_id=person, program=program, terms_version=2, shown=Pass(), at=AT)
    assert refused.value.code == "consent_outdated"
    assert refused.value.details["version"] == "1"


def test_an_invitation_opens_once_per_use_and_until_its_end(db_session: Session) -> None:
    program = given.program(template="enterprise")
    programs.add_org_unit(program_id=program.id, code="it", name="信息部", kind="department")
    code = programs.invite(program_id=program.id, at=AT, uses=1, valid_for=timedelta(days=7), org_unit="it").code
    assert refused_code(program) == "roster_required"
    assert refused_code(program, invitation="NOTACODE00") == "invitation_invalid"
    assert refused_code(given.program(), invitation=code) == "invitation_invalid", "of another program"
    assert refused_code(program, invitation=code, at=AT + timedelta(days=7)) == "invitation_invalid"
    person = given.member(program, invitation=f" {code.lower()} ")
    place = programs.places_of(person, AT)[0]
    assert place.org_unit_id == programs.org_unit(program.id, "it").id
    assert refused_code(program, invitation=code) == "invitation_invalid", "used up"


def test_a_roster_line_is_claimed_by_one_person(db_session: Session) -> None:
    program = given.program(template="enterprise")
    programs.add_org_unit(program_id=program.id, code="it", name="信息部", kind="department")
    rows = [
        {"number": "A-007", "pin": "pin-4711", "org_unit": "it"},
        {"number": "A-008", "pin": "0815", "org_unit": ""},
    ]
    assert programs.add_roster(program_id=program.id, rows=rows) == 2
    assert programs.add_roster(program_id=program.id, rows=rows) == 0
    assert refused_code(program, roster_number="A-007", roster_pin="0815") == "roster_mismatch"
    assert refused_code(program, roster_number="A-009", roster_pin="pin-4711") == "roster_mismatch"
    assert refused_code(program, roster_number="A-007") == "roster_mismatch"
    person = given.member(program, roster_number="a-007 ", roster_pin="pin-4711")
    assert refused_code(program, roster_number="A-007", roster_pin="pin-4711") == "roster_mismatch", "taken"
    people.leave_program(person_id=person, program=program, at=LATER)
    assert given.member(program, person, roster_number="A-007", roster_pin="pin-4711", at=LATER) == person
    stored = db_session.execute(text("select roster_entries::text from roster_entries")).scalars().all()
    for row in stored:
        assert "A-007" not in row
        assert "pin-4711" not in row
        assert b"A-007".hex() not in row


def test_a_roster_with_an_unknown_unit_is_refused_with_its_line(db_session: Session) -> None:
    program = given.program(template="enterprise")
    rows = [{"number": "1", "pin": "1"}, {"number": "2", "pin": "2", "org_unit": "moon"}]
    with pytest.raises(Refusal) as refused:
        programs.add_roster(program_id=program.id, rows=rows)
    assert refused.value.details == {"org_unit": "moon", "line": 3}
    assert db_session.scalar(select(func.count()).select_from(RosterEntry)) == 0


def test_approval_waits_for_an_operator(db_session: Session) -> None:
    program = given.program(joining="approval")
    asked, other = given.member(program), given.member(program)
    assert programs.places_of(asked, LATER) == []
    assert refused_code(program, asked) == "already_member"
    programs.decide(program=program, person_id=asked, admit=True, actor="operator:a", at=LATER)
    programs.decide(program=program, person_id=other, admit=False, actor="operator:a", at=LATER)
    db_session.flush()
    assert [place.program_id for place in programs.places_of(asked, LATER)] == [program.id]
    assert programs.places_of(other, LATER) == []
    with pytest.raises(Refusal) as twice:
        programs.decide(program=program, person_id=asked, admit=False, actor="operator:a", at=LATER)
    assert twice.value.code == "state_conflict"
    given.member(program, other, at=LATER)  # may ask again


def test_who_leaves_withdraws_the_agreement_and_may_come_back(db_session: Session) -> None:
    program = given.program()
    person = given.member(program)
    people.leave_program(person_id=person, program=program, at=LATER)
    assert people.consents.live_of(person) == []
    with pytest.raises(Refusal) as refused:
        people.leave_program(person_id=person, program=program, at=LATER)
    assert refused.value.code == "not_found"
    given.member(program, person, at=LATER)
    assert db_session.scalar(select(func.count()).select_from(Membership)) == 1


def test_guessing_is_shut_after_ten_wrong_codes(db_session: Session) -> None:
    program = given.program(template="enterprise")
    code = programs.invite(program_id=program.id, at=AT, uses=5, valid_for=timedelta(days=1)).code
    guesser = given.person()
    answers = [refused_code(program, guesser, invitation=f"WRONG{n:05}") for n in range(11)]
    assert answers == ["invitation_invalid"] * 10 + ["too_many"]
    assert refused_code(program, guesser, invitation=code) == "too_many", "also the right one now"
    given.member(program, invitation=code)  # others are not concerned


def test_guessing_stays_shut_when_nobody_can_count(db_session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    program = given.program(template="enterprise")
    code = programs.invite(program_id=program.id, at=AT, uses=5, valid_for=timedelta(days=1)).code
    person = given.person()
    monkeypatch.setattr(cache, "_client", Redis(unix_socket_path="/nonexistent/redis.sock"))
    assert refused_code(program, person, invitation=code) == "busy"


@pytest.mark.race
def test_ten_people_on_an_invitation_for_three(clean_db: Any) -> None:
    with clean_db.app_context(), transaction():
        program = given.program("p", template="enterprise")
        code = programs.invite(program_id=program.id, at=AT, uses=3, valid_for=timedelta(days=1)).code
        persons = [given.person() for _ in range(10)]
    outcomes = _race(
        clean_db, [lambda who=who: given.member(programs.by_code("p"), who, invitation=code) for who in persons]
    )
    assert sorted(outcomes) == ["done"] * 3 + ["invitation_invalid"] * 7
    with clean_db.app_context():
        assert session().scalar(select(Invitation.uses_left)) == 0


@pytest.mark.race
def test_one_person_tapping_join_ten_times_joins_once(clean_db: Any) -> None:
    with clean_db.app_context(), transaction():
        given.program("p")
        person = given.person()
    outcomes = _race(clean_db, [lambda: given.member(programs.by_code("p"), person)] * 10)
    assert sorted(outcomes) == ["already_member"] * 9 + ["done"]
    with clean_db.app_context():
        assert session().scalar(select(func.count()).select_from(Membership)) == 1


def _race(app: Any, acts: list[Any]) -> list[str]:
    gate, outcomes = threading.Barrier(len(acts)), []

    def run(act: Any) -> None:
        with app.app_context():
            gate.wait()
            try:
                with transaction():
                    act()
                outcomes.append("done")
            except Refusal as refused:
                outcomes.append(refused.code)
            except Exception as error:
                outcomes.append(repr(error))
            finally:
                session().close()

    workers = [threading.Thread(target=run, args=(act,)) for act in acts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return outcomes
