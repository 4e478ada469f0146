"""The home page, the wallet and its statement, gifts, vehicles and accounts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app import clock, funding, vehicles
from app.db import session, transaction
from tests import world
from tests.flows.conftest import NOW, Citizen, ride
from tests.world import World


def today(town: World, reference: str = "today", **changes: Any) -> dict[str, Any]:
    times = {"occurred_at": "2026-11-25T08:00:00+08:00", "ended_at": "2026-11-25T09:00:00+08:00"}
    return ride(town, reference, **{**times, **changes})


def test_the_home_page_of_a_day(ann: Citizen, town: World) -> None:
    empty = ann.get("/home")
    assert empty["today"] == {"date": "2026-11-25", "mg": "0", "credits": 0, "pending_credits": 0, "acts": 0}
    assert (empty["next_step"]["code"], empty["wallets"], empty["pending"]) == ("record_act", [], [])
    ann.post("/records", ride(town, "yesterday"))
    made = ann.post("/records", today(town))
    home = ann.get("/home")
    assert (home["today"]["mg"], home["today"]["credits"], home["today"]["acts"]) == (made["mg"], made["credits"], 1)
    assert int(home["total"]["mg"]) == 2 * int(made["mg"])
    assert home["total"]["credits"] == home["wallets"][0]["credits"] == 90
    assert [one["code"] for one in home["programs"]] == [town.code]
    assert home["next_step"] == {"code": "see_mall", "text": "您有 90 积分可用，去商城看看能换什么。"}
    english = ann.get("/home", headers={"Accept-Language": "en"})
    assert english["next_step"]["text"] == "You have 90 credits. See what they can become."


def test_the_day_begins_at_midnight_in_shanghai(ann: Citizen, town: World) -> None:
    late = {"occurred_at": "2026-11-24T23:50:00+08:00", "ended_at": "2026-11-25T00:10:00+08:00"}
    ann.post("/records", ride(town, **late))
    assert ann.get("/home")["today"]["acts"] == 0
    with clock.frozen(NOW - timedelta(hours=10, minutes=1)):
        assert ann.get("/home")["today"] | {"credits": 0} == {
            "date": "2026-11-24",
            "mg": "907587",
            "credits": 0,
            "pending_credits": 0,
            "acts": 1,
        }


def test_a_dry_budget_shows_what_waits_and_pays_when_money_comes(
    settle: Callable[..., Citizen], still: datetime, db_session: Session
) -> None:
    with transaction():
        town = world.build(people=0, deposit_fen=60, at=NOW)  # covers 30 credits
    ann = settle("alice", of=town)
    made = ann.post("/records", today(town))
    assert (made["award_state"], made["credits"]) == ("pending", 45)
    home = ann.get("/home")
    assert (home["today"]["credits"], home["today"]["pending_credits"]) == (0, 45)
    (waits,) = home["pending"]
    assert (waits["kind"], waits["credits"], waits["until"]) == ("budget", 45, None)
    assert ann.get("/wallet")["items"][0]["pending_credits"] == 45
    why = ann.get(f"/records/{made['id']}")["why"]
    assert [one["code"] for one in why] == ["budget_empty", "tier_share"]
    with transaction():
        budget = session().get_one(funding.Budget, town.budget_id)
        funding.receive_deposit(budget=budget, fen=1_000, reference="second", at=NOW)
        funding.pay_pending(budget_id=town.budget_id, at=NOW)
    assert ann.get("/home")["today"]["credits"] == 45


def test_what_expires_soon_comes_first(ann: Citizen, town: World) -> None:
    ann.post("/records", today(town))
    assert ann.get("/home")["expiring_credits"] == 0
    (lot,) = ann.get("/wallet")["items"][0]["lots"]
    assert lot == {
        "expires_at": "2029-01-01T00:00:00+08:00",
        "credits": 45,
        "paid_by": {"name": "银行", "logo_url": ""},
    }
    with clock.frozen(NOW.replace(year=2028, month=12, day=20)):
        assert ann.phone.sign_in().status_code == 200
        home = ann.get("/home")
        assert (home["expiring_credits"], home["next_step"]["code"]) == (45, "spend_expiring")
    with clock.frozen(NOW.replace(year=2029, month=1, day=2)):
        assert ann.phone.sign_in().status_code == 200
        assert ann.get("/wallet")["items"][0]["credits"] == 0, "past its end it can't be spent"


def test_the_statement_is_gapless_and_opens(ann: Citizen, town: World) -> None:
    for day in range(1, 8):
        ann.post("/records", ride(town, f"d{day}", day=day))
    gift = ann.post("/gifts", {"project_id": str(town.project_id), "credits": 30, "client_ref": "g1"})
    lines, cursor = [], ""
    while True:
        page = ann.get(f"/wallet/{town.code}/statement?limit=3{cursor}")
        lines += page["items"]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert [int(line["seq"]) for line in lines] == list(range(8, 0, -1))
    assert lines[0]["link"] == {"kind": "gift", "id": gift["id"]}
    assert (lines[0]["credits"], lines[0]["text"]) == (-30, "捐赠公益项目")
    running = 0
    for line in reversed(lines):
        running += line["credits"]
        assert line["balance"] == running
    assert running == ann.get("/wallet")["items"][0]["credits"]
    opened = ann.get(f"/records/{lines[-1]['link']['id']}")
    assert lines[-1]["transfer_id"] in [one["id"] for one in opened["transfers"]]


def test_no_wallet_no_statement(ann: Citizen, town: World) -> None:
    assert ann.get("/wallet") == {"items": []}
    assert ann.refused(f"/wallet/{town.code}/statement", method="GET") == (404, "not_found")
    assert ann.refused("/wallet/nowhere/statement", method="GET") == (404, "not_found")


def test_a_gift_again_is_the_first_and_the_project_grows(ann: Citizen, town: World) -> None:
    ann.post("/records", ride(town))
    wanted = {"project_id": str(town.project_id), "credits": 40, "client_ref": "g1"}
    gift = ann.post("/gifts", wanted)
    assert (gift["credits"], gift["fen"]) == (40, 80)
    assert ann.post("/gifts", wanted, 200) == gift
    assert ann.refused("/gifts", {**wanted, "credits": 5}) == (409, "idempotency_conflict")
    assert ann.refused("/gifts", {**wanted, "client_ref": "g2"}) == (409, "insufficient")
    assert ann.refused("/gifts", {**wanted, "project_id": "999999"}) == (404, "not_found")
    assert ann.refused("/gifts", {**wanted, "credits": 0}) == (422, "invalid_field")
    (project,) = ann.get(f"/programs/{town.code}/welfare")["items"]
    assert (project["given_credits"], project["owed_fen"], project["gifts"]) == (40, 80, 1)
    assert ann.get("/gifts")["items"] == [gift]


def test_a_vehicle_has_one_holder(ann: Citizen, ben: Citizen, town: World) -> None:
    car = {"vin": "LSVAU2180C2183294", "fuel": "bev"}
    mine = ann.post("/vehicles", car)
    assert (mine["hint"], mine["earns_by"]) == ("…3294", "charging")
    assert ann.post("/vehicles", car, 200) == mine
    assert ben.refused("/vehicles", car) == (409, "vehicle_taken")
    assert ben.refused(f"/vehicles/{mine['id']}", method="DELETE") == (404, "not_found")
    assert ann.phone.delete(f"/vehicles/{mine['id']}").status_code == 204
    assert ann.get("/vehicles")["items"] == []
    with clock.frozen(NOW + timedelta(minutes=1)):
        assert ben.post("/vehicles", car)["id"] != mine["id"]
    assert "LSVAU2180C2183294" not in ann.phone.get("/me/export").text


@pytest.mark.parametrize(
    "body",
    [
        {"fuel": "bev"},
        {"vin": "LSVAU2180C2183294", "plate": "川A12345", "fuel": "bev"},
        {"vin": "short", "fuel": "bev"},
        {"vin": "lsvau2180c2183294", "fuel": "bev"},
        {"plate": "A12345", "fuel": "bev"},
        {"plate": "川A12345", "fuel": "diesel"},
        {"plate": "川A12345"},
    ],
)
def test_vehicles_that_are_none(ann: Citizen, body: dict[str, Any]) -> None:
    assert ann.refused("/vehicles", body) == (422, "invalid_field")


def test_binding_needs_consent(ann: Citizen, town: World) -> None:
    for purpose in ("vehicle", "rides", "steps"):
        ann.phone.delete(f"/me/consents/{purpose}")
    assert ann.refused("/vehicles", {"plate": "川A12345", "fuel": "bev"}) == (403, "consent_required")
    account = {"program": town.code, "partner": "partner", "account": "card-0001"}
    assert ann.refused("/accounts", account) == (403, "consent_required")
    assert ann.get("/vehicles")["items"] == [] == ann.get("/accounts")["items"]


def test_an_account_has_one_holder_and_unbinding_ends_it(ann: Citizen, ben: Citizen, town: World) -> None:
    (partner,) = ann.get(f"/programs/{town.code}/partners")["items"]
    account = {"program": town.code, "partner": partner["code"], "account": "6217-0001-4242"}
    mine = ann.post("/accounts", account)
    assert (mine["hint"], mine["program"]) == ("4242", town.code)
    assert ann.post("/accounts", account, 200) == mine
    assert ben.refused("/accounts", account) == (409, "account_taken")
    assert ben.refused("/accounts", {**account, "partner": "nobody"}) == (404, "not_found")
    assert ben.refused("/accounts", {**account, "partner": "citizen"}) == (404, "not_found")
    assert ben.refused(f"/accounts/{mine['id']}", method="DELETE") == (404, "not_found")
    assert ann.phone.delete(f"/accounts/{mine['id']}").status_code == 204
    assert ben.post("/accounts", account)["hint"] == "4242"


def test_a_vehicle_whose_mileage_arrives_earns_by_it(ann: Citizen, town: World) -> None:
    mine = ann.post("/vehicles", {"plate": "川A12345", "fuel": "bev"})
    with transaction():
        vehicle_id = vehicles.bound(binding_id=int(mine["id"]), person_id=ann.person_id)
        vehicles.start_mileage(vehicle_id=vehicle_id, since=NOW)
    assert ann.get("/vehicles")["items"][0]["earns_by"] == "mileage"
