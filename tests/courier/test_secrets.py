"""The installation's secret is changed beside the living product: nothing is lost, and nothing hangs on the old one."""

from __future__ import annotations

import pytest

from app import clock, redemptions, resealing, vault
from app.db import Model, transaction
from app.errors import Refusal
from tests import world
from tests.courier.conftest import Town
from tests.courier.test_identity import code, order

OLD, NEW, NEWEST = "o" * 40, "n" * 40, "m" * 40


def scanned(town: Town, clerk: int, typed: str) -> str:
    with town.inside(), transaction():
        try:
            redemptions.preview(typed=typed, shop_id=town.world.shop_id, staff_person_id=clerk, at=clock.now())
        except Refusal as refusal:
            return refusal.code
    return "fine"


def test_the_secret_is_changed_twice_and_nothing_is_lost(town: Town) -> None:
    first = town.app.config["SETTINGS"].secret
    alice, bob, clerk = town.member("alice"), town.phone("bob"), town.phone("chen").person_id
    with town.inside(), transaction():
        world.rich(town.world, alice.person_id, 500, at=clock.now())
        world.clerk(town.world, clerk, at=clock.now())
    assert order(town, alice, "a", 201) == "paid"
    alice.post("/me/phone", {"code": code(town, "alice")})
    mine = alice.get("/codes")["items"][0]["id"]
    typed = alice.call("POST", f"/codes/{mine}/show")["code"]
    masked = alice.get("/me/phone")["number"]
    town.box.user("bob").phone = town.box.user("alice").phone
    try:
        for present, former in ((NEW, (first,)), (NEWEST, (NEW, first))):
            vault.unlock(present, old_secrets=former)
            assert alice.refused("GET", "/me", 401) == "login_required", "logins hang on the present secret"
            for phone in (alice, bob):
                phone.sign_in()
            assert alice.get("/me/phone")["number"] == masked, "what was sealed before still opens"
            assert alice.call("POST", f"/codes/{mine}/show")["code"] == typed
            assert scanned(town, clerk, typed) == "fine", "found under the secret of before"
            assert bob.refused("POST", "/me/phone", 409, json={"code": code(town, "bob")}) == "phone_taken"
            assert "codes.code_sealed" in town.flask("wechat", "reseal", "--dry-run")
            assert scanned(town, clerk, typed) == "fine", "a dry run changes nothing"
            town.flask("wechat", "reseal")
            vault.unlock(present, old_secrets=("x" * 40, former[-1]))
            assert (alice.get("/me/phone")["number"], scanned(town, clerk, typed)) == (masked, "fine")
            assert alice.call("POST", f"/codes/{mine}/show")["code"] == typed
            assert bob.refused("POST", "/me/phone", 409, json={"code": code(town, "bob")}) == "phone_taken"
        vault.unlock(NEWEST)
        assert alice.get("/me/phone")["number"] == masked, "nothing sealed hangs on any secret of before"
        assert scanned(town, clerk, typed) == "fine"
        again = town.flask("wechat", "reseal", "--json")
        assert '"failed": 0' in again
    finally:
        vault.unlock(first)


def test_every_sealed_column_is_sealed_anew() -> None:
    """One that were forgotten would be unreadable for ever once the old secret is gone."""
    sealed = {
        (table.name, column.name)
        for table in Model.metadata.tables.values()
        for column in table.columns
        if column.name.endswith("sealed")
    }
    assert sealed == {(one.table, one.column) for one in resealing.COLUMNS}


def test_an_address_is_sealed_anew_too(town: Town) -> None:
    first = town.app.config["SETTINGS"].secret
    alice = town.member("alice")
    where = {"name": "李雷", "phone": "13800000000", "province": "山东省", "city": "威海市", "detail": "滨海路 1 号"}
    alice.post("/addresses", where, 201)
    try:
        vault.unlock(first, seal=NEW)
        town.flask("wechat", "reseal")
        assert alice.get("/addresses")["items"][0]["detail"] == "滨海路 1 号"
        sealed = bytes(town.sql("select sealed from addresses")[0].sealed)
        assert vault.sealed_now("address", sealed)
    finally:
        vault.unlock(first)


@pytest.mark.parametrize("purpose", ["partner-account", "vehicle", "scene", "roster-number", "former-identity"])
def test_what_nobody_can_hash_anew_stays_where_it_was(purpose: str) -> None:
    try:
        vault.unlock(OLD)
        before = vault.keyed_hash(purpose, "value")
        for present, former in ((NEW, (OLD,)), (NEWEST, (NEW, OLD))):
            vault.unlock(present, old_secrets=former)
            assert vault.keyed_hash(purpose, "value") == before
            assert vault.keyed_hash("session", "value") != before
    finally:
        vault.unlock("development-secret-not-for-production")
