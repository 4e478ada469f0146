"""A statement has each redemption once, proves itself from the ledger, and is paid once."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from openpyxl import load_workbook
from sqlalchemy import text

from app import settlement
from app.db import connection, session, transaction
from app.errors import Refusal
from app.settlement.models import StatementLine
from app.settlement.sheets import neutral
from tests.settlement.conftest import (
    DAY,
    DECEMBER,
    DRAWN,
    account,
    approve,
    broken,
    draw,
    drawn,
    pay,
    redeem,
    two,
)
from tests.world import AT, World

LAST_MOMENT = DECEMBER - timedelta(milliseconds=100)


def one(query: str, **values: Any) -> Any:
    return connection().execute(text(query), values).scalar_one()


def balance(kind: str) -> int:
    return int(one("select coalesce(sum(balance), 0) from accounts where asset = 'fen' and kind = :kind", kind=kind))


def hold(redemption_id: int, released: Any = None) -> None:
    with transaction():
        connection().execute(
            text(
                "update redemptions set held_reason = 'turns', held_at = redeemed_at, released_at = :r where id = :id"
            ),
            {"id": redemption_id, "r": released},
        )


def undo(redemption_id: int, here: World, at: Any) -> None:
    from app import redemptions

    with transaction():
        redemptions.undo(redemption_id=redemption_id, shop_id=here.shop_id, staff_person_id=here.people[-2], at=at)


def test_the_cut_is_midnight_in_shanghai_and_each_redemption_is_on_one_statement(here: World) -> None:
    first, last = redeem(here, AT, ref="a"), redeem(here, LAST_MOMENT, ref="b")
    next_month = redeem(here, DECEMBER, ref="c")
    with transaction():
        done = draw(here)
        assert done is not None and done.fresh
        again = draw(here)
        assert again is not None and not again.fresh and again.statement.id == done.statement.id
        assert (done.statement.lines, done.statement.total_fen) == (2, 300)
        assert [row.redemption_id for row in settlement.lines(done.statement.id, after=0, limit=9)] == [first, last]
        later = draw(here, "2026-12", DRAWN + 31 * DAY)
        assert later is not None
        assert [row.redemption_id for row in settlement.lines(later.statement.id, after=0, limit=9)] == [next_month]


def test_too_early_and_out_of_order_and_nothing(here: World) -> None:
    redeem(here, AT, ref="a")
    redeem(here, DECEMBER + DAY, ref="b")
    for period, at, code in (
        ("2026-11", DRAWN - timedelta(seconds=1), "statement_too_early"),
        ("2026-12", DRAWN + 31 * DAY, "statement_out_of_order"),
        ("2026-W48", DRAWN, "invalid_field"),
        ("2026-13", DRAWN, "invalid_field"),
    ):
        with pytest.raises(Refusal) as refused, transaction():
            draw(here, period, at)
        assert refused.value.code == code
    with transaction():
        assert draw(here, "2026-10", DRAWN) is None
        assert one("select count(*) from statements") == 0


def test_what_is_held_waits_for_its_release_and_counts_from_there(here: World) -> None:
    kept, released = redeem(here, AT, ref="a"), redeem(here, AT, ref="b")
    free = redeem(here, AT, ref="c")
    hold(kept)
    hold(released, DECEMBER + DAY)
    statement = drawn(here)
    assert [row.redemption_id for row in settlement.lines(statement, after=0, limit=9)] == [free]
    with transaction():
        later = draw(here, "2026-12", DRAWN + 31 * DAY)
        assert later is not None
        assert [row.redemption_id for row in settlement.lines(later.statement.id, after=0, limit=9)] == [released]


def test_undone_before_is_left_out_and_undone_after_is_a_correcting_line(here: World) -> None:
    gone, slip, stays = redeem(here, AT, ref="a"), redeem(here, AT, ref="b"), redeem(here, AT, ref="c")
    undo(gone, here, AT + timedelta(minutes=5))
    statement = drawn(here)
    assert settlement.get(statement).total_fen == 300
    with transaction():
        settlement.accept(statement_id=statement, person_id=here.people[-1], at=DRAWN + DAY)
    approve(statement, DRAWN + DAY)
    with transaction():
        settlement.correct(
            redemption_id=slip, reason="fraud", approval_id=two({}, "x", DRAWN + DAY), at=DRAWN + 2 * DAY
        )
    assert settlement.verify(statement) == []
    redeem(here, DECEMBER + 5 * DAY, ref="d")
    with transaction():
        later = draw(here, "2026-12", DRAWN + 31 * DAY)
        assert later is not None and later.statement.total_fen == 0 and later.statement.corrected_fen == -150
        back = settlement.lines(later.statement.id, after=0, limit=9)[0]
        assert (back.kind, back.redemption_id, back.amount_fen) == ("correct", slip, -150)
        assert (back.corrects_statement_id, back.corrects_line_no) == (statement, 1)
        assert session().get_one(StatementLine, (statement, 2)).redemption_id == stays
        assert settlement.verify(later.statement.id) == []


def test_paid_once_with_evidence_and_the_books_agree(here: World) -> None:
    for name in "abc":
        redeem(here, AT, ref=name)
    statement = drawn(here)
    account(here, DRAWN)
    with pytest.raises(Refusal) as early:
        approve(statement, DRAWN + 6 * DAY)
    assert early.value.code == "statement_not_ripe"
    assert approve(statement, DRAWN + 7 * DAY).state == "approved"
    assert (balance("payable"), balance("payout")) == (0, 450)
    lines = pay(here, "B-1", "bank", DRAWN + 8 * DAY)
    assert pay(here, "B-1", "bank", DRAWN + 8 * DAY) == lines
    assert (settlement.get(statement).state, balance("payout")) == ("paid", 0)
    assert (
        one("select sum(amount) from entries e join accounts a on a.id = e.account_id where kind = 'paid_out'") == 450
    )
    with pytest.raises(Refusal) as nothing:
        pay(here, "B-2", "more", DRAWN + 9 * DAY)
    assert nothing.value.code == "nothing_due"
    assert broken("LED", "BUD", "OWE", "COD", "SET") == []


def test_a_failed_line_is_paid_again_alone_and_a_new_account_cools(here: World) -> None:
    redeem(here, AT, ref="a")
    statement = drawn(here)
    account(here, DRAWN)
    approve(statement, DRAWN + 7 * DAY)
    at = DRAWN + 8 * DAY
    with transaction():
        _, (line,), _ = settlement.make_batch(program_id=here.program_id, batch_no="B-1", actor="operator:lin", at=at)
        settlement.fail(payout_id=line.id, problem="wrong name", actor="operator:lin", at=at)
    account(here, at, "6222999988887777")
    with pytest.raises(Refusal) as cooling:
        pay(here, "B-2", "bank", at + timedelta(hours=23))
    assert cooling.value.code == "payout_account_missing"
    assert len(pay(here, "B-2", "bank", at + DAY)) == 1
    assert settlement.get(statement).state == "paid"
    told = one("select string_agg(zh, '|') from notices where person_id = :p", p=here.people[-1])
    assert "6222999988887777" not in told and "****7777" in told


def test_what_was_paid_and_taken_back_is_carried_until_later_redemptions_make_up_for_it(here: World) -> None:
    paid = [redeem(here, AT, ref=name) for name in "abc"]
    statement = drawn(here)
    account(here, DRAWN)
    approve(statement, DRAWN + 7 * DAY)
    pay(here, "B-1", "bank", DRAWN + 8 * DAY)
    with transaction():
        for redemption in paid[:2]:
            asked = two({"r": redemption}, "x", DRAWN + 9 * DAY)
            settlement.correct(redemption_id=redemption, reason="fraud", approval_id=asked, at=DRAWN + 9 * DAY)
    assert balance("payable") == 0
    redeem(here, DECEMBER + 10 * DAY, ref="d")
    second = drawn(here, "2026-12", DRAWN + 31 * DAY)
    assert settlement.get(second).total_fen == -150
    assert approve(second, DRAWN + 40 * DAY).state == "carried"
    for name in "ef":
        redeem(here, DECEMBER + 35 * DAY, ref=name)
    third = drawn(here, "2027-01", DRAWN + 62 * DAY)
    assert (settlement.get(third).carried_in_fen, settlement.get(third).total_fen) == (-150, 150)
    assert approve(third, DRAWN + 70 * DAY).state == "approved"
    pay(here, "B-2", "bank-2", DRAWN + 71 * DAY)
    assert (balance("payable"), balance("payout")) == (0, 0)
    assert (
        one("select sum(amount) from entries e join accounts a on a.id = e.account_id where kind = 'merchant_due'") == 0
    )
    assert broken("LED", "BUD", "OWE", "COD", "SET") == []


def test_a_dispute_stops_the_approval_until_it_is_answered(here: World) -> None:
    redeem(here, AT, ref="a")
    statement = drawn(here)
    with transaction():
        asked = settlement.dispute(
            statement_id=statement, line_no=1, person_id=here.people[-1], words="两份", at=DRAWN + DAY
        )
        same = settlement.dispute(
            statement_id=statement, line_no=1, person_id=here.people[-1], words="?", at=DRAWN + DAY
        )
        assert same.id == asked.id
        asked_id = asked.id
    with pytest.raises(Refusal) as open_one:
        approve(statement, DRAWN + 8 * DAY)
    assert open_one.value.code == "statement_disputed"
    with transaction():
        settlement.answer(dispute_id=asked_id, accepted=False, words="一份", actor="operator:lin", at=DRAWN + 2 * DAY)
    with pytest.raises(Refusal) as over, transaction():
        settlement.dispute(statement_id=statement, line_no=1, person_id=here.people[-1], words="x", at=DRAWN + 7 * DAY)
    assert over.value.code == "dispute_over"
    assert approve(statement, DRAWN + 8 * DAY).state == "approved"


def test_void_and_drawn_again_is_the_same_but_for_what_changed(here: World) -> None:
    kept, slip = redeem(here, AT, ref="a"), redeem(here, AT, ref="b")
    statement = drawn(here)
    first = bytes(settlement.get(statement).content_hash)
    with transaction():
        connection().execute(text("update redemptions set undone_at = :at where id = :id"), {"at": DRAWN, "id": slip})
    with pytest.raises(Refusal) as stale:
        approve(statement, DRAWN + 8 * DAY)
    assert stale.value.code == "statement_stale"
    with transaction():
        connection().execute(text("update redemptions set undone_at = null where id = :id"), {"id": slip})
        settlement.void(statement_id=statement, reason="x", actor="operator:lin", at=DRAWN)
    again = drawn(here)
    assert again != statement and bytes(settlement.get(again).content_hash) == first
    assert [row.redemption_id for row in settlement.lines(again, after=0, limit=9)] == [kept, slip]


def test_the_file_is_the_same_twice_and_no_cell_runs(here: World) -> None:
    with transaction():
        connection().execute(text("update items set name = :n"), {"n": '=HYPERLINK("http://x","茶")'})
        connection().execute(text("update shops set name = :n"), {"n": ' ＋一店, "老"店'})
    redeem(here, AT, ref="a")
    statement = drawn(here)
    files = {form: [_file(statement, form) for _ in range(2)] for form in ("csv", "xlsx")}
    assert files["csv"][0] == files["csv"][1]
    raw = files["csv"][0]
    assert raw.startswith(b"\xef\xbb\xbf") and raw.count(b"\r\n") == 2
    (row,) = csv.DictReader(io.StringIO(raw.decode("utf-8-sig")))
    assert row["title 名称"] == '\'=HYPERLINK("http://x","茶")' and row["shop 门店"] == '\' ＋一店, "老"店'
    assert (row["amount fen 金额(分)"], row["time 时间"]) == ("150", "2026-11-20 12:00:00")
    sheet = load_workbook(io.BytesIO(files["xlsx"][0])).active
    header, values = sheet.iter_rows(values_only=True)
    shown = dict(zip(header, values, strict=True))
    assert shown["title 名称"] == row["title 名称"] and shown["shop 门店"] == row["shop 门店"]
    assert (shown["amount fen 金额(分)"], shown["redemption 核销号"]) == (150, row["redemption 核销号"])


def _file(statement_id: int, form: str) -> bytes:
    out = io.BytesIO()
    with transaction():
        settlement.write(settlement.get(statement_id), out, form=form)
    return out.getvalue()


@pytest.mark.parametrize(
    "cell", ["=1", "+1", "-1", "@a", "\tx", "\rx", " =1", '"=1', "＝1", "－1", "＠x", "　＋1", "“@x", "\x00=1"]
)
def test_what_a_spreadsheet_would_run_is_neutral(cell: str) -> None:
    assert neutral(cell).startswith("'")


@pytest.mark.parametrize("cell", ["茶", "a=b", "1-2", "", "老店"])
def test_what_is_harmless_stays(cell: str) -> None:
    assert neutral(cell) == cell


def test_a_changed_line_is_seen(here: World) -> None:
    redeem(here, AT, ref="a")
    statement = drawn(here)
    with transaction():
        connection().execute(text("alter table statement_lines disable trigger user"))
        connection().execute(text("update statement_lines set owed_fen = 151, amount_fen = 151"))
    with pytest.raises(Refusal) as changed:
        approve(statement, DRAWN + 8 * DAY)
    assert changed.value.code == "statement_changed"
