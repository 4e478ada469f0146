"""Posting: once per natural key, balanced, closed for ever, never below zero, and in the order of the batch."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import ledger
from app.db import connection, transaction
from app.errors import Refusal
from app.ledger import Draft
from app.ledger.statement import statement
from tests import given
from tests.given import AT


@pytest.fixture
def book(db_session: Any) -> dict[str, int]:
    """A program with a mint, two guarded wallets and a fen account."""
    with transaction():
        program = given.program().id
        return {
            "program": program,
            "mint": ledger.account(program_id=program, asset="credits", kind="mint"),
            "ann": ledger.account(program_id=program, asset="credits", kind="wallet", owner_key="ann"),
            "ben": ledger.account(program_id=program, asset="credits", kind="wallet", owner_key="ben"),
            "bank": ledger.account(program_id=program, asset="fen", kind="bank"),
        }


def draft(book: dict[str, int], ref: str, *legs: tuple[str, int], reason: str = "t", **more: Any) -> Draft:
    return Draft(book["program"], reason, ref, [(book[name], amount) for name, amount in legs], **more)


def post(*drafts: Draft) -> list[ledger.Posted]:
    with transaction():
        return ledger.post(drafts, at=AT)


def balance(account_id: int) -> int:
    query = text("select balance from accounts where id = :id")
    return int(connection().execute(query, {"id": account_id}).scalar_one())


def test_a_repeat_changes_nothing_and_is_answered_with_the_first(book: dict[str, int]) -> None:
    first = post(draft(book, "1", ("mint", -50), ("ann", 50)))
    again = post(draft(book, "1", ("mint", -50), ("ann", 50)))
    assert first[0].fresh
    assert again == [ledger.Posted(first[0].transfer_id, False)]
    assert balance(book["ann"]) == 50
    assert ledger.posted("t", "1") == first[0].transfer_id
    assert ledger.posted("t", "2") is None


def test_the_same_key_with_other_legs_is_a_conflict_and_nothing_of_the_batch_stands(book: dict[str, int]) -> None:
    post(draft(book, "1", ("mint", -50), ("ann", 50)))
    with pytest.raises(Refusal) as refused:
        post(draft(book, "2", ("mint", -1), ("ann", 1)), draft(book, "1", ("mint", -51), ("ann", 51)))
    assert refused.value.code == "ledger_conflict"
    assert balance(book["ann"]) == 50
    assert ledger.posted("t", "2") is None


def test_a_key_twice_in_one_batch_is_one_transfer(book: dict[str, int]) -> None:
    twice = post(*[draft(book, "1", ("mint", -50), ("ann", 50))] * 2)
    assert twice[0].transfer_id == twice[1].transfer_id
    assert balance(book["ann"]) == 50


@pytest.mark.parametrize("legs", [[("mint", -50), ("ann", 49)], [("mint", -50)], [("bank", -50), ("ann", 50)]], ids=str)
def test_what_does_not_sum_to_zero_in_each_asset_is_refused(book: dict[str, int], legs: list[tuple[str, int]]) -> None:
    with pytest.raises(Exception, match="does not sum to zero"):
        post(draft(book, "1", *legs))
    assert balance(book["ann"]) == 0


def test_a_leg_of_zero_is_refused(book: dict[str, int]) -> None:
    with pytest.raises(Exception, match="ck_entries_amount"):
        post(draft(book, "1", ("mint", 0), ("ann", 0)))


def test_one_transfer_may_move_several_assets(book: dict[str, int]) -> None:
    with transaction():
        due = ledger.account(program_id=book["program"], asset="fen", kind="payable", owner_key="m")
    book["due"] = due
    post(draft(book, "1", ("mint", -50), ("ann", 50), ("bank", -7), ("due", 7)))
    assert (balance(book["ann"]), balance(due)) == (50, 7)


def test_nobody_goes_below_zero_and_the_whole_batch_falls(book: dict[str, int]) -> None:
    post(draft(book, "1", ("mint", -50), ("ann", 50)))
    with pytest.raises(Refusal) as refused:
        post(draft(book, "2", ("ann", -20), ("ben", 20)), draft(book, "3", ("ann", -31), ("ben", 31)))
    assert refused.value.code == "insufficient"
    assert (balance(book["ann"]), balance(book["ben"])) == (50, 0)


def test_a_batch_counts_in_its_own_order(book: dict[str, int]) -> None:
    """Below zero in between is below zero: a later leg does not heal it."""
    with pytest.raises(Refusal):
        post(draft(book, "2", ("ann", -20), ("mint", 20)), draft(book, "1", ("mint", -50), ("ann", 50)))
    post(draft(book, "1", ("mint", -50), ("ann", 50)), draft(book, "2", ("ann", -20), ("mint", 20)))
    assert [(line.seq, line.amount, line.balance_after) for line in statement(book["ann"])] == [
        (2, -20, 30),
        (1, 50, 50),
    ]


def test_a_closed_transfer_takes_no_more_legs(book: dict[str, int]) -> None:
    done = post(draft(book, "1", ("mint", -50), ("ann", 50)))[0]
    late = text(
        "insert into entries (transfer_id, leg, program_id, account_id, amount)"
        " values (:t, 3, :p, :mint, 5), (:t, 4, :p, :mint, -5)"
    )
    with pytest.raises(DBAPIError, match="is closed"), transaction():
        connection().execute(late, {"t": done.transfer_id, "p": book["program"], "mint": book["mint"]})


@pytest.mark.parametrize("table", ["transfers", "entries"])
@pytest.mark.parametrize("verb", ["update {} set {} = {}", "delete from {}", "truncate {} cascade"])
def test_the_book_is_only_ever_appended(book: dict[str, int], table: str, verb: str) -> None:
    post(draft(book, "1", ("mint", -50), ("ann", 50)))
    with pytest.raises(DBAPIError, match="append-only"), transaction():
        connection().execute(text(verb.format(table, "program_id", "program_id")))


def test_a_reversal_is_the_exact_negation_and_happens_once(book: dict[str, int]) -> None:
    done = post(draft(book, "1", ("mint", -50), ("ann", 30), ("ben", 20)))[0]
    with transaction():
        back = ledger.reversal_of(done.transfer_id, reason="t.undo", source_ref="1")
        ledger.post([back], at=AT)
    assert (balance(book["ann"]), balance(book["ben"])) == (0, 0)
    with pytest.raises(Exception, match="uq_transfers_reverses"), transaction():
        other = ledger.reversal_of(done.transfer_id, reason="t.undo", source_ref="2")
        ledger.post([other], at=AT)


def test_a_statement_goes_back_by_cursor_with_running_balances(book: dict[str, int]) -> None:
    for number in range(1, 8):
        post(draft(book, str(number), ("mint", -number), ("ann", number), memo={"n": number}))
    newest = statement(book["ann"], limit=3)
    older = statement(book["ann"], before=newest[-1].seq, limit=10)
    lines = [*newest, *older]
    assert [line.seq for line in lines] == [7, 6, 5, 4, 3, 2, 1]
    assert [line.balance_after for line in lines] == [28, 21, 15, 10, 6, 3, 1]
    assert lines[0].source_ref == "7"
    assert lines[0].memo == {"n": 7}
    assert statement(book["ann"], before=1) == []


def test_an_account_is_opened_once(book: dict[str, int]) -> None:
    with transaction():
        again = ledger.account(program_id=book["program"], asset="credits", kind="wallet", owner_key="ann")
    assert again == book["ann"]
