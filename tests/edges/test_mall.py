"""The mall over HTTP: pages for everybody and for me, the cart, addresses, orders, and bad input of every sort."""

from __future__ import annotations

import io
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app import mall, orders, programs
from app.clock import now
from app.db import session, transaction
from app.mall import pictures
from app.mall.models import Item
from app.merchants.models import Shop
from tests import shelf, world
from tests.edges.conftest import Phone, code_of
from tests.world import World

ADDRESS = {
    "name": "林一", "phone": "13800000000", "province": "四川省", "city": "成都市", "district": "青羊区",
    "detail": "某街 1 号",
}  # fmt: skip


@pytest.fixture
def town(db_session: Any, alice: Phone, bob: Phone) -> World:
    before = now() - timedelta(days=2)
    with transaction():
        made = world.build(people=0, at=before)
        for phone in (alice, bob):
            person = int(phone.get("/me").json["id"])  # type: ignore[index]
            world.join(programs.by_code(made.code), person_id=person, at=before)
            world.rich(made, person, 500, at=before)
            made.people.append(person)
        return made


def wish(item_id: int, quantity: int = 1, **more: Any) -> dict[str, Any]:
    return {"item_id": str(item_id), "quantity": quantity, "price_credits": 100, **more}


def test_everybody_sees_the_shelf_and_members_theirs(town: World, alice: Phone, bob: Phone) -> None:
    with transaction():
        shelf.item(town, name="会员专享", least_level=1)
        announced = shelf.item(town, name="预告", sale_from=now() + timedelta(days=1))
    page = alice.client.get(f"/api/v1/programs/{town.code}/items").json or {}
    assert [line["name"] for line in page["items"]] == ["茶", "预告"]
    assert [line["on_sale"] for line in page["items"]] == [True, False]
    mine = alice.get(f"/programs/{town.code}/items/for-me")
    assert [line["name"] for line in mine.json["items"]] == ["茶", "预告"]  # type: ignore[index]
    assert mine.headers["Cache-Control"].startswith("private")
    again = alice.get(f"/programs/{town.code}/items/for-me", headers={"If-None-Match": mine.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    affordable = alice.get(f"/programs/{town.code}/items/for-me?show=affordable").json or {}
    assert {line["name"] for line in affordable["items"]} == {"茶", "预告"}
    assert alice.put(f"/items/{announced}/favourite").json["favourite"] is True  # type: ignore[index]
    kept = alice.get(f"/programs/{town.code}/items/for-me?show=favourites").json or {}
    assert [line["name"] for line in kept["items"]] == ["预告"]
    assert (bob.get(f"/programs/{town.code}/items/for-me?show=favourites").json or {})["items"] == []
    assert alice.delete(f"/items/{announced}/favourite").status_code == 204
    assert code_of(alice.delete(f"/items/{announced}/favourite")) == "not_found"


def test_what_an_item_is_to_me(town: World, alice: Phone) -> None:
    with transaction():
        thing = shelf.item(town, per_person=3, per_period=2, period_kind="month")
    alice.put(f"/cart/{thing}", {"quantity": 2})
    alice.post("/orders", {**wish(thing), "client_ref": "one"})
    found = alice.get(f"/items/{thing}/mine").json or {}
    assert found == {
        "favourite": False, "in_cart": 2, "for_me": True, "credits": 400, "affordable": True, "left_for_me": 1,
        "waiting": None,
    }  # fmt: skip
    assert code_of(alice.post(f"/items/{thing}/waiting")) == "in_stock"


def test_a_cart_by_http(town: World, alice: Phone) -> None:
    with transaction():
        first, second = shelf.item(town), shelf.item(town)
    for thing in (first, second):
        cart = alice.put(f"/cart/{thing}", {"quantity": 2}).json or {}
    assert (cart["credits"], [line["trouble"] for line in cart["items"]]) == (400, [None, None])
    body = {"client_ref": "c-1", "lines": [wish(first, 2), wish(second, 2)]}
    done, again = alice.post("/cart/checkout", body), alice.post("/cart/checkout", body)
    assert (done.status_code, again.status_code) == (201, 200)
    assert done.json == again.json
    assert [one["state"] for one in (done.json or {})["items"]] == ["paid", "paid"]
    assert (alice.get("/cart").json or {})["items"] == []
    assert code_of(alice.delete(f"/cart/{first}")) == "not_found"
    twice = {"client_ref": "c-2", "lines": [wish(first), wish(first)]}
    assert code_of(alice.post("/cart/checkout", twice)) == "invalid_field"
    assert code_of(alice.post("/cart/checkout", {"client_ref": "c-2", "lines": []})) == "invalid_field"


def test_a_parcel_by_http_and_nobody_elses_business(town: World, alice: Phone, bob: Phone) -> None:
    with transaction():
        thing = shelf.item(town, "parcel")
    made = alice.post("/addresses", ADDRESS)
    assert (made.status_code, (made.json or {})["is_default"]) == (201, True)
    where = (made.json or {})["id"]
    order = alice.post("/orders", {**wish(thing), "client_ref": "p", "address_id": where}).json or {}
    assert order["parcel"] == {
        "state": "waiting", "carrier": None, "tracking_no": None, "shipped_at": None, "received_at": None,
    }  # fmt: skip
    other = (alice.post("/addresses", {**ADDRESS, "detail": "某街 2 号"}).json or {})["id"]
    for path, method, body in (
        (f"/orders/{order['id']}/address", "PUT", {"address_id": other}),
        (f"/orders/{order['id']}/received", "POST", None),
        (f"/orders/{order['id']}/booking", "PUT", {"slot_id": "1"}),
        (f"/orders/{order['id']}/booking", "DELETE", None),
        (f"/orders/{order['id']}/invoice", "POST", {"title": "x", "email": "a@example.com"}),
        (f"/addresses/{where}", "PUT", ADDRESS),
    ):
        assert code_of(bob.call(method, path, json=body)) == "not_found", path
    assert alice.put(f"/orders/{order['id']}/address", {"address_id": other}).status_code == 200
    assert code_of(alice.post(f"/orders/{order['id']}/received")) == "state_conflict"
    with transaction():
        orders.parcels.ship(order_id=int(order["id"]), carrier="SF", tracking_no="SF1", at=now())
    assert code_of(alice.put(f"/orders/{order['id']}/address", {"address_id": where})) == "shipped_already"
    done = alice.post(f"/orders/{order['id']}/received").json or {}
    assert (done["state"], done["parcel"]["tracking_no"]) == ("completed", "SF1")
    tabs = {tab: len((alice.get(f"/orders?state={tab}").json or {})["items"]) for tab in orders.STATE_GROUPS}
    assert tabs == {"unpaid": 0, "open": 0, "done": 1, "returned": 0}


def test_an_address_book_has_an_end_and_a_province_its_name(alice: Phone) -> None:
    assert code_of(alice.post("/addresses", {**ADDRESS, "province": "四川"})) == "invalid_field"
    for _ in range(orders.addresses.MOST):
        assert alice.post("/addresses", ADDRESS).status_code == 201
    assert code_of(alice.post("/addresses", ADDRESS)) == "too_many_addresses"
    book = (alice.get("/addresses").json or {})["items"]
    assert [one["is_default"] for one in book].count(True) == 1
    assert alice.delete(f"/addresses/{book[-1]['id']}").status_code == 204
    changed = alice.put(f"/addresses/{book[-2]['id']}", {**ADDRESS, "is_default": True}).json or {}
    assert (alice.get("/addresses").json or {})["items"][0]["id"] == changed["id"]


def test_returning_by_http(town: World, alice: Phone, bob: Phone) -> None:
    order = alice.post("/orders", {**wish(town.item_id, 2), "client_ref": "r"}).json or {}
    first = order["codes"][0]["id"]
    assert code_of(bob.post(f"/orders/{order['id']}/return", {})) == "not_found"
    one = alice.post(f"/orders/{order['id']}/return", {"code_ids": [first]}).json or {}
    assert (one["state"], one["refunded_pieces"]) == ("paid", 1)
    assert {line["state"] for line in one["codes"]} == {"issued", "refunded"}
    rest = alice.post(f"/orders/{order['id']}/return", {}).json or {}
    assert (rest["state"], rest["refunded_pieces"]) == ("refunded", 2)
    assert code_of(alice.post(f"/orders/{order['id']}/return", {})) == "state_conflict"


@pytest.mark.parametrize("quantity", [0, -1, 100, 2**53, 1.5, "1", None, True, "NaN"])
def test_impossible_quantities(town: World, alice: Phone, quantity: Any) -> None:
    body = {**wish(town.item_id), "quantity": quantity, "client_ref": "q"}
    assert code_of(alice.post("/orders", body)) == "invalid_field"
    assert code_of(alice.put(f"/cart/{town.item_id}", {"quantity": quantity})) == "invalid_field"


def test_insufficient_by_one(town: World, alice: Phone) -> None:
    with transaction():
        thing = shelf.item(town, price_credits=501)
    answer = alice.post("/orders", {**wish(thing), "price_credits": 501, "client_ref": "i"})
    assert code_of(answer) == "insufficient"
    assert (answer.json or {})["error"]["details"] == {"needed": "501", "missing": "1"}


@pytest.mark.parametrize(
    "query", ["near=91,0", "near=a,b", "near=1", "near=30,104&within_m=0", "limit=51", "kind=x", ""]
)
def test_a_place_that_is_none(town: World, alice: Phone, query: str) -> None:
    assert code_of(alice.get(f"/programs/{town.code}/shops?{query}")) in ("invalid_field", "unknown_field")


def test_shops_nearest_first(town: World, alice: Phone) -> None:
    with transaction():
        places = {"东": (30_657_000, 104_076_000), "西": (30_657_000, 104_036_000), "远": (31_657_000, 104_066_000)}
        for name, (lat, lng) in places.items():
            session().add(
                Shop(program_id=town.program_id, merchant_id=town.merchant_id, name=name, lat_e6=lat, lng_e6=lng)
            )
    found = alice.client.get(f"/api/v1/programs/{town.code}/shops?near=30.657,104.066&limit=1").json or {}
    more = alice.client.get(
        f"/api/v1/programs/{town.code}/shops?near=30.657,104.066&limit=1&cursor={found['next_cursor']}"
    ).json
    lines = [*found["items"], *(more or {})["items"]]
    assert [(line["name"], round(line["distance_m"], -1)) for line in lines] == [("东", 960), ("西", 2870)]
    assert (more or {})["has_more"] is False, "what is farther than five kilometres is not near"


def test_a_picture_in_three_sizes(town: World, alice: Phone, app: Any) -> None:
    out = io.BytesIO()
    Image.new("RGB", (1600, 800), "green").save(out, "PNG")
    folder = Path(app.config["SETTINGS"].media_folder)
    kept = pictures.store(folder, out.getvalue())
    with transaction():
        mall.change(item=session().get_one(Item, town.item_id), changes={"picture": kept})
    line = (alice.client.get(f"/api/v1/programs/{town.code}/items").json or {})["items"][0]
    widths = {}
    for size, url in line["pictures"].items():
        answer = alice.client.get(url.removeprefix(app.config["SETTINGS"].public_base_url))
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
        widths[size] = Image.open(io.BytesIO(answer.data)).width
    assert widths == {"small": 240, "medium": 640, "large": 1280}
    shutil.rmtree(folder / pictures.FOLDER)
    for name in ("x", "..%2f..%2fetc", "0" * 32 + "-huge.jpg", "0" * 32 + "-small.jpg"):
        assert alice.client.get(f"/pictures/{name}").status_code == 404
