"""Teams and friends' groups: a door with a code, five seats, one team a program, and who stood where when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import people, personal_data, programs, safety, teams
from app.clock import now
from app.db import db, transaction
from app.errors import Refusal
from courier import safety as courier_safety
from tests import given
from tests.edges.conftest import Phone, code_of
from tests.races.crowd import at_once, codes, fine

AT = given.AT


def refused(command: Callable[[], Any]) -> str:
    with pytest.raises(Refusal) as caught, transaction():
        command()
    return caught.value.code


def crew(size: int, *, kind: str = "team") -> tuple[programs.Program, teams.Team, list[int]]:
    """A team with so many members, the first its captain."""
    with transaction():
        program = given.program()
        people_ids = [given.member(program) for _ in range(size)]
        team = teams.found(program_id=program.id, person_id=people_ids[0], kind=kind, name="队", at=AT)
        for number, person_id in enumerate(people_ids[1:], 1):
            teams.join(code=team.code, person_id=person_id, at=AT + timedelta(minutes=number))
    return program, team, people_ids


def test_the_sixth_of_a_team_stays_outside(db_session: Session) -> None:
    program, team, _ = crew(5)
    with transaction():
        sixth = given.member(program)
    assert refused(lambda: teams.join(code=team.code, person_id=sixth, at=AT)) == "team_full"
    assert len(teams.members(team_id=team.id, at=AT + timedelta(hours=1))) == 5


def test_the_database_itself_has_no_sixth_seat(db_session: Session) -> None:
    program, team, _ = crew(5)
    with transaction():
        sixth = given.member(program)
    with pytest.raises(IntegrityError), transaction():
        db.session.add(
            teams.TeamMember(team_id=team.id, program_id=program.id, kind="team", person_id=sixth, seat=6, joined_at=AT)
        )
        db.session.flush()


def test_one_team_a_program_but_several_groups(db_session: Session) -> None:
    program, team, (captain, *_rest) = crew(2)
    again = partial(teams.found, program_id=program.id, person_id=captain, kind="team", name="二", at=AT)
    assert refused(again) == "in_a_team"
    with transaction():
        for name in ("一圈", "二圈"):
            teams.found(program_id=program.id, person_id=captain, kind="group", name=name, at=AT)
        elsewhere = given.program()
        given.member(elsewhere, captain)
        other = teams.found(program_id=elsewhere.id, person_id=captain, kind="team", name="他处", at=AT)
    found = teams.of(person_id=captain, program_id=elsewhere.id)
    assert found is not None and found.id == other.id != team.id


def test_who_was_a_member_at_the_moment_of_an_act(db_session: Session) -> None:
    _, team, (captain, second, third) = crew(3)
    with transaction():
        teams.leave(team_id=team.id, person_id=second, at=AT + timedelta(hours=2))
    assert teams.members(team_id=team.id, at=AT) == [captain]
    assert teams.members(team_id=team.id, at=AT + timedelta(hours=1)) == [captain, second, third]
    assert teams.members(team_id=team.id, at=AT + timedelta(hours=2)) == [captain, third], "half-open"


def test_the_captain_leaves_and_the_first_to_have_joined_leads(db_session: Session) -> None:
    _, team, (captain, second, third) = crew(3)
    with transaction():
        teams.leave(team_id=team.id, person_id=captain, at=AT + timedelta(hours=1))
    assert teams.by_id(team.id).captain_id == second
    told = "select kind from notices where person_id = :p"
    assert db_session.execute(text(told), {"p": second}).scalars().all() == ["team.captain"]
    with transaction():
        teams.leave(team_id=team.id, person_id=second, at=AT + timedelta(hours=2))
        teams.leave(team_id=team.id, person_id=third, at=AT + timedelta(hours=2))
    assert teams.by_id(team.id).closed_at is not None
    assert teams.by_code(team.code) is None


def test_a_freed_seat_is_taken_by_the_next(db_session: Session) -> None:
    program, team, (_, second, *_rest) = crew(5)
    with transaction():
        teams.leave(team_id=team.id, person_id=second, at=AT + timedelta(hours=1))
        sixth = given.member(program)
        assert teams.join(code=team.code, person_id=sixth, at=AT + timedelta(hours=1))[1]
        assert teams.join(code=team.code, person_id=sixth, at=AT + timedelta(hours=2))[1] is False
    assert sorted(row.seat for row in teams.seated(team.id)) == [1, 2, 3, 4, 5]


def test_only_members_of_the_program_come_in(db_session: Session) -> None:
    _, team, _ = crew(1)
    with transaction():
        stranger = given.person()
    assert refused(lambda: teams.join(code=team.code, person_id=stranger, at=AT)) == "not_a_member"


def test_ten_wrong_codes_shut_the_door(db_session: Session) -> None:
    _, team, (captain,) = crew(1)
    wrong = [refused(lambda: teams.join(code="AAAAAAAA", person_id=captain, at=AT)) for _ in range(10)]
    assert set(wrong) == {"team_code_invalid"}
    assert refused(lambda: teams.join(code=team.code, person_id=captain, at=AT)) == "too_many"


def test_a_code_as_people_type_it() -> None:
    assert teams.normalised(" k7m-px 2rd ") == "K7MPX2RD"
    assert teams.normalised("Ｋ７ＭＰＸ２ＲＤ") == "K7MPX2RD"


def test_a_name_is_seen_when_it_has_passed(db_session: Session) -> None:
    _, team, _ = crew(1)
    assert teams.names([team.id]) == {team.id: f"小队{team.id}"}
    (waiting,) = [one for one in safety.waiting() if one.kind == teams.TEAM_NAME]
    assert courier_safety.decide_text(waiting.id, "pass", by="wechat")
    assert teams.names([team.id]) == {team.id: "队"}


def test_a_deleted_captain_hands_over(db_session: Session) -> None:
    _, team, (captain, second) = crew(2)
    losses, mark = personal_data.losses(captain, AT)
    assert {"team"} <= {loss["what"] for loss in losses}
    with transaction():
        personal_data.forget(person_id=captain, seen=mark, at=AT + timedelta(hours=1))
    assert teams.by_id(team.id).captain_id == second
    assert [people.shown_name(row)[:2] for row in teams.seated(team.id)] == ["用户"]


def test_a_hundred_at_the_door_for_four_seats(crowd: Any) -> None:
    _, team, _ = crew(1)
    with transaction():
        program = programs.find(programs.known_by_id(team.program_id).code)
        assert program is not None
        crowd_ids = [given.member(program) for _ in range(24)]
    code = team.code
    db.session.commit()
    answers = at_once(crowd, *[partial(teams.join, code=code, person_id=one, at=AT) for one in crowd_ids])
    assert len(fine(answers)) == 4
    assert set(codes(answers)) == {"team_full"}


def test_two_teams_at_once_are_one(crowd: Any) -> None:
    with transaction():
        program = given.program()
        person_id = given.member(program)
        program_id = program.id
    found = partial(teams.found, program_id=program_id, person_id=person_id, kind="team", name="队", at=AT)
    answers = at_once(crowd, *[found] * 8)
    assert (len(fine(answers)), set(codes(answers))) == (1, {"in_a_team"})


def test_a_team_through_the_api(alice: Phone, bob: Phone, db_session: Session) -> None:
    with transaction():
        program = given.program(at=now() - timedelta(days=1))
        for phone in (alice, bob):
            given.member(program, int(phone.get("/me").json["id"]), at=now())  # type: ignore[index]
    made = alice.post("/teams", {"program": program.code, "kind": "team", "name": "骑行 🚲 شكرا"})
    assert made.status_code == 201
    team = made.json
    door = bob.get("/teams/door", query_string={"code": team["code"].lower()})
    assert (door.json["members"], door.json["member_of_program"]) == (1, True)
    joined = bob.post("/teams/join", {"code": team["code"]})
    assert joined.status_code == 201
    assert [(seat["captain"], seat["me"]) for seat in joined.json["seats"]] == [(True, False), (False, True)]
    assert bob.post("/teams/join", {"code": team["code"]}).status_code == 200
    assert code_of(bob.put(f"/teams/{team['id']}", {"name": "抢"})) == "captain_only"
    removal = {"member_id": joined.json["seats"][1]["id"]}
    assert alice.post(f"/teams/{team['id']}/removals", removal).status_code == 204
    assert bob.get(f"/teams/{team['id']}").status_code == 404
    assert [one["kind"] for one in bob.get("/notices").json["items"]] == ["team.removed"]
    assert alice.delete(f"/teams/{team['id']}").status_code == 204
    assert alice.get("/teams").json["items"] == []
    six = alice.post("/teams", {"program": program.code, "kind": "team", "name": "六", "size_most": 6})
    assert (six.status_code, code_of(six)) == (422, "invalid_field")


def test_leaving_a_program_leaves_its_teams(alice: Phone, db_session: Session) -> None:
    with transaction():
        program = given.program(at=now() - timedelta(days=1))
        given.member(program, int(alice.get("/me").json["id"]), at=now())  # type: ignore[index]
    alice.post("/teams", {"program": program.code, "kind": "group", "name": "圈"})
    assert alice.delete(f"/programs/{program.code}/membership").status_code == 204
    assert alice.get("/teams").json["items"] == []
