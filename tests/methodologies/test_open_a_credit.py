"""From an act to a file that a stranger recomputes: the real road, and the script run outside our environment."""

import json
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app import funding, methodologies, openness, records, scenarios, sources, vehicles
from app.db import session
from app.funding.models import Boost
from app.people import consents
from app.programs.templates import load
from tests import given
from tests.methodologies.test_verify_credit import SCRIPT

AT = given.AT


@pytest.fixture
def city(db_session: Session) -> dict[str, int]:
    """A funded city with everything its template offers, and somebody who agreed and has a vehicle."""
    methodologies.publish_library(at=AT)
    program = given.program()
    for definition in load("city").scenarios:
        scenarios.offer(program_id=program.id, definition=definition)
    sponsor = funding.sponsor(program_id=program.id, code="s", name="出资方", name_en="Sponsor")
    budget = funding.open_budget(
        program_id=program.id, sponsor_id=sponsor.id, code="b", name="b", price_fen=2000, is_default=True, at=AT
    )
    funding.receive_deposit(budget=budget, fen=10_000_000, reference="d1", at=AT)
    person = given.member(program)
    for purpose in ("vehicle", "rides", "steps"):
        consents.agree(
            person_id=person, key=purpose, version=consents.purpose(purpose).version, at=AT - timedelta(days=9)
        )
    vehicle = vehicles.register(vin="LSVAA4182E2123456", fuel="bev")
    vehicles.bind(vehicle_id=vehicle, person_id=person, at=AT, since=AT - timedelta(days=9))
    vehicles.start_mileage(vehicle_id=vehicle, since=AT - timedelta(days=9))
    partner = sources.register(program_id=program.id, code="p", kind="partner", name="数据方")
    citizen = sources.register(program_id=program.id, code="c", kind="citizen", name="本人")
    device = sources.register(program_id=program.id, code="d", kind="device", name="设备")
    return {"program": program.id, "person": person, "vehicle": vehicle, "partner": partner.id, "citizen": citizen.id,
            "device": device.id}  # fmt: skip


def take(city: dict[str, int], scenario: str, facts: dict[str, Any], *, source: str = "partner", **more: Any) -> Any:
    act = records.Act(
        program_id=city["program"],
        scenario=scenario,
        person_id=city["person"],
        source_id=city[source],
        reference=f"{scenario}-{json.dumps(facts, sort_keys=True)}",
        facts=facts,
        occurred_at=AT - timedelta(days=1),
        ended_at=AT - timedelta(days=1) + timedelta(minutes=30),
        **more,
    )
    taken = records.take(act, at=AT)
    assert taken.state == "counted", taken
    return taken


def stranger(document: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """The script's verdict, in an interpreter without our packages."""
    command = [sys.executable, "-I", "-S", str(SCRIPT), "-", "--json"]
    done = subprocess.run(command, input=json.dumps(document), capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


ACTS = [
    ("nev-mileage", {"distance_km": "32.3"}, "partner", True),
    ("metro-ride", {"distance_km": "10"}, "partner", False),
    ("bus-ride", {"distance_km": "8.05"}, "citizen", False),
    ("cycling", {"distance_km": "3.2"}, "partner", False),
    ("walking", {"steps": 7251}, "device", False),
]


@pytest.mark.parametrize(("scenario", "facts", "source", "by_vehicle"), ACTS, ids=[act[0] for act in ACTS])
def test_a_credit_opened_recomputes_offline(
    city: dict[str, int], scenario: str, facts: dict[str, Any], source: str, by_vehicle: bool
) -> None:
    subject = {"subject": f"vehicle:{city['vehicle']}"} if by_vehicle else {}
    taken = take(city, scenario, facts, source=source, **subject)
    document = openness.document(record_id=taken.record_id, person_id=city["person"])
    code, verdict = stranger(document)
    assert verdict["differences"] == []
    assert (code, verdict["ok"]) == (0, True)
    assert verdict["compared"] >= 12


def test_the_carry_goes_on_and_a_bonus_recomputes_too(city: dict[str, int]) -> None:
    session().add(
        Boost(
            program_id=city["program"],
            name="开城双倍",
            multiplier_bps=20_000,
            starts_at=AT - timedelta(days=5),
            ends_at=AT + timedelta(days=5),
        )
    )
    session().flush()
    first = take(city, "metro-ride", {"distance_km": "10"})
    document = openness.document(record_id=first.record_id)
    code, verdict = stranger(document)
    assert verdict["differences"] == []
    assert code == 0
    assert [bonus["rule"] for bonus in document["bonuses"]] == ["boost.开城双倍"]
    assert {t["reason"] for t in document["transfers"]} == {"reduction", "award.record", "award.boost.开城双倍"}
    assert document["bonuses"][0]["carry_before_micro"] == document["conversion"]["carry_after_micro"]
    document["bonuses"][0]["credits"] = "1000"
    assert stranger(document)[0] == 1


def test_a_forged_number_is_seen(city: dict[str, int]) -> None:
    taken = take(city, "metro-ride", {"distance_km": "10"})
    document = openness.document(record_id=taken.record_id)
    document["record"]["facts"]["distance_km"] = "11"
    code, verdict = stranger(document)
    assert code == 1
    assert verdict["differences"] == ["input distance_km: computed 11, the file says 10"]
