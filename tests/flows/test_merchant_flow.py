"""A merchant's way through the API: asks, invites, offers, scans a picture, sees the day, pauses, leaves.

Seen red with the file's cells written as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app import offers
from app.db import transaction
from app.merchants import applying
from tests import world
from tests.flows.conftest import NOW, Citizen
from tests.world import World

ASKED = {
    "name": "点心铺",
    "licence_no": "91350100M000100Y43",
    "phone": "13800138000",
    "shops": [{"name": "总店", "address": "一环路 1 号"}],
}
OFFER = {"name": "=三次卡", "pieces": 10, "price_credits": 100, "settlement_fen": 100, "uses": 3}


@pytest.fixture
def owner(ben: Citizen, town: World) -> tuple[Citizen, str]:
    """Ben, whose application was approved, and his shop."""
    asked = ben.post("/merchants/applications", {"program": town.code, **ASKED})
    assert (asked["state"], asked["reason"]) == ("submitted", "")
    with transaction():
        applying.approve(application_id=int(asked["id"]), code="bakery", by="operator:lin", at=NOW)
    (shop,) = ben.get("/shops")["items"]
    assert shop["role"] == "owner"
    return ben, str(shop["id"])


@pytest.fixture
def card(ann: Citizen, owner: tuple[Citizen, str], town: World) -> str:
    """A card of three uses that Ann has taken: its code."""
    ben, shop = owner
    offer = ben.post(f"/shops/{shop}/offers", OFFER)
    ben.post(f"/shops/{shop}/offers/{offer['id']}/submit", status=200)
    with transaction():
        world.rich(town, ann.person_id, 500, at=NOW)
        item = str(offers.approve(offer_id=int(offer["id"]), by="operator:lin", at=NOW).id)
    assert ben.get(f"/shops/{shop}/offers")["items"][0]["item_id"] == item
    order = {"item_id": item, "quantity": 1, "client_ref": "card", "price_credits": 100}
    return str(ann.post("/orders", order)["codes"][0]["id"])


def test_a_clerk_is_invited_by_rank_and_once(
    owner: tuple[Citizen, str], ann: Citizen, settle: Callable[..., Citizen]
) -> None:
    ben, shop = owner
    token = ben.post(f"/shops/{shop}/invitations", {"role": "manager"})["token"]
    assert ann.post("/shops/join", {"token": token}) == {"shop_id": shop, "role": "manager"}
    assert ann.refused("/shops/join", {"token": "A" * 22}) == (422, "staff_invitation_invalid")
    assert ann.refused(f"/shops/{shop}/invitations", {"role": "owner"}) == (403, "forbidden")
    clerk = settle("chen")
    clerk.post("/shops/join", {"token": ann.post(f"/shops/{shop}/invitations", {"role": "clerk"})["token"]})
    assert clerk.refused(f"/shops/{shop}/invitations", {"role": "clerk"}) == (403, "forbidden")
    assert [one["role"] for one in ben.get(f"/shops/{shop}/staff")["items"]] == ["owner", "manager", "clerk"]
    assert ben.phone.call("DELETE", f"/shops/{shop}/staff/{clerk.person_id}").status_code == 204
    assert clerk.refused(f"/shops/{shop}/today", method="GET") == (403, "not_staff")
    assert ben.refused(f"/shops/{shop}/staff/{ben.person_id}", method="DELETE") == (409, "last_owner")


def test_a_picture_is_looked_at_used_in_part_and_goes_stale(
    ann: Citizen, owner: tuple[Citizen, str], card: str
) -> None:
    ben, shop = owner
    shown = ann.phone.get(f"/codes/{card}/picture")
    assert shown.headers["Cache-Control"] == "no-store"
    text: Any = shown.json["text"]  # type: ignore[index]
    assert 0 < shown.json["seconds_left"] <= 30  # type: ignore[index]
    assert ben.refused(f"/codes/{card}/picture", method="GET") == (404, "not_found")
    look = ben.post(f"/shops/{shop}/preview", {"code": text, "quantity": 2}, 200)
    assert (look["owed_fen"], look["uses_left"]) == (66, 3)
    scan = {"code": text, "quantity": 2, "scan_id": "s1"}
    done = ben.post(f"/shops/{shop}/redemptions", scan)
    assert (done["owed_fen"], done["uses_left"], done["held"]) == (66, 1, None)
    assert ben.post(f"/shops/{shop}/redemptions", scan, 200)["id"] == done["id"]
    assert ben.refused(f"/shops/{shop}/redemptions", {**scan, "scan_id": "s2"}) == (409, "code_uses_left")
    assert ben.refused(f"/shops/{shop}/redemptions", {"code": text, "scan_id": "s3"}) == (409, "code_stale")
    (line,) = ann.get("/codes?state=issued&search=三次")["items"]
    assert (line["uses"], line["uses_left"], line["on_expiry"]) == (3, 1, "return")
    assert ann.get("/codes?state=redeemed")["items"] == []
    undone = ben.post(f"/shops/{shop}/redemptions/{done['id']}/undo", status=200)
    assert undone["uses_left"] == 3


def test_ten_forged_pictures_close_the_till_and_foreign_codes_do_not(
    owner: tuple[Citizen, str], ann: Citizen, card: str
) -> None:
    ben, shop = owner
    text = ann.get(f"/codes/{card}/picture")["text"]
    path = f"/shops/{shop}/preview"
    for junk in ("https://evil.example/x", "x" * 4096, "134512345678901234") * 4:
        assert ben.refused(path, {"code": junk}) == (422, "code_foreign")
    for _ in range(10):
        assert ben.refused(path, {"code": text[:-3] + ("AAA" if text[-3:] != "AAA" else "BBB")}) == (
            404,
            "code_invalid",
        )
    assert ben.refused(path, {"code": text}) == (429, "too_many")


def test_the_shops_day_its_file_a_pause_and_leaving(ann: Citizen, owner: tuple[Citizen, str], card: str) -> None:
    ben, shop = owner
    code = ann.post(f"/codes/{card}/show", status=200)["code"]
    ben.post(f"/shops/{shop}/redemptions", {"code": code, "scan_id": "s1"})
    today = ben.get(f"/shops/{shop}/today")
    assert (today["count"], today["owed_fen"], today["customers"], today["new_customers"]) == (1, 33, 1, 1)
    (day,) = ben.get(f"/shops/{shop}/days")["items"]
    assert (day["date"], day["count"], day["undone"]) == ("2026-11-25", 1, 0)
    file = ben.phone.get(f"/shops/{shop}/redemptions/file?first=2026-11-25&last=2026-11-25")
    assert file.content_type == "text/csv; charset=utf-8"
    assert ",'=三次卡," in file.text
    wrong = f"/shops/{shop}/redemptions/file?first=2026-11-25&last=2025-02-30"
    assert ben.refused(wrong, method="GET") == (422, "invalid_field")
    ben.post(f"/shops/{shop}/pause", {"reason": "盘点"}, 200)
    assert ben.refused(f"/shops/{shop}/redemptions", {"code": code, "scan_id": "s2"}) == (409, "shop_paused")
    ben.post(f"/shops/{shop}/resume", status=200)
    assert ben.post(f"/shops/{shop}/leave", status=200)["merchant_state"] == "leaving"
    assert ben.refused(f"/shops/{shop}/offers", OFFER) == (409, "merchant_cannot_offer")
    assert ben.post(f"/shops/{shop}/redemptions", {"code": code, "scan_id": "s3"})["uses_left"] == 1
