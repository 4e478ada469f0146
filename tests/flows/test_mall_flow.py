"""Credits become something real: the mall, an order, its code, the clerk's scan, undo, and what we owe."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis

from app import cache, clock, ledger, merchants, orders, redemptions
from app.db import session, transaction
from app.mall.models import Item
from tests import world
from tests.flows.conftest import NOW, Citizen
from tests.world import World


def wanted(town: World, reference: str = "tea-1", **changes: Any) -> dict[str, Any]:
    return {
        "item_id": str(town.item_id),
        "quantity": 1,
        "client_ref": reference,
        "price_credits": 100,
        **changes,
    }


@pytest.fixture
def rich(ann: Citizen, town: World) -> Citizen:
    """Ann, with a thousand credits."""
    with transaction():
        world.rich(town, ann.person_id, 1_000, at=NOW)
    return ann


@pytest.fixture
def clerk(ben: Citizen, town: World) -> Citizen:
    """Ben, who scans."""
    with transaction():
        world.clerk(town, ben.person_id, at=NOW)
    return ben


def code_of(buyer: Citizen, town: World, reference: str = "tea-1") -> str:
    order = buyer.post("/orders", wanted(town, reference))
    return str(buyer.post(f"/codes/{order['codes'][0]['id']}/show", status=200)["code"])


def redeem(clerk: Citizen, town: World, code: str, scan: str = "scan-1", status: int = 201) -> Any:
    return clerk.post(f"/shops/{town.shop_id}/redemptions", {"code": code, "scan_id": scan}, status)


def test_the_shelf_is_open_to_everybody(rich: Citizen, town: World) -> None:
    (item,) = rich.phone.client.get(f"/api/v1/programs/{town.code}/items").json["items"]  # type: ignore[index]
    assert (item["name"], item["available"], item["price_credits"]) == ("茶", 10, 100)
    shown = rich.get(f"/programs/{town.code}/items/{item['id']}", headers={"Accept-Language": "en"})
    assert (shown["name"], shown["on_sale"], shown["shops"]) == ("Tea", True, [{"name": "一店", "address": ""}])
    rich.post("/orders", wanted(town))
    assert rich.get(f"/programs/{town.code}/items/{item['id']}")["available"] == 9
    assert rich.refused(f"/programs/{town.code}/items/999999", method="GET") == (404, "not_found")


def test_an_order_again_is_the_first_and_another_under_its_name_is_refused(rich: Citizen, town: World) -> None:
    first = rich.post("/orders", wanted(town, quantity=2))
    assert (first["credits"], first["state"], len(first["codes"])) == (200, "paid", 2)
    assert rich.post("/orders", wanted(town, quantity=2), 200) == first
    assert rich.refused("/orders", wanted(town, quantity=3)) == (409, "idempotency_conflict")
    assert rich.get("/orders")["items"] == [first] and rich.get(f"/orders/{first['id']}") == first
    assert rich.get("/wallet")["items"][0]["credits"] == 800


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "another price": ({"price_credits": 90}, 409, "price_changed"),
    "an item that isn't there": ({"item_id": "999999"}, 404, "not_found"),
    "more than there is": ({"quantity": 11}, 409, "sold_out"),
    "none": ({"quantity": 0}, 422, "invalid_field"),
    "half": ({"quantity": 0.5}, 422, "invalid_field"),
    "a hundred": ({"quantity": 100}, 422, "invalid_field"),
    "words": ({"quantity": "1"}, 422, "invalid_field"),
    "a free one": ({"price_credits": 0}, 422, "invalid_field"),
    "my own state": ({"state": "paid"}, 422, "unknown_field"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_bad_orders_change_nothing(rich: Citizen, town: World, what: str) -> None:
    changes, status, code = REFUSED[what]
    assert rich.refused("/orders", wanted(town, **changes)) == (status, code)
    assert rich.get("/wallet")["items"][0]["credits"] == 1_000
    assert rich.get("/orders")["items"] == [] == rich.get("/codes")["items"]
    assert rich.get(f"/programs/{town.code}/items")["items"][0]["available"] == 10


def test_too_few_credits_and_an_item_taken_off(ann: Citizen, town: World) -> None:
    assert ann.refused("/orders", wanted(town)) == (409, "insufficient")
    with transaction():
        world.rich(town, ann.person_id, 500, at=NOW)
        session().get_one(Item, town.item_id).state = "off_sale"
    assert ann.refused("/orders", wanted(town)) == (409, "not_on_sale")


def test_a_code_stands_in_no_list_and_in_no_log(rich: Citizen, town: World, capfd: pytest.CaptureFixture[str]) -> None:
    order = rich.post("/orders", wanted(town))
    shown = rich.phone.post(f"/codes/{order['codes'][0]['id']}/show")
    assert shown.headers["Cache-Control"] == "no-store"
    code = shown.json["code"]  # type: ignore[index]
    lists = [
        rich.phone.get(path).text for path in ("/orders", "/codes", f"/orders/{order['id']}", "/home", "/me/export")
    ]
    said = "".join(lists) + "".join(capfd.readouterr())
    assert code not in said and code.replace("-", "") not in said


def test_scan_once_ask_again_and_hear_when_and_where_it_was_used(rich: Citizen, clerk: Citizen, town: World) -> None:
    code = code_of(rich, town)
    looked = clerk.post(f"/shops/{town.shop_id}/preview", {"code": f" {code.lower()} "}, 200)
    assert (looked["title"], looked["owed_fen"]) == ("茶", 150) and looked["buyer"].startswith("用户")
    first = redeem(clerk, town, code)
    assert redeem(clerk, town, code, status=200) == first, "a lost answer is asked again"
    answer = clerk.phone.post(f"/shops/{town.shop_id}/redemptions", {"code": code, "scan_id": "scan-2"})
    error = answer.json["error"]  # type: ignore[index]
    assert (answer.status_code, error["code"], error["details"]["shop"]) == (409, "code_used", "一店")
    assert rich.refused(f"/codes/{rich.get('/codes')['items'][0]['id']}/show") == (409, "code_used")
    other = code_of(rich, town, "tea-2")
    assert clerk.refused(f"/shops/{town.shop_id}/redemptions", {"code": other, "scan_id": "scan-1"}) == (
        409,
        "idempotency_conflict",
    )
    assert clerk.get(f"/shops/{town.shop_id}/today") == {
        "date": "2026-11-25", "count": 1, "owed_fen": 150, "customers": 1, "new_customers": 1,
    }  # fmt: skip


def test_undo_within_ten_minutes_and_the_code_lives_again(rich: Citizen, clerk: Citizen, town: World) -> None:
    code = code_of(rich, town)
    made = redeem(clerk, town, code)
    path = f"/shops/{town.shop_id}/redemptions/{made['id']}/undo"
    assert clerk.post(path, status=200)["undone_at"] is not None
    assert clerk.post(path, status=200)["undone_at"] is not None, "again changes nothing"
    assert clerk.get(f"/shops/{town.shop_id}/today")["count"] == 0
    assert rich.get("/orders")["items"][0]["state"] == "paid", "its code is open again"
    again = redeem(clerk, town, code, "scan-2")
    assert [one["undone_at"] is None for one in clerk.get(f"/shops/{town.shop_id}/redemptions")["items"]] == [
        True,
        False,
    ]
    assert rich.get("/orders")["items"][0]["state"] == "fulfilled"
    with clock.frozen(NOW + timedelta(minutes=10, seconds=1)):
        assert clerk.refused(f"/shops/{town.shop_id}/redemptions/{again['id']}/undo") == (409, "undo_too_late")


def test_what_we_owe_is_for_owners(rich: Citizen, clerk: Citizen, town: World) -> None:
    redeem(clerk, town, code_of(rich, town))
    path = f"/shops/{town.shop_id}/owed"
    assert clerk.refused(path, method="GET") == (403, "forbidden")
    with transaction():
        merchants.dismiss(shop_id=town.shop_id, person_id=clerk.person_id, at=NOW)
        world.clerk(town, clerk.person_id, role="owner", at=NOW)
    assert clerk.get(path)["owed_fen"] == 150
    assert clerk.get("/shops")["items"][0]["role"] == "owner"


def test_a_dismissed_clerk_and_a_foreign_shop_are_refused_at_once(
    rich: Citizen, clerk: Citizen, town: World, settle: Callable[..., Citizen]
) -> None:
    code = code_of(rich, town)
    with transaction():
        elsewhere = world.build(people=0, at=NOW)
        world.clerk(elsewhere, clerk.person_id, at=NOW)
    foreign = f"/shops/{elsewhere.shop_id}"
    assert clerk.refused(f"{foreign}/redemptions", {"code": code, "scan_id": "s"}) == (404, "code_invalid")
    assert rich.refused(f"/shops/{town.shop_id}/preview", {"code": code}) == (403, "not_staff")
    made = redeem(clerk, town, code)
    assert clerk.refused(f"{foreign}/redemptions/{made['id']}/undo") == (404, "not_found")
    with transaction():
        merchants.dismiss(shop_id=town.shop_id, person_id=clerk.person_id, at=NOW)
    assert clerk.refused(f"/shops/{town.shop_id}/today", method="GET") == (403, "not_staff")


def test_nobody_redeems_an_own_code(rich: Citizen, town: World) -> None:
    with transaction():
        world.clerk(town, rich.person_id, at=NOW)
    code = code_of(rich, town)
    path = f"/shops/{town.shop_id}"
    assert rich.refused(f"{path}/preview", {"code": code}) == (403, "own_code")
    assert rich.refused(f"{path}/redemptions", {"code": code, "scan_id": "s"}) == (403, "own_code")


def test_an_expired_code_says_so(rich: Citizen, clerk: Citizen, town: World) -> None:
    code = code_of(rich, town)
    with clock.frozen(NOW + timedelta(days=31)):
        assert clerk.phone.sign_in().status_code == rich.phone.sign_in().status_code == 200
        assert clerk.refused(f"/shops/{town.shop_id}/preview", {"code": code}) == (409, "code_expired")
        (line,) = rich.get("/codes")["items"]
        assert line["state"] == "expired"
        assert rich.refused(f"/codes/{line['id']}/show") == (409, "code_expired")


def test_guessing_is_limited_and_typing_slips_are_free(rich: Citizen, clerk: Citizen, town: World) -> None:
    path, good = f"/shops/{town.shop_id}/preview", code_of(rich, town)
    slip = good[:-1] + ("0" if good[-1] != "0" else "1")
    for _ in range(15):
        assert clerk.refused(path, {"code": slip}) == (422, "code_mistyped")
    for _ in range(10):
        assert clerk.refused(path, {"code": redemptions.typed_code.new()}) == (404, "code_invalid")
    assert clerk.refused(path, {"code": redemptions.typed_code.new()}) == (429, "too_many")
    assert clerk.refused(path, {"code": good}) == (429, "too_many"), "also for the right one"
    assert clerk.refused(f"/shops/{town.shop_id}/redemptions", {"code": good, "scan_id": "s"}) == (429, "too_many")


def test_guessing_is_closed_when_it_can_not_be_counted(
    rich: Citizen, clerk: Citizen, town: World, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = code_of(rich, town)
    connected = cache.client()
    cache.connect("redis://127.0.0.1:1/0")
    try:
        assert clerk.refused(f"/shops/{town.shop_id}/preview", {"code": good}) == (503, "busy")
        assert clerk.get(f"/shops/{town.shop_id}/today")["count"] == 0, "the rest of the shop stays open"
    finally:
        monkeypatch.setattr(cache, "_client", connected)
    assert clerk.post(f"/shops/{town.shop_id}/preview", {"code": good}, 200)["owed_fen"] == 150


def test_the_books_balance_after_all_this(rich: Citizen, clerk: Citizen, town: World) -> None:
    """An order, a scan, an undo, a scan: what is owed, spent and left is one sum."""
    code = code_of(rich, town)
    made = redeem(clerk, town, code)
    clerk.post(f"/shops/{town.shop_id}/redemptions/{made['id']}/undo", status=200)
    redeem(clerk, town, code, "scan-2")
    merchant = merchants.shop_of_staff(shop_id=town.shop_id, person_id=clerk.person_id, at=NOW)[1]
    assert merchants.owed_fen(merchant) == 150
    committed = ledger.account(program_id=town.program_id, asset="credits", kind="committed")
    query = "select coalesce(sum(amount), 0) from entries where account_id = %s"
    left = session().connection().exec_driver_sql(query, (committed,)).scalar_one()
    assert left == 0
    assert orders.line(int(rich.get("/orders")["items"][0]["id"]), rich.person_id).state == "fulfilled"
