"""Pages of projects, photos and certificates: open to everybody, naming nobody who doesn't wish it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import text

from app import welfare
from app.db import connection, transaction
from tests import world
from tests.settlement.conftest import two
from tests.world import AT, World

HTML = {"Accept": "text/html", "Accept-Language": "zh-CN"}
JSON = {"Accept": "application/json"}


@pytest.fixture
def city(db_session: Any) -> World:
    with transaction():
        here = world.build(people=2)
        world.rich(here, here.people[0], 500)
        connection().execute(text("update persons set nickname = '小林' where id = :p"), {"p": here.people[0]})
    return here


def give(here: World, **more: Any) -> Any:
    with transaction():
        return welfare.give(
            person_id=here.people[0],
            program_id=here.program_id,
            project_id=here.project_id,
            credits=10,
            client_ref=f"g{len(more)}",
            at=AT,
            **more,
        ).gift


def test_a_certificate_names_its_giver_only_if_wished_and_never_after_deletion(
    city: World, client: FlaskClient
) -> None:
    hidden, shown = give(city), give(city, show_name=True)
    quiet = client.get(f"/public/gifts/{hidden.certificate_no}", headers=JSON).json
    named = client.get(f"/public/gifts/{shown.certificate_no}", headers=JSON).json
    assert (quiet["giver"] == "小林", named["giver"]) == (False, "小林")  # type: ignore[index]
    assert "小林" in client.get(f"/public/gifts/{shown.certificate_no}/certificate.svg").text
    assert client.get(f"/public/gifts/{shown.certificate_no}/certificate.png").data.startswith(b"\x89PNG")
    page = client.get(f"/public/gifts/{shown.certificate_no}", headers=HTML).text
    assert shown.certificate_no in page and "certificate.svg" in page
    with transaction():
        connection().execute(text("update persons set state = 'deleted' where id = :p"), {"p": city.people[0]})
    gone = client.get(f"/public/gifts/{shown.certificate_no}", headers=JSON).json
    known = connection().execute(text("select pseudonym from persons where id = :p"), {"p": city.people[0]})
    assert gone["giver"] == known.scalar_one()  # type: ignore[index]
    assert client.get("/public/gifts/G00000000-NOBODY").status_code == 404


def test_a_projects_page_shows_milestones_photos_and_every_payment(city: World, client: FlaskClient) -> None:
    give(city)
    photo = io.BytesIO()
    Image.new("RGB", (20, 20), "green").save(photo, "PNG")
    with transaction():
        made = welfare.plan(
            project_id=city.project_id, position=1, title="种下", title_en="Planted", planned_fen=0, due_on=None
        )
        proof = welfare.add_evidence(
            milestone_id=made.id, sent=photo.getvalue(), site="x", taken_on=AT.date(), actor="a", at=AT
        )
        assert client.get(f"/public/welfare/photos/{proof.id}").status_code == 404, "not before two persons agree"
        welfare.reach(milestone_id=made.id, reached_on=AT.date(), site="阿拉善", payee="合作社", actor="b", at=AT,
                      approval_id=two({}, "x", AT))  # fmt: skip
        welfare.pay_out(milestone_id=made.id, fen=15, bank_reference="R-1", paid_on=AT.date(), evidence_hash=b"x" * 32,
                        approval_id=two({"p": 1}, "x", AT), actor="b", at=AT)  # fmt: skip
    page = client.get(f"/public/welfare/{city.project_id}", headers=HTML)
    assert page.status_code == 200
    for word in ("种下", "阿拉善", "合作社", "R-1", "¥0.15", f"/public/welfare/photos/{proof.id}"):
        assert word in page.text
    assert client.get(f"/public/welfare/photos/{proof.id}").data.startswith(b"\xff\xd8")
    trail = client.get(f"/api/v1/welfare/{city.project_id}").json
    assert trail["agrees"] and (trail["gifts_fen"], trail["paid_fen"], trail["held_fen"]) == (20, 15, 5)  # type: ignore[index]
    assert client.get("/public/welfare/999999").status_code == 404


def test_a_sponsors_money_is_open_to_everybody(city: World, client: FlaskClient) -> None:
    shown = client.get(f"/public/programs/{city.code}/sponsors/bank").json
    assert shown["agrees"] and shown["deposits_fen"] == 1_000_000  # type: ignore[index]
    assert client.get(f"/public/programs/{city.code}/sponsors/nobody").status_code == 404


def test_a_program_that_ends_says_so(city: World, client: FlaskClient) -> None:
    with transaction():
        connection().execute(text("update programs set no_awards_from = :a, redeem_until = :b"),
                             {"a": AT, "b": AT.replace(year=2027)})  # fmt: skip
    assert "正在结束" in client.get(f"/public/programs/{city.code}", headers=HTML).text
    assert client.get(f"/public/programs/{city.code}", headers=JSON).json["windup"]["redeem_until"].startswith("2027")  # type: ignore[index]
