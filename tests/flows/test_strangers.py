"""Two programs with canaries: no answer to one person holds what is the other's, and no id of theirs is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from app import programs
from app.db import connection, session, transaction
from app.mall.models import Item
from tests import given, world
from tests.flows.conftest import NOW, Citizen, deliver, ride
from tests.world import World

CANARY = "canary"


@pytest.fixture
def theirs(settle: Callable[..., Citizen]) -> dict[str, str]:
    """A second program in which Dana has one of everything; every text of hers holds the canary."""
    with transaction():
        other = world.build(people=0, at=NOW)
        session().get_one(programs.Program, other.program_id).intro = CANARY
        session().get_one(Item, other.item_id).name = f"{CANARY}-item"
    dana = settle("dana", of=other)
    with transaction():
        given.profile(dana.person_id, nickname=CANARY, show_name=True)
        world.rich(other, dana.person_id, 1_000, at=NOW)
        world.clerk(other, dana.person_id, at=NOW)
    counts = dana.post("/records", ride(other, CANARY))
    held = dana.post(
        "/records", ride(other, f"{CANARY}-far", day=23, km=500, facts={"distance_km": 500, "note": CANARY})
    )
    dana.post(f"/records/{held['id']}/appeal", {"words": CANARY})
    dana.post(f"/records/{counts['id']}/certificate", status=200)
    item = {"item_id": str(other.item_id), "quantity": 1, "client_ref": CANARY, "price_credits": 100}
    order = dana.post("/orders", item)
    gift = dana.post("/gifts", {"project_id": str(other.project_id), "credits": 5, "client_ref": CANARY})
    car = dana.post("/vehicles", {"plate": "川A00001", "fuel": "bev"})
    account = dana.post("/accounts", {"program": other.code, "partner": "partner", "account": f"{CANARY}-{CANARY}"})
    deliver()
    return {
        "program": other.code,
        "record": counts["id"],
        "held": held["id"],
        "order": order["id"],
        "code": order["codes"][0]["id"],
        "gift": gift["id"],
        "vehicle": car["id"],
        "account": account["id"],
        "shop": str(other.shop_id),
        "item": str(other.item_id),
    }


def test_no_list_of_mine_holds_anything_of_theirs(ann: Citizen, town: World, theirs: dict[str, str]) -> None:
    ann.post("/records", ride(town))
    deliver()
    paths = ["/me", "/me/programs", "/me/sessions", "/me/consents", "/me/export", "/home", "/records", "/appeals"]
    paths += ["/wallet", f"/wallet/{town.code}/statement", "/orders", "/codes", "/gifts", "/vehicles", "/accounts"]
    paths += ["/notices", "/shops", f"/programs/{town.code}", f"/programs/{town.code}/items"]
    paths += [f"/programs/{town.code}/boards/person/grams/week", f"/programs/{town.code}/boards/unit/credits/all"]
    paths += [f"/programs/{town.code}/welfare", f"/programs/{town.code}/partners"]
    for path in paths:
        answer = ann.phone.get(path)
        assert answer.status_code == 200, path
        assert CANARY not in answer.text and theirs["program"] not in answer.text, path


def test_what_is_theirs_is_not_found(ann: Citizen, town: World, theirs: dict[str, str]) -> None:
    tries: list[tuple[str, str, Any]] = [
        ("GET", f"/records/{theirs['record']}", None),
        ("GET", f"/records/{theirs['record']}/file", None),
        ("POST", f"/records/{theirs['record']}/certificate", None),
        ("POST", f"/records/{theirs['held']}/appeal", {"words": "mine now"}),
        ("GET", f"/orders/{theirs['order']}", None),
        ("POST", f"/codes/{theirs['code']}/show", None),
        ("DELETE", f"/vehicles/{theirs['vehicle']}", None),
        ("DELETE", f"/accounts/{theirs['account']}", None),
        ("GET", f"/wallet/{theirs['program']}/statement", None),
        ("GET", f"/programs/{town.code}/items/{theirs['item']}", None),
        ("POST", "/records", ride(town, vehicle_id=theirs["vehicle"])),
    ]
    before = everything()
    for method, path, body in tries:
        assert ann.refused(path, body, method) == (404, "not_found"), path
    assert ann.refused(f"/shops/{theirs['shop']}/today", method="GET") == (403, "not_staff")
    assert everything() == before


def test_an_item_of_a_program_where_i_have_no_credits_can_not_be_had(
    ann: Citizen, town: World, theirs: dict[str, str]
) -> None:
    with transaction():
        world.rich(town, ann.person_id, 1_000, at=NOW)
    item = {"item_id": theirs["item"], "quantity": 1, "client_ref": "x", "price_credits": 100}
    assert ann.refused("/orders", item) == (409, "insufficient"), "credits of one program buy nothing in another"


def test_the_file_of_a_credit_names_nobody(ann: Citizen, town: World) -> None:
    with transaction():
        given.profile(ann.person_id, nickname=CANARY, show_name=True)
    made = ann.post("/records", ride(town))
    assert CANARY not in ann.phone.get(f"/records/{made['id']}/file").text


def everything() -> dict[str, int]:
    """How many rows each table has that a stranger might have touched."""
    tables = ("records", "appeals", "certificates", "orders", "gifts", "redemptions", "transfers", "vehicle_bindings")
    counted = {table: connection().execute(text(f"select count(*) from {table}")).scalar_one() for table in tables}
    live = "select count(*) from vehicle_bindings where unbound_at is null"
    return {**counted, "live": connection().execute(text(live)).scalar_one()}
