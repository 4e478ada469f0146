"""A citizen's first hour: browse, sign in, join, agree, name oneself, read notices, take a copy, leave for good."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from app import notices, programs
from app.clock import now
from app.db import transaction
from app.people.consents import PURPOSES
from tests import given
from tests.edges.conftest import Phone, code_of

PROFILE = {"nickname": "小点滴", "avatar_url": None, "language": "zh", "show_name": True, "on_boards": True}


@pytest.fixture
def city(db_session: Session) -> programs.Program:
    with transaction():
        program = given.program("spring-city", at=now() - timedelta(days=1))
        programs.add_org_unit(program_id=program.id, code="east", name="东区", name_en="East", kind="district")
        return program


def test_browsing_needs_no_sign_in(client: FlaskClient, city: programs.Program) -> None:
    listed = client.get("/api/v1/programs").json
    assert listed is not None
    assert [one["code"] for one in listed["items"]] == ["spring-city"]
    shown = client.get("/api/v1/programs/spring-city", headers={"Accept-Language": "en"}).json
    assert shown is not None
    assert shown["name"] == "Program spring-city"
    assert shown["terms"]["version"] == 1
    assert shown["org_units"] == [{"code": "east", "name": "East", "kind": "district", "parent": None}]
    assert shown["members"] is None, "fewer than five are not counted out loud"
    missing = client.get("/api/v1/programs/nowhere")
    assert (missing.status_code, code_of(missing)) == (404, "not_found")


def test_lists_go_on_by_cursor(client: FlaskClient, db_session: Session) -> None:
    with transaction():
        for number in range(5):
            given.program(f"p-{number}")
    seen, cursor, pages = [], None, 0
    while True:
        query = f"?limit=2{f'&cursor={cursor}' if cursor else ''}"
        page = client.get(f"/api/v1/programs{query}").json
        assert page is not None
        seen += [one["code"] for one in page["items"]]
        cursor, pages = page["next_cursor"], pages + 1
        assert page["has_more"] is (cursor is not None)
        if cursor is None:
            break
    assert (seen, pages) == ([f"p-{number}" for number in range(5)], 3)


def test_joining_ordering_and_leaving(alice: Phone, city: programs.Program) -> None:
    with transaction():
        given.program("second", at=now() - timedelta(days=1))
    joined = alice.post("/programs/spring-city/join", {"terms_version": 1, "org_unit": "east"})
    assert (joined.status_code, joined.json and joined.json["state"]) == (200, "active")
    assert code_of(alice.post("/programs/spring-city/join", {"terms_version": 1})) == "already_member"
    assert code_of(alice.post("/programs/second/join", {"terms_version": 9})) == "consent_outdated"
    alice.post("/programs/second/join", {"terms_version": 1})
    mine = alice.get("/me/programs").json["items"]  # type: ignore[index]
    assert [(one["code"], one["org_unit"]) for one in mine] == [("spring-city", "东区"), ("second", None)]
    turned = alice.put("/me/programs", {"order": ["second", "spring-city"]})
    assert [one["code"] for one in turned.json["items"]] == ["second", "spring-city"]  # type: ignore[index]
    assert code_of(alice.put("/me/programs", {"order": ["second"]})) == "invalid_field"
    assert alice.delete("/programs/second/membership").status_code == 204
    assert code_of(alice.delete("/programs/second/membership")) == "not_found"
    assert alice.post("/programs/spring-city/terms", {"terms_version": 1}).status_code == 204


def test_new_terms_are_shown_until_they_are_agreed_to(alice: Phone, city: programs.Program) -> None:
    alice.post("/programs/spring-city/join", {"terms_version": 1})
    with transaction():
        draft = programs.terms.draft_of(programs.terms_in_force(city.id, now()))
        early = now() - timedelta(minutes=5)
        times = {"effective_at": now() - timedelta(minutes=1), "at": early}
        asked = programs.terms.propose(program=city, draft=draft, reason="new", maker="operator:a", **times)
        programs.terms.approve_and_publish(approval_id=asked.id, checker="operator:b", at=early)

    def versions() -> tuple[int, int]:
        (mine,) = alice.get("/me/programs").json["items"]  # type: ignore[index]
        return mine["agreed_terms"], mine["present_terms"]

    assert versions() == (1, 2)
    assert code_of(alice.post("/programs/spring-city/terms", {"terms_version": 1})) == "consent_outdated"
    assert alice.post("/programs/spring-city/terms", {"terms_version": 2}).status_code == 204
    assert versions() == (2, 2)


def test_consent_by_purpose(alice: Phone) -> None:
    lines = {line["purpose"]: line for line in alice.get("/me/consents").json["items"]}  # type: ignore[index]
    assert set(lines) == set(PURPOSES)
    assert all(line["granted_at"] is None for line in lines.values())
    version = lines["rides"]["version"]
    agreed = alice.post("/me/consents", {"purpose": "rides", "version": version}).json
    granted = {line["purpose"] for line in agreed["items"] if line["granted_at"]}  # type: ignore[index]
    assert granted == {"rides"}
    assert code_of(alice.post("/me/consents", {"purpose": "rides", "version": "2000-01"})) == "consent_outdated"
    assert alice.delete("/me/consents/rides").status_code == 204
    assert alice.delete("/me/consents/rides").status_code == 204
    assert code_of(alice.delete("/me/consents/everything")) == "not_found"


def test_profile_is_replaced_as_a_whole(alice: Phone) -> None:
    asked = alice.put("/me", PROFILE).json
    assert asked is not None
    assert (asked["nickname"], asked["nickname_pending"]) == (None, "小点滴"), "nobody sees what is not checked"
    with transaction():
        given.pass_texts()
    shown = alice.get("/me").json
    assert shown is not None
    assert (shown["nickname"], shown["seen_as"]) == ("小点滴", "小点滴")
    assert alice.put("/me", {**PROFILE, "show_name": False}).json["seen_as"] == "小**"  # type: ignore[index]
    missing = alice.put("/me", {"nickname": "x"})
    assert code_of(missing) == "invalid_field"
    assert alice.get("/me").json["nickname"] == "小点滴"  # type: ignore[index]
    assert alice.call("PATCH", "/me", json={"nickname": "x"}).status_code == 405


def test_notices_are_mine_alone_and_can_be_read(alice: Phone, bob: Phone) -> None:
    me, other = (int(phone.get("/me").json["id"]) for phone in (alice, bob))  # type: ignore[index]
    with transaction():
        for number in range(3):
            notices.tell(key=f"a{number}", person_id=me, kind="hello", zh=f"你好{number}", en=f"hi{number}", at=now())
        notices.tell(key="b", person_id=other, kind="hello", zh="别人", en="other", at=now())
    page = alice.get("/notices?limit=2").json
    assert page is not None
    assert [one["text"] for one in page["items"]] == ["你好2", "你好1"]
    rest = alice.get(f"/notices?cursor={page['next_cursor']}").json
    assert [one["text"] for one in rest["items"]] == ["你好0"]  # type: ignore[index]
    assert alice.post("/notices/read", {"up_to": page["items"][1]["id"]}).status_code == 204
    read = [one["read_at"] is not None for one in alice.get("/notices").json["items"]]  # type: ignore[index]
    assert read == [False, True, True]
    bobs = bob.get("/notices").json["items"]  # type: ignore[index]
    assert [(one["text"], one["read_at"]) for one in bobs] == [("别人", None)]


def test_a_copy_three_times_an_hour(alice: Phone, city: programs.Program) -> None:
    alice.put("/me", PROFILE)
    with transaction():
        given.pass_texts()
    copy = alice.get("/me/export")
    assert copy.status_code == 200
    assert copy.headers["Cache-Control"] == "no-store"
    assert copy.json["data"]["profile"][0]["nickname"] == "小点滴"  # type: ignore[index]
    assert [alice.get("/me/export").status_code for _ in range(3)] == [200, 200, 429]


def test_leaving_for_good_shows_the_price_first(
    alice: Phone, city: programs.Program, phone_of: Callable[..., Phone]
) -> None:
    tablet = phone_of("alice")
    alice.post("/programs/spring-city/join", {"terms_version": 1})
    before = alice.get("/me/deletion").json
    assert before is not None
    assert [loss["what"] for loss in before["losses"]] == ["membership"]
    assert code_of(alice.post("/me/deletion", {"seen": "0" * 32})) == "losses_changed"
    assert code_of(alice.post("/me/deletion", {})) == "invalid_field"
    assert alice.post("/me/deletion", {"seen": before["seen"]}).status_code == 204
    for phone in (alice, tablet):
        assert code_of(phone.get("/me")) == "login_required"
    again = alice.sign_in()
    assert again.json["is_new"] is True  # type: ignore[index]
    assert alice.get("/me/programs").json == {"items": []}
