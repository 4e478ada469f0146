"""Public pages: figures that open into their query, groups under five hidden, certificates that strangers can check."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from app import openness, records, welfare
from app.config import ROOT
from app.db import connection, transaction
from tests import world
from tests.world import AT, World

JSON = {"Accept": "application/json"}
HTML = {"Accept": "text/html", "Accept-Language": "zh-CN"}


@pytest.fixture
def city(db_session: Any) -> World:
    with transaction():
        return world.build(people=6)


def take(city: World, people: int, scenario: str = "metro-ride", days: int = 0) -> list[records.Taken]:
    acts = [
        world.act(
            city,
            person,
            scenario,
            occurred_at=AT - timedelta(days=days, hours=2),
            ended_at=AT - timedelta(days=days, hours=1),
        )
        for person in city.people[:people]
    ]
    with transaction():
        return records.take_many(acts, at=AT)


def get(client: FlaskClient, path: str) -> dict[str, Any]:
    answer = client.get(f"/public{path}", headers=JSON)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json or {}
    return found


def test_a_program_page_shows_its_figures_and_where_each_comes_from(client: FlaskClient, city: World) -> None:
    take(city, 6)
    page = get(client, f"/programs/{city.code}")
    assert page["reductions"] == {"mg": 6 * 1032560, "people": 6, "acts": 6}
    assert page["credits"]["issued"] == 6 * 103
    assert page["cover"]["outstanding"] == 618
    assert page["cover"]["ratio_bps"] == 1_000_000 * 10_000 // (618 * 2)
    for name in ("reductions", "acts", "credits", "cover", "manual", "appeals", "reviews"):
        figure = get(client, f"/programs/{city.code}/figures/{name}")
        assert "select" in figure["query"]
        assert figure["parameters"] == {"program": str(city.program_id)}
    html = client.get(f"/public/programs/{city.code}", headers=HTML)
    assert html.mimetype == "text/html"
    assert "6.195 kg" in html.text
    assert "script" not in html.text
    assert "default-src 'none'" in html.headers["Content-Security-Policy"]


def test_groups_under_five_show_no_figure_also_not_by_subtraction(client: FlaskClient, city: World) -> None:
    take(city, 4)
    page = get(client, f"/programs/{city.code}")
    assert page["reductions"] == {"mg": None, "people": None, "acts": None}
    take(city, 6, "bus-ride", days=1)
    page = get(client, f"/programs/{city.code}")
    assert page["reductions"]["people"] == 6
    assert [(row["scenario"], row["mg"]) for row in page["acts"]] == [("bus-ride", None), ("metro-ride", None)]


def test_the_empty_program_and_unknown_names(client: FlaskClient, city: World) -> None:
    page = get(client, f"/programs/{city.code}")
    assert page["acts"] == []
    assert page["cover"]["ratio_bps"] is None
    assert client.get(f"/public/programs/{city.code}", headers=HTML).status_code == 200
    for path in ("/programs/no-such", f"/programs/{city.code}/figures/no-such", "/methodologies/no-such"):
        answer = client.get(f"/public{path}", headers=JSON)
        assert answer.status_code == 404
        assert (answer.json or {})["error"]["message"]


def test_a_certificate_is_checked_by_anybody_names_nobody_and_ends_with_its_record(
    client: FlaskClient, city: World, tmp_path: Path
) -> None:
    record_id = take(city, 1)[0].record_id or 0
    with transaction():
        number = openness.certify(record_id=record_id, person_id=city.people[0], at=AT).number
        assert openness.certify(record_id=record_id, person_id=city.people[0], at=AT).number == number
    checked = get(client, f"/certificates/{number.lower()}")
    assert checked["valid"] is True
    assert checked["credit"]["result"]["counted_mg"] == "1032560"
    named = connection().execute(text("select pseudonym from persons where id = :id"), {"id": city.people[0]})
    shown = json.dumps(checked)
    assert "person_id" not in shown
    assert named.scalar_one() not in shown
    assert "reference" not in checked["credit"]["record"]
    file = tmp_path / "credit.json"
    file.write_text(json.dumps(checked["credit"]))
    done = subprocess.run([sys.executable, "-I", str(ROOT / "scripts" / "verify_credit.py"), str(file)], check=False)
    assert done.returncode == 0
    assert "1.033 kg" in client.get(f"/public/certificates/{number}", headers=HTML).text
    sent = client.get(f"/public/certificates?number={number}", headers=HTML)
    assert sent.headers["Location"].endswith(f"/certificates/{number}")
    with transaction():
        records.reverse(record_id=record_id, code="fraud", words="x", by="operator:ops", at=AT)
    assert get(client, f"/certificates/{number}")["valid"] is False
    assert client.get("/public/certificates/DD202611-0000000000", headers=JSON).status_code == 404


def test_the_certificate_of_a_gift(client: FlaskClient, city: World) -> None:
    with transaction():
        world.rich(city, city.people[0], 100)
        given = welfare.give(
            person_id=city.people[0], program_id=city.program_id, project_id=city.project_id, credits=60,
            client_ref="g", at=AT,
        )  # fmt: skip
        number = given.gift.certificate_no
    page = get(client, f"/gifts/{number}")
    assert (page["credits"], page["fen"], page["project"]["code"]) == (60, 120, "trees")
    assert "¥1.20" in client.get(f"/public/gifts/{number}", headers=HTML).text


def test_methodology_pages_show_formula_sources_and_what_is_unverified(client: FlaskClient, city: World) -> None:
    listed = get(client, "/methodologies")["methodologies"]
    assert len({one["key"] for one in listed}) == len(listed) >= 20
    page = get(client, "/methodologies/nev-mileage/2023")
    assert "let be" in page["formula"]
    assert all(one["source"] and one["year"] for one in page["parameters"])
    for path in (
        "",
        "/methodologies",
        "/methodologies/nev-mileage",
        "/methodologies/walking",
        "/methodologies/cycling",
    ):
        for language in ("zh", "en"):
            answer = client.get(f"/public{path}", headers={"Accept": "text/html", "Accept-Language": language})
            assert answer.status_code == 200
    assert "待核实" in client.get("/public/methodologies/nev-mileage/2023", headers=HTML).text


def test_the_front_door_leads_to_the_public_pages(client: FlaskClient) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/public")
