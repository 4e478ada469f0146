"""What an owner sees and does about statements, over HTTP; clerks and other merchants see nothing."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from openpyxl import load_workbook

from app import merchants, settlement
from app.clock import frozen
from app.db import session, transaction
from tests import world
from tests.edges.conftest import Phone, code_of
from tests.settlement.conftest import DRAWN, account, drawn, redeem, town
from tests.world import AT, World


@pytest.fixture
def owned(alice: Phone) -> World:
    here = town()
    person = int(alice.get("/me").json["id"])  # type: ignore[index]
    with transaction():
        world.clerk(here, person, role="owner", at=AT)
    return here


def test_statements_lines_files_and_a_dispute(alice: Phone, owned: World) -> None:
    for name in ("a", "b"):
        redeem(owned, AT, ref=name)
    at = DRAWN + timedelta(hours=1)
    with frozen(at):
        assert alice.get(f"/shops/{owned.shop_id}/statements").json["items"] == []
        statement = drawn(owned)
        (shown,) = alice.get(f"/shops/{owned.shop_id}/statements").json["items"]  # type: ignore[index]
        assert (shown["total_fen"], shown["lines"], shown["state"]) == (300, 2, "issued")
        path = f"/shops/{owned.shop_id}/statements/{statement}"
        first = alice.get(f"{path}/lines?limit=1").json
        second = alice.get(f"{path}/lines?limit=1&cursor={first['next_cursor']}").json  # type: ignore[index]
        assert [p["items"][0]["line"] for p in (first, second)] == [1, 2] and not second["has_more"]  # type: ignore[index]
        file = alice.get(f"{path}/file?format=xlsx")
        assert len(list(load_workbook(io.BytesIO(file.data)).active.rows)) == 3
        assert alice.get(f"{path}/file").data == alice.get(f"{path}/file").data
        made = alice.post(f"{path}/disputes", {"line": 2, "words": "两份"})
        assert made.status_code == 201 and alice.get(f"{path}/lines").json["items"][1]["dispute"] == "open"  # type: ignore[index]
        assert code_of(alice.post(f"{path}/accept")) == "statement_disputed"
        assert code_of(alice.post(f"{path}/disputes", {"line": 3, "words": "x"})) == "not_found"
        with transaction():
            settlement.answer(dispute_id=int(made.json["id"]), accepted=False, words="一份", actor="x", at=at)  # type: ignore[index]
        assert alice.post(f"{path}/accept").json["accepted_at"] is not None  # type: ignore[index]


def test_drafts_and_other_merchants_statements_are_not_there(alice: Phone, owned: World) -> None:
    other = town()
    redeem(other, AT, ref="a")
    theirs = drawn(other)
    for path in ("lines", "file"):
        assert alice.get(f"/shops/{owned.shop_id}/statements/{theirs}/{path}").status_code == 404
    for path in ("accept", "disputes"):
        answer = alice.post(f"/shops/{owned.shop_id}/statements/{theirs}/{path}", {"line": 1, "words": "x"})
        assert answer.status_code in (404, 415, 422), answer.json


def test_an_account_is_sealed_asked_for_once_and_masked(alice: Phone, owned: World) -> None:
    body = {"holder": "王小店", "bank": "工行", "number": "6222 0000 1111 2222"}
    path = f"/shops/{owned.shop_id}/payout-accounts"
    made: Any = alice.post(path, body)
    assert (made.status_code, made.json["account"], made.json["state"]) == (201, "王** ****2222", "asked")
    assert code_of(alice.post(path, body)) == "state_conflict"
    assert code_of(alice.post(path, {**body, "number": "12ab"})) == "invalid_field"
    assert "62220000" not in alice.get(path).text
    (kept,) = settlement.accounts_of(owned.merchant_id)
    assert b"6222000011112222" not in bytes(kept.sealed)
    with transaction():
        settlement.take_account(account_id=kept.id, at=AT)
        merchant = session().get_one(merchants.Merchant, owned.merchant_id)
    assert merchant.code == "shop" and account(owned, AT + timedelta(days=1)) > kept.id
    assert [one["state"] for one in alice.get(path).json["items"]] == ["active", "ended"]  # type: ignore[index]
