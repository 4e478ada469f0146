"""Who somebody is: several mini-programs, age, phone number, session, and the way back to a lost account."""

from __future__ import annotations

import threading

import pytest

from app import clock, funding, operators, programs, recovery, redemptions, vault
from app.db import run, transaction
from app.errors import Refusal
from app.people.sign_in import SESSION_KEY
from tests import world
from tests.courier.conftest import SECOND_APP, Phone, Town
from wechat.sandbox.faults import Fault

NUMBER = "/wxa/business/getuserphonenumber"


def code(town: Town, user: str) -> str:
    return str(town.box.state.new_code(user, "phone"))


def hired(town: Town) -> None:
    with town.inside(), transaction():
        for handle in ("lin", "wu"):
            operators.add(handle=handle, name=handle, at=clock.now())


def test_one_person_in_two_mini_programs(town: Town) -> None:
    """The same unionid is the same person; without one each mini-program has its own."""
    bob = town.phone("bob")
    alone = bob.person_id
    other = bob.sign_in(SECOND_APP)
    assert int(other["person_id"]) != alone, "WeChat tells no unionid: nothing joins the two"
    for mini in town.box.apps.values():
        mini.state.with_unionid = True
    alice = town.phone("alice")
    first = alice.person_id
    again = alice.sign_in(SECOND_APP)
    assert (int(again["person_id"]), again["is_new"]) == (first, False)
    rows = town.sql("select appid from wechat_identities where person_id = %(id)s order by appid", id=first)
    assert [row.appid for row in rows] == sorted([town.box.identity.appid, SECOND_APP])
    body = {"code": town.box.state.new_code("alice"), "app": "wx0000000000000000"}
    assert alice.refused("POST", "/sign-in", 422, json=body) == "app_unknown"


def test_whoever_is_under_14_is_refused_with_words(town: Town) -> None:
    town.box.user("kid")
    kid = Phone(town, "kid")
    body = {"code": town.box.state.new_code("kid"), "of_age": False}
    assert kid.refused("POST", "/sign-in", 403, json=body) == "under_age"
    assert town.sql("select 1 from persons") == [], "no person is made"
    assert kid.sign_in(of_age=None)["of_age"] is False
    join = {"terms_version": 1}
    assert kid.refused("POST", f"/programs/{town.world.code}/join", 409, json=join) == "age_undeclared"
    assert kid.sign_in()["of_age"] is True
    assert kid.sign_in(of_age=None)["of_age"] is True, "said once"


def test_a_phone_number_is_kept_sealed_and_shown_masked(town: Town) -> None:
    alice, number = town.phone("alice"), town.box.user("alice").phone
    shown = alice.post("/me/phone", {"code": code(town, "alice")})
    assert shown["number"] == f"{number[:3]}******{number[-2:]}"
    kept = town.sql("select number_hash, number_sealed from phones")[0]
    assert number.encode() not in bytes(kept.number_sealed) + bytes(kept.number_hash)
    assert number not in str(alice.get("/me/export"))
    used = code(town, "alice")
    alice.post("/me/phone", {"code": used})
    for wrong in (used, code(town, "bob"), "nonsense"):
        assert alice.refused("POST", "/me/phone", 422, json={"code": wrong}) == "phone_code_invalid"
    assert alice.refused("POST", "/me/phone", 429, json={"code": code(town, "alice")}) == "too_many", "it costs"
    assert "phone_number" in town.flask("wechat", "costs")
    assert town.sql("select calls from wechat_costs")[0].calls == 2
    alice.call("DELETE", "/me/phone", 204)
    assert (alice.get("/me/phone")["number"], town.sql("select 1 from phones")) == (None, [])
    assert town.box.journal.violations == []


def test_a_number_belongs_to_one_account_and_wechat_may_be_away(town: Town) -> None:
    alice, bob = town.phone("alice"), town.phone("bob")
    alice.post("/me/phone", {"code": code(town, "alice")})
    town.box.user("bob").phone = town.box.user("alice").phone
    assert bob.refused("POST", "/me/phone", 409, json={"code": code(town, "bob")}) == "phone_taken"
    town.box.state.faults.planted.append(Fault(NUMBER, "busy", times=3))
    assert bob.refused("POST", "/me/phone", 503, json={"code": code(town, "bob")}) == "busy"


def test_a_session_is_checked_and_replaced_without_being_shown(town: Town) -> None:
    alice = town.phone("alice")
    key = town.box.user("alice").session_key
    assert "holds" in town.flask("wechat", "session", str(alice.person_id))
    assert "reset" in town.flask("wechat", "session", str(alice.person_id), "--reset")
    fresh = town.box.user("alice").session_key
    assert fresh != key
    sealed = town.sql("select session_key_sealed from wechat_identities")[0].session_key_sealed
    with town.inside():
        assert vault.decrypt(SESSION_KEY, bytes(sealed)) == fresh
    town.box.state.new_code("alice")
    town.box.user("alice").session_key = "b3RoZXIgc2Vzc2lvbiBrZXk="
    assert "gone" in town.flask("wechat", "session", str(alice.person_id))


def lost(town: Town) -> tuple[Phone, Phone]:
    """Alice, rich, with a bound number; and whoever has that number on a new phone."""
    alice = town.member("alice")
    with town.inside(), transaction():
        world.rich(town.world, alice.person_id, 500, at=clock.now())
    alice.post("/me/phone", {"code": code(town, "alice")})
    new = town.phone("newphone")
    town.box.user("newphone").phone = town.box.user("alice").phone
    return alice, new


def order(town: Town, phone: Phone, reference: str, status: int, quantity: int = 1) -> str:
    wanted = {"item_id": str(town.world.item_id), "quantity": quantity, "client_ref": reference, "price_credits": 100}
    found = phone.call("POST", "/orders", status, json=wanted)
    return str(found["error"]["code"] if status >= 400 else found["state"])


def test_a_lost_account_comes_back_after_a_hold_and_two_of_us(town: Town) -> None:
    alice, new = lost(town)
    hired(town)
    asked = new.call("POST", "/recovery", 201, json={"code": code(town, "newphone")})["items"][0]
    assert (asked["state"], asked["about_me"]) == ("waiting", False)
    assert order(town, alice, "a", 409) == "wallet_frozen"
    assert alice.get("/notices")["items"][0]["kind"] == "recovery.asked"
    assert alice.get("/recovery")["items"][0]["about_me"] is True
    words = ("recovery", "approve", asked["id"], "--reason", "checked by phone")
    assert "recovery_early" in town.flask(*words, "--as", "lin", exit_code=1)
    assert "recovery" in town.flask("tickets", "list")
    town.change("update recoveries set ripe_at = now() - interval '1 minute'")
    assert "second person" in town.flask(*words, "--as", "lin")
    number = str(town.sql("select id from approvals")[0].id)
    assert "maker_is_checker" in town.flask("approvals", "approve", number, "--as", "lin", exit_code=1)
    town.flask("approvals", "approve", number, "--as", "wu")
    back = new.sign_in()
    assert (int(back["person_id"]), back["is_new"]) == (alice.person_id, False)
    assert order(town, new, "b", 201) == "paid"
    again = alice.sign_in()
    assert (int(again["person_id"]) != new.person_id, again["is_new"]) == (True, True), "the old WeChat is a stranger"


def test_the_owner_objects_and_it_ends(town: Town) -> None:
    alice, new = lost(town)
    asked = new.call("POST", "/recovery", 201, json={"code": code(town, "newphone")})["items"][0]
    assert new.refused("POST", f"/recovery/{asked['id']}/objection", 404) == "not_found"
    assert alice.call("POST", f"/recovery/{asked['id']}/objection")["items"][0]["state"] == "objected"
    assert order(town, alice, "a", 201) == "paid"
    assert alice.refused("POST", f"/recovery/{asked['id']}/objection", 409) == "state_conflict"


def test_no_recovery_for_strangers_and_into_accounts_that_are_in_use(town: Town) -> None:
    _, _ = lost(town)
    bob = town.member("bob")
    assert bob.refused("POST", "/recovery", 404, json={"code": code(town, "bob")}) == "recovery_nothing"
    town.box.user("bob").phone = town.box.user("alice").phone
    assert bob.refused("POST", "/recovery", 409, json={"code": code(town, "bob")}) == "recovery_occupied"
    town.phone("third")
    assert town.sql("select 1 from wallets where frozen") == []


@pytest.mark.parametrize("lose", [False, True])
def test_what_is_sealed_is_sealed_with_a_new_secret(town: Town, lose: bool) -> None:
    alice = town.phone("alice")
    alice.post("/me/phone", {"code": code(town, "alice")})
    masked = alice.get("/me/phone")["number"]
    master = town.app.config["SETTINGS"].secret
    try:
        vault.unlock(master, seal="n" * 40)
        assert alice.get("/me/phone")["number"] == masked, "the first secret still opens"
        counted = town.flask("wechat", "reseal", "--dry-run")
        assert "phones.number_sealed" in counted
        town.flask("wechat", "reseal")
        assert alice.get("/me/phone")["number"] == masked
        old = () if lose else ("n" * 40,)
        vault.unlock(master, seal="m" * 40, old_seals=old)
        town.flask("wechat", "reseal", exit_code=1 if lose else 0)
        if not lose:
            assert alice.get("/me/phone")["number"] == masked
    finally:
        vault.unlock(master)


def test_secrets_stand_nowhere_in_the_clear(town: Town) -> None:
    alice = town.phone("alice")
    alice.post("/me/phone", {"code": code(town, "alice")})
    key, number = town.box.user("alice").session_key, town.box.user("alice").phone
    tables = [row.name for row in town.sql("select tablename as name from pg_tables where schemaname = 'public'")]
    for name in tables:
        dumped = town.sql(f"select coalesce(string_agg(t::text, ' '), '') as text from {name} t")[0].text
        for secret in (key, number, town.box.identity.push_token, town.box.identity.secret):
            assert secret not in dumped, name


def test_what_can_be_spent_is_held_also_what_comes_into_being_meanwhile(town: Town) -> None:
    """Codes of before aren't shown or redeemed during the hold; a wallet and a code made in it are held; then free."""
    alice, new = lost(town)
    assert order(town, alice, "before", 201) == "paid"
    mine = alice.get("/codes")["items"][0]["id"]
    typed = alice.call("POST", f"/codes/{mine}/show")["code"]
    asked = new.call("POST", "/recovery", 201, json={"code": code(town, "newphone")})["items"][0]
    assert alice.refused("POST", f"/codes/{mine}/show", 409) == "code_held"
    assert redeemed(town, typed) == "code_held"
    with town.inside(), transaction():
        elsewhere = world.build(people=0, at=clock.now())
        world.join(programs.by_code(elsewhere.code), person_id=alice.person_id, at=clock.now())
        world.rich(elsewhere, alice.person_id, 500, at=clock.now())
        run(
            "insert into codes (program_id, merchant_id, person_id, order_id, title, code_hash, code_sealed,"
            " settlement_fen, valid_from, valid_until) select program_id, merchant_id, person_id, order_id, title,"
            " 'x', 'x', settlement_fen, valid_from, valid_until from codes"
        )
    assert [row.frozen for row in town.sql("select frozen from wallets")] == [True, True]
    assert [row.held for row in town.sql("select held from codes")] == [True, True]
    order_id = alice.get("/orders")["items"][0]["id"]
    assert alice.refused("POST", f"/orders/{order_id}/pool-codes", 409) == "recovery_hold"
    grams = {"event_id": "1", "mg": 1, "client_ref": "grams"}
    assert alice.refused("POST", "/gifts/grams", 409, json=grams) == "recovery_hold"
    losses = alice.get("/me/deletion")
    assert alice.refused("POST", "/me/deletion", 409, json={"seen": losses["seen"]}) == "recovery_waiting"
    alice.call("POST", f"/recovery/{asked['id']}/objection")
    assert town.sql("select 1 from wallets where frozen union all select 1 from codes where held") == []
    assert alice.call("POST", f"/codes/{mine}/show")["code"] == typed
    assert redeemed(town, typed) == "fine"


def redeemed(town: Town, typed: str) -> str:
    """How a clerk's scan of a code ends."""
    clerk = town.phone("chen").person_id
    with town.inside(), transaction():
        at, shop = clock.now(), town.world.shop_id
        if not town.sql("select 1 from staff"):
            world.clerk(town.world, clerk, at=at)
        try:
            redemptions.redeem(typed=typed, shop_id=shop, staff_person_id=clerk, scan_id="scan-1", at=at)
        except Refusal as refusal:
            return refusal.code
    return "fine"


def test_a_wallet_made_while_a_recovery_is_asked_for_is_frozen(town: Town) -> None:
    """Raced: the wallet's maker waits for the asker's end, and then sees that there is a recovery."""
    alice, new = lost(town)
    with town.inside(), transaction():
        elsewhere = world.build(people=0, at=clock.now())
    number = town.box.user("alice").phone
    made = threading.Event()

    def make() -> None:
        with town.inside(), transaction():
            funding.lock_wallet(person_id=alice.person_id, program_id=elsewhere.program_id, at=clock.now())
        made.set()

    other = threading.Thread(target=make)
    with town.inside(), transaction():
        recovery.ask(
            claimant_id=new.person_id, country="86", number=number, appid=town.box.identity.appid, at=clock.now()
        )
        other.start()
        assert not made.wait(0.5), "it waits"
    other.join(10)
    assert [
        row.frozen for row in town.sql("select frozen from wallets where person_id = %(id)s", id=alice.person_id)
    ] == [
        True,
        True,
    ]


def test_two_accounts_of_one_human_stay_apart_until_two_of_us_join_them(town: Town) -> None:
    """The unionid came late: the second sign-in says what to do, nothing is merged by itself."""
    first = town.member("alice").person_id
    second = Phone(town, "alice")
    second.sign_in(SECOND_APP)
    with town.inside(), transaction():
        world.join(programs.by_code(town.world.code), person_id=second.person_id, at=clock.now())
    assert second.person_id != first
    for mini in town.box.apps.values():
        mini.state.with_unionid = True
    assert second.sign_in()["other_account"] is False, "one of them alone says nothing"
    late = second.sign_in(SECOND_APP)
    assert (int(late["person_id"]) != first, late["other_account"]) == (True, True)
    assert [one["kind"] for one in second.get("/notices")["items"]].count("account.other") == 1
    give = second.person_id
    hired(town)
    words = ("recovery", "join", str(first), str(give), "--reason", "asked in ticket 1", "--as", "lin")
    with town.inside(), transaction():
        world.rich(town.world, give, 500, at=clock.now())
    assert "still holds: credits 500" in town.flask(*words, exit_code=1)
    assert order(town, second, "all", 201, quantity=5) == "paid"
    assert "still holds: code" in town.flask(*words, exit_code=1)
    town.change("update codes set state = 'void'")
    stranger = town.phone("bob")
    assert "accounts_strange" in town.flask(
        "recovery", "join", str(first), str(stranger.person_id), "--reason", "x", "--as", "lin", exit_code=1
    )
    assert "loses: membership" in town.flask(*words)
    number = str(town.sql("select id from approvals")[0].id)
    town.flask("approvals", "approve", number, "--as", "wu")
    for app in (None, SECOND_APP):
        back = second.sign_in(app)
        assert (int(back["person_id"]), back["other_account"]) == (first, False)
    assert town.sql("select state from persons where id = %(id)s", id=give)[0].state == "deleted"
