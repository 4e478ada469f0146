"""The bills of a day against our books: each planted difference is found by its name, kept once, and worked off."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

import till
from app import operators
from app.clock import SHANGHAI, frozen, now
from app.db import run, transaction
from app.payments import bills, differences
from tests import cash, world
from tests.given import AT
from tests.payments.conftest import Shop
from tests.payments.test_flow import paid_order, refunded
from till import kept_bills
from wechat.pay import errors as pay
from wechat.pay.bills import FundLine, TradeLine
from wechat.sandbox.faults import Fault
from wechat.sandbox.pay.bills import Plant
from wechat.sandbox.pay.notices import NoticeFault

race = pytest.mark.race
DAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 12, tzinfo=SHANGHAI)


# -- the rules, fed with lines


def trade(payment: Any, **changes: Any) -> TradeLine:
    """The line that fits a payment, or one that differs as told."""
    values: dict[str, Any] = {
        "at": NOON, "appid": payment.appid, "mchid": payment.mchid, "transaction_id": payment.transaction_id,
        "out_trade_no": payment.out_trade_no, "openid": cash.openid_of(payment.person_id), "trade_type": "JSAPI",
        "trade_state": "SUCCESS", "currency": "CNY", "settled_fen": payment.total_fen, "coupon_fen": 0,
        "refund_id": "", "out_refund_no": "", "refund_fen": 0, "coupon_refund_fen": 0, "refund_type": "",
        "refund_status": "", "description": "x", "attach": "", "fee_millifen": 6000, "rate": "0.60%",
        "total_fen": payment.total_fen, "asked_refund_fen": 0,
    }  # fmt: skip
    return TradeLine(**{**values, **changes})


def gave_back(payment: Any, refund: Any, **changes: Any) -> TradeLine:
    values = {
        "trade_state": "REFUND", "refund_id": refund.refund_id, "out_refund_no": refund.out_refund_no,
        "refund_fen": refund.fen, "asked_refund_fen": refund.fen, "refund_status": "SUCCESS", "total_fen": 0,
        "settled_fen": 0, "fee_millifen": -1000,
    }  # fmt: skip
    return trade(payment, **{**values, **changes})


def compare(*lines: TradeLine, day: date = DAY) -> dict[str, int]:
    with transaction():
        return bills.compare_trade(mchid=cash.MCHID, day=day, lines=lines, sha1="", at=AT).found


@pytest.fixture
def payment(db_session: Session) -> Any:
    with transaction():
        town = world.build(people=1)
        world.rich(town, town.people[0], 500)
        order = cash.place(town, town.people[0], cash.item(town))
        return cash.pay(order)


def test_what_agrees_is_marked_and_its_fee_booked_once(payment: Any) -> None:
    assert compare(trade(payment)) == {}
    assert compare(trade(payment)) == {}, "a day can be compared again"
    assert run("select billed_day, fee_millifen from payments")[0] == (DAY, 6000)
    fees = run("select sum(e.amount) as fen from entries e join accounts a on a.id = e.account_id"
               " where a.kind = 'payment_fees'")  # fmt: skip
    assert fees[0].fen == -6


DIFFERENT: dict[str, dict[str, Any]] = {
    "missing_here": {"out_trade_no": "T261120STRANGER"},
    "amount": {"total_fen": 991},
    "transaction": {"transaction_id": "4200000000"},
    "payer": {"openid": "o-somebody"},
    "currency": {"currency": "USD"},
    "merchant": {"mchid": "1900000999"},
    "appid": {"appid": "wxlocal000000000002"},
    "state": {"trade_state": "REVOKED"},
    "fee": {"fee_millifen": 7000},
}


@pytest.mark.parametrize("kind", DIFFERENT)
def test_each_difference_has_its_name(payment: Any, kind: str) -> None:
    found = compare(trade(payment, **DIFFERENT[kind]))
    assert kind in found
    expected = {kind, "payer", "missing_here"} if kind == "appid" else {kind, "missing_at_wechat"}
    assert set(found) <= expected
    assert differences.open_by_kind()[kind] == 1
    compare(trade(payment, **DIFFERENT[kind]))
    rows = [row for row in differences.listed() if row.kind == kind]
    assert [row.times for row in rows] == [2], "found again it is the same difference"


def test_a_line_twice_and_one_that_never_came(payment: Any) -> None:
    assert compare(trade(payment), trade(payment)) == {"twice": 1}
    run("update payments set billed_day = null")
    assert compare() == {"missing_at_wechat": 1}


def test_near_midnight_both_bills_are_awaited(payment: Any) -> None:
    run("update payments set success_at = '2026-11-20 23:55:00+08'")
    assert compare() == {}, "it may stand in tomorrow's"
    assert compare(day=DAY + timedelta(days=1)) == {"missing_at_wechat": 1}
    run("delete from payment_differences")
    assert compare(trade(payment), day=DAY + timedelta(days=1)) == {}, "and there it stands"


def test_refunds_are_compared_too(payment: Any) -> None:
    from app import orders

    with transaction():
        refund = orders.refund(order_id=payment.subject_ref, reason="x", asked_by="operator:lin", at=AT)
        orders.take_refund(cash.back(refund), at=AT)
    good = trade(payment)
    for changes, kinds in (
        ({}, set()),
        ({"asked_refund_fen": 1}, {"refund_amount"}),
        ({"refund_id": "1"}, {"refund_id"}),
        ({"out_refund_no": "T261120NOBODYR1"}, {"refund_missing_here", "refund_missing_at_wechat"}),
        ({"out_trade_no": "T261120NOBODY"}, {"refund_payment"}),
    ):
        run("update refunds set billed_day = null")
        run("delete from payment_differences")
        found = set(compare(good, gave_back(payment, refund, **changes)))
        assert found - {"refund_missing_at_wechat"} == kinds - {"refund_missing_at_wechat"}, changes
    run("update refunds set state = 'abnormal', success_at = null")
    run("delete from payment_differences")
    assert "refund_state" in compare(good, gave_back(payment, refund))


def test_the_accounts_movements_chain_and_each_is_ours(payment: Any) -> None:
    def line(business: str, fen: int, balance: int, transaction_id: str = "x", flow: str = "f") -> FundLine:
        direction = "income" if fen > 0 else "expense"
        return FundLine(NOON, transaction_id, flow, business, business, direction, abs(fen), balance, "", "", "")

    def funds(*lines: FundLine) -> dict[str, int]:
        run("delete from payment_differences")
        with transaction():
            return bills.compare_funds(mchid=cash.MCHID, day=DAY, lines=lines, sha1="", at=AT).found

    ours = line("交易", 990, 1990, payment.transaction_id, "f1")
    fee = line("扣除交易手续费", -6, 1984, payment.transaction_id, "f2")
    assert funds(ours, fee) == {}
    assert funds(ours, line("扣除交易手续费", -6, 1980, payment.transaction_id, "f2")) == {"funds_balance": 1}
    assert funds(line("交易", 991, 1991, payment.transaction_id)) == {"funds_payment": 1}
    assert funds(line("交易", 990, 1990, "4200unknown")) == {"funds_payment": 1}
    assert funds(line("提现", -500, 500)) == {"funds_other": 1}, "a withdrawal is for a person to explain"
    assert funds(line("退款", -990, 10, "5030unknown")) == {"funds_refund": 1}


def test_no_statement_is_believed_only_where_we_have_no_movement_either(payment: Any) -> None:
    with transaction():
        assert bills.no_statement(mchid=cash.MCHID, day=DAY, kind="trade", at=AT).found == {"no_statement": 1}
        other = bills.no_statement(mchid=cash.MCHID, day=DAY + timedelta(days=1), kind="trade", at=AT)
    assert other.found == {}
    assert [row.day for row in run("select day from bill_days")] == [DAY + timedelta(days=1)]


# -- through the local WeChat


@pytest.fixture
def books(shop: Shop) -> Shop:
    """Three paid orders and a refund, and it is the next day there."""
    for reference in ("a", "b", "c"):
        paid_order(shop, reference)
    refunded(shop, str(shop.sql("select min(id) as id from orders where cash_fen > 0")[0].id))
    shop.sweep()
    shop.box.clock.advance(6)
    shop.settle()
    return shop


def tomorrow(shop: Shop) -> date:
    day = now().astimezone(SHANGHAI).date()
    shop.change(f"update payments set success_at = '{day} 12:00+08' where success_at is not null")
    shop.change(f"update refunds set accepted_at = '{day} 12:00+08' where accepted_at is not null")
    shop.box.clock.advance(86_400 + 12 * 3_600)
    return day


def reconcile(shop: Shop, day: date, **kwargs: Any) -> dict[str, int]:
    with shop.app.app_context():
        return {kind: n for report in till.reconcile(shop.desk, day, **kwargs) for kind, n in report.found.items()}


@race
def test_a_day_agrees_with_its_bills(books: Shop) -> None:
    day = tomorrow(books)
    assert reconcile(books, day, dry_run=True) == {}
    assert books.sql("select count(*) as n from bill_days")[0].n == 0, "a dry run writes nothing"
    assert reconcile(books, day) == {}
    assert {(row.kind, row.lines) for row in books.sql("select kind, lines from bill_days")} >= {("trade", 4)}
    assert books.sql("select count(*) as n from payments where billed_day is null")[0].n == 0
    assert books.broken_proofs() == {}


@race
@pytest.mark.parametrize(
    ("kind", "found"),
    [("drop", "missing_at_wechat"), ("amount", "amount"), ("openid", "payer"), ("state", "state"), ("twice", "twice")],
)
def test_planted_differences_are_found(books: Shop, kind: str, found: str) -> None:
    number = books.sql("select out_trade_no from payments order by id desc limit 1")[0].out_trade_no
    books.box.bills.plants.append(Plant(kind, number, 7))
    seen = reconcile(books, tomorrow(books))
    assert found in seen
    kept = books.sql("select kind, number from payment_differences where kind not like 'funds%%'")
    assert (found, number) in [(row.kind, row.number) for row in kept]


@race
def test_a_payment_that_nobody_told_us_of_is_mended_by_asking_and_stays_on_record(books: Shop) -> None:
    books.box.notices.plant(NoticeFault("silence", times=10))
    order = books.order("lost")
    books.box.pay(books.call_up(order))
    day = tomorrow(books)
    assert books.state(order) == "paying"
    assert reconcile(books, day)["notice_missed"] == 1
    assert books.state(order) == "paid"
    rows = books.sql("select state, settled_by from payment_differences where kind = 'notice_missed'")
    assert [tuple(row) for row in rows] == [("mended", "system:query")]
    assert set(reconcile(books, day)) <= {"notice_missed"}
    assert books.broken_proofs() == {}


@race
def test_a_bill_that_is_not_there_yet_or_damaged_compares_nothing(books: Shop) -> None:
    day = tomorrow(books)
    books.box.bills.creating = True
    with books.app.app_context(), pytest.raises(pay.StatementCreating):
        till.reconcile(books.desk, day)
    books.box.bills.creating = False
    for kind in ("hash", "byte"):
        books.box.bills.plants[:] = [Plant(kind)]
        with books.app.app_context(), pytest.raises(pay.BillCorrupt):
            till.reconcile(books.desk, day)
    assert books.sql("select count(*) as n from bill_days")[0].n == 0
    books.box.bills.plants.clear()
    assert reconcile(books, day) == {}


@race
def test_days_that_were_missed_are_caught_up(books: Shop) -> None:
    """The worker was down for two days; the third morning compares all of them, and a late bill stops none."""
    from jobs import payments as jobs

    day = tomorrow(books)
    books.change(f"update payments set created_at = '{day} 11:00+08'")
    books.box.clock.advance(2 * 86_400)
    with books.app.app_context(), frozen(datetime.combine(day + timedelta(days=3), time(11), SHANGHAI)):
        with transaction():
            assert bills.missed(books.desk.mchid, before=day + timedelta(days=2)) == [day, day + timedelta(days=1)]
            assert bills.missed("1900000109", before=day) == [], "nobody is asked about before our first payment"
        books.app.extensions["till"] = books.desk
        books.box.state.faults.append(Fault("/v3/bill/tradebill*", "http500"))
        jobs.reconcile()
        compared = [row.day for row in books.sql("select distinct day from bill_days order by day")]
        assert compared == [day + timedelta(days=1), day + timedelta(days=2)], "the first one's bill was not to be had"
        jobs.reconcile()
        with transaction():
            assert bills.missed(books.desk.mchid, before=day + timedelta(days=3)) == []
    agreed = books.sql("select count(*) as n from payments where billed_day is not null")[0].n
    assert agreed == 3


@race
def test_bills_are_kept_as_they_came(books: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    day, folder = tomorrow(books), tmp_path / "bills"
    reconcile(books, day, dry_run=True)
    assert not folder.exists(), "a dry run writes nothing"
    for _ in range(2):
        reconcile(books, day)
    one = list(kept_bills.kept(folder, verify=True))
    assert [(it.mchid, it.day, it.kind, it.whole) for it in one] == [
        (books.desk.mchid, day, "funds", True),
        (books.desk.mchid, day, "trade", True),
    ]
    compared = {row.kind: row.sha1 for row in books.sql("select kind, sha1 from bill_days")}
    assert {it.kind: it.sha1 for it in one} == compared
    assert all(it.path.stat().st_mode & 0o077 == 0 for it in one), "payers stand in them"
    number = books.sql("select out_trade_no from payments order by id limit 1")[0].out_trade_no
    settings = replace(books.app.config["SETTINGS"], bills_folder=folder)
    monkeypatch.setitem(books.app.config, "SETTINGS", settings)
    run_cli = books.app.test_cli_runner().invoke
    assert run_cli(args=["payments", "bills", "--verify", "--copy", str(tmp_path / "out")]).exit_code == 0
    assert number in (tmp_path / "out" / f"{day}-trade-{compared['trade']}.csv").read_text()
    books.box.bills.plants.append(Plant("amount", number, 7))
    reconcile(books, day)
    assert len(list(kept_bills.kept(folder))) == 3, "another bill of the day stands beside the first"
    one[0].path.write_bytes(one[0].path.read_bytes()[:-9])
    told = run_cli(args=["payments", "bills", "--verify"])
    assert (told.exit_code, told.output.count("DAMAGED")) == (1, 1)
    assert kept_bills.forget(folder, day + kept_bills.KEPT_FOR) == 0
    assert kept_bills.forget(folder, day + kept_bills.KEPT_FOR + timedelta(days=1)) == 3


@race
def test_the_commands_and_the_second_person(books: Shop) -> None:
    with books.app.app_context(), transaction():
        for handle in ("lin", "wu"):
            operators.add(handle=handle, name=handle, at=now())
    run_cli = books.app.test_cli_runner().invoke
    number = books.sql("select out_trade_no from payments order by id desc limit 1")[0].out_trade_no
    books.box.bills.plants.append(Plant("amount", number, 7))
    day = tomorrow(books).isoformat()
    told = run_cli(args=["payments", "reconcile", day, "--json"])
    assert told.exit_code == 1 and json.loads(told.output)[0]["differences"]["amount"] == 1
    listed = json.loads(run_cli(args=["payments", "differences", "--json"]).output)
    (one,) = [row for row in listed if row["kind"] == "amount"]
    asked = run_cli(args=["payments", "settle", str(one["id"]), "--reason", "账单更正", "--as", "lin"])
    assert asked.exit_code == 0, asked.output
    approval = asked.output.split()[1]
    assert run_cli(args=["approvals", "approve", approval, "--as", "lin"]).exit_code == 1, "not by the same person"
    assert run_cli(args=["approvals", "approve", approval, "--as", "wu"]).exit_code == 0
    assert one["id"] not in [
        row["id"] for row in json.loads(run_cli(args=["payments", "differences", "--json"]).output)
    ]
    assert "amount" in run_cli(args=["payments", "differences", "--all"]).output
    order = books.sql("select max(id) as id from orders where cash_fen > 0")[0].id
    asked = run_cli(args=["payments", "refund", str(order), "--reason", "缺货", "--as", "lin"])
    done = run_cli(args=["approvals", "approve", asked.output.split()[1], "--as", "wu"])
    assert done.exit_code == 0, done.output
    assert books.state(str(order)) == "refunding"
    life = run_cli(args=["payments", "show", number])
    assert "waiting → paid" in life.output and f"refund {number}R1" in life.output
    refund = str(books.sql("select max(id) as id from refunds")[0].id)
    words = ["payments", "transferred", refund, "--evidence", "ICBC 2026112500017, receipt 41", "--as", "lin"]
    assert "refund_not_stuck" in run_cli(args=words).output, "WeChat still works on it"
    books.change(f"update refunds set state = 'abnormal', next_look_at = null where id = {refund}")
    approval = run_cli(args=words).output.split()[1]
    assert run_cli(args=["approvals", "approve", approval, "--as", "lin"]).exit_code == 1
    assert "were paid by the bank" in run_cli(args=["approvals", "approve", approval, "--as", "wu"]).output
    assert books.state(str(order)) == "refunded"
    assert run_cli(args=["payments", "reconcile", "yesterday"]).exit_code == 2
    assert run_cli(args=["payments", "settle", "999", "--reason", "x", "--as", "lin"]).exit_code == 1
