"""Declaring an act, seeing what became of it, opening it, and objecting."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from app import appeals, records
from app.db import connection, transaction
from tests import world
from tests.flows.conftest import NOW, Citizen, ride
from tests.world import World


def counted(table: str) -> int:
    return int(connection().execute(text(f"select count(*) from {table}")).scalar_one())


def test_the_same_again_is_answered_with_the_first_and_other_content_is_kept_for_review(
    ann: Citizen, town: World
) -> None:
    first = ann.post("/records", ride(town))
    assert first["state"] == "counted" and int(first["mg"]) == 907_587
    assert (first["credits"], first["award_state"], first["paid_in"]) == (45, "paid", None), "tier E pays half"
    assert ann.post("/records", ride(town), 200) == first
    written = json.dumps(ride(town)).replace('"8.5"', "8.50")
    again = ann.phone.call("POST", "/records", data=written, content_type="application/json")
    assert (again.status_code, again.json) == (200, first), "8.50 is 8.5"
    assert ann.refused("/records", ride(town, km=9)) == (409, "content_conflict")
    assert (counted("records"), counted("conflicting_records")) == (1, 1)
    assert ann.get("/wallet")["items"][0]["credits"] == 45


def test_a_login_that_was_ended_declares_nothing_even_while_redis_has_its_copy(ann: Citizen, town: World) -> None:
    ann.get("/records")
    with transaction():
        connection().execute(text("update sessions set revoked_at = :at"), {"at": NOW})
    assert ann.get("/records")["items"] == [], "a read trusts the copy for a minute"
    assert ann.refused("/records", ride(town)) == (401, "login_required")
    assert counted("records") == 0


def test_two_people_may_use_the_same_reference(ann: Citizen, ben: Citizen, town: World) -> None:
    assert ann.post("/records", ride(town))["id"] != ben.post("/records", ride(town))["id"]


def test_the_list_goes_newest_first_by_cursor_and_by_state(ann: Citizen, town: World) -> None:
    for day in range(1, 6):
        ann.post("/records", ride(town, f"ride-{day}", day=day))
    held = ann.post("/records", ride(town, "too-far", day=7, km=500))
    assert (held["state"], held["reason"]["code"], held["mg"], held["credits"]) == ("held", "out_of_range", "0", 0)
    seen, cursor = [], ""
    while True:
        page = ann.get(f"/records?limit=4{cursor}")
        seen += [one["occurred_at"][8:10] for one in page["items"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ["07", "05", "04", "03", "02", "01"]
    assert [one["id"] for one in ann.get(f"/records?state=held&program={town.code}")["items"]] == [held["id"]]
    assert ann.refused("/records?state=lost", method="GET") == (422, "invalid_field")
    assert ann.refused("/records?program=nowhere", method="GET") == (404, "not_found")


def test_a_held_act_says_why_can_be_appealed_and_counts_when_the_appeal_is_granted(ann: Citizen, town: World) -> None:
    held = ann.post("/records", ride(town, km=500))
    opened = ann.get(f"/records/{held['id']}", headers={"Accept-Language": "en"})
    assert opened["can_appeal"] and opened["result"] is None
    assert opened["record"]["occurred_at"] == "2026-11-24T08:00:00+08:00"
    assert opened["why"][0]["code"] == "out_of_range" and "sanity range" in opened["why"][0]["text"]
    assert ann.get("/home")["pending"][0]["kind"] == "review"
    words = {"words": "长途客运，有车票。"}
    appeal = ann.post(f"/records/{held['id']}/appeal", words)
    assert ann.post(f"/records/{held['id']}/appeal", {"words": "再说一次"}, 200)["id"] == appeal["id"]
    assert appeal["answer_due_at"] == "2026-12-05T10:00:00+08:00"
    with transaction():
        appeals.answer(appeal_id=int(appeal["id"]), granted=True, words="票据有效", by="operator:ops", at=NOW)
    (answered,) = ann.get("/appeals")["items"]
    assert (answered["state"], answered["answer"]) == ("granted", "票据有效")
    assert ann.get(f"/records/{held['id']}")["record"]["state"] == "counted"
    assert ann.get("/notices")["items"][0]["kind"] == "appeal.granted"


def test_what_counts_in_full_has_a_certificate_and_nothing_to_appeal(ann: Citizen, town: World) -> None:
    made = ann.post("/records", ride(town))
    path = f"/records/{made['id']}"
    shown = ann.post(f"{path}/certificate", status=200)
    assert shown["number"].startswith("DD202611-") and shown["path"] == f"/public/certificates/{shown['number']}"
    assert ann.post(f"{path}/certificate", status=200) == shown
    assert ann.refused(f"{path}/appeal", {"words": "更多"}) == (409, "nothing_to_appeal")
    document = ann.phone.get(f"{path}/file")
    assert document.json["format"] == "diandi.credit/1"  # type: ignore[index]
    assert document.headers["Content-Disposition"] == f'attachment; filename="credit-{made["id"]}.json"'


def test_a_reversed_act_counts_nothing_and_the_debt_shows(ann: Citizen, town: World) -> None:
    made = ann.post("/records", ride(town))
    ann.post("/gifts", {"project_id": str(town.project_id), "credits": 40, "client_ref": "g"})
    with transaction():
        records.reverse(record_id=int(made["id"]), code="not_green", words="重复", by="operator:ops", at=NOW)
    (line,) = ann.get("/records")["items"]
    assert (line["state"], line["mg"], line["credits"], line["award_state"]) == ("reversed", "0", 0, "reversed")
    (wallet,) = ann.get("/wallet")["items"]
    assert (wallet["credits"], wallet["debt_credits"], wallet["mg"]) == (0, 40, "0")


def test_an_act_is_paid_once_and_shown_in_the_other_program(
    ann: Citizen, town: World, settle: Callable[..., Citizen]
) -> None:
    with transaction():
        other = world.build(people=0, at=NOW)
    settle("alice", of=other)
    shown = ann.post("/records", ride(other))
    assert (shown["state"], shown["paid_in"], shown["credits"]) == ("mirrored", town.code, 0)
    assert ann.post("/records", ride(other), 200)["paid_in"] == town.code
    paid = [one for one in ann.get("/records")["items"] if one["state"] == "counted"]
    assert [(one["program"], one["credits"]) for one in paid] == [(town.code, 45)]
    assert ann.get("/home")["total"]["mg"] == shown["mg"], "two programs, one act"
    why = ann.get(f"/records/{shown['id']}")["why"]
    assert why[0]["code"] == "paid_elsewhere"


BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "a program that isn't there": ({"program": "nowhere"}, 404, "not_found"),
    "a scenario that isn't there": ({"scenario": "teleport"}, 404, "unknown_scenario"),
    "a scenario that takes no word of mouth": ({"scenario": "nev-mileage"}, 403, "source_not_allowed"),
    "tomorrow": ({"occurred_at": "2026-11-26T08:00:00+08:00", "ended_at": None}, 422, "in_future"),
    "before the program": ({"occurred_at": "2025-12-31T23:00:00+08:00", "ended_at": None}, 422, "before_program"),
    "before the century": ({"occurred_at": "1999-01-01T00:00:00+08:00"}, 422, "invalid_field"),
    "no zone": ({"occurred_at": "2026-11-24T08:00:00"}, 422, "invalid_field"),
    "the end first": ({"ended_at": "2026-11-24T07:00:00+08:00"}, 422, "time_impossible"),
    "no facts": ({"facts": {}}, 422, "invalid_field"),
    "another fact": ({"facts": {"distance_km": 8, "speed": 3}}, 422, "facts_invalid"),
    "a fact missing": ({"facts": {"note": "bus"}}, 422, "facts_invalid"),
    "a fact that is a list": ({"facts": {"distance_km": [8]}}, 422, "invalid_field"),
    "a fact that is true": ({"facts": {"distance_km": True}}, 422, "invalid_field"),
    "words for a number": ({"facts": {"distance_km": "eight"}}, 422, "facts_invalid"),
    "a huge number": ({"facts": {"distance_km": 10**30}}, 422, "invalid_field"),
    "a long note": ({"facts": {"distance_km": 8, "note": "x" * 201}}, 422, "invalid_field"),
    "a vehicle of nobody": ({"vehicle_id": "999999"}, 404, "not_found"),
    "a reference with spaces": ({"client_ref": "a b"}, 422, "invalid_field"),
    "my own tier": ({"tier": "A"}, 422, "unknown_field"),
    "somebody's name": ({"person_id": "1"}, 422, "unknown_field"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_acts_are_refused_and_nothing_is_kept(ann: Citizen, town: World, what: str) -> None:
    changes, status, code = BAD[what]
    assert ann.refused("/records", ride(town, **changes)) == (status, code)
    assert (counted("records"), counted("transfers")) == (0, 2), "only the deposit stands"


def test_without_consent_or_membership_nothing_is_taken(ann: Citizen, town: World) -> None:
    assert ann.phone.delete("/me/consents/rides").status_code == 204
    assert ann.refused("/records", ride(town)) == (403, "consent_required")
    assert ann.phone.delete(f"/programs/{town.code}/membership").status_code == 204
    assert ann.refused("/records", ride(town)) == (403, "not_a_member")


def test_somebody_elses_vehicle_is_not_mine(ann: Citizen, ben: Citizen, town: World) -> None:
    theirs = ben.post("/vehicles", {"plate": "川A12345", "fuel": "bev"})["id"]
    assert ann.refused("/records", ride(town, vehicle_id=theirs)) == (404, "not_found")
