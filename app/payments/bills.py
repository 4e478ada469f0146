"""Reconciliation: WeChat's bill of a Beijing day against our payments and refunds (reference: section 8).

The lines go into a temporary table as they are read, so memory stays flat; each class of difference is then one
statement. What agrees is marked with the day of its bill. Nothing is repaired here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, cast

from app import clock
from app.db import connection, run
from app.payments import differences, money
from app.payments.bill_rules import FUND_RULES, OURS_MISSING, REFUND_RULES, TRADE_RULES, Rule
from app.payments.facts import FundFact, TradeFact
from app.payments.opening import payer_hash

REFUND, PAYMENT = "refund", "payment"
# What a movement of the merchant's account is, in WeChat's words; any other is for a person to explain.
BUSINESS = {
    "交易": PAYMENT,
    "退款": REFUND,
    "退款撤回": "refund_return",
    "扣除交易手续费": "fee",
    "退还交易手续费": "fee",
}

_TABLE = """
    create temporary table bill_lines (
      n bigint, what text, number text, payment_number text, transaction_id text, refund_id text, fen bigint,
      payer bytea, appid text, mchid text, currency text, status text, fee bigint, fee_expected bigint
    ) on commit drop
"""
_COPY = "copy bill_lines from stdin"
_INDEX = "create index on bill_lines (number); analyze bill_lines"
_MARK_PAYMENTS = """
    update payments p set billed_day = %(day)s, fee_millifen = b.fee from bill_lines b
    where b.what = 'payment' and p.out_trade_no = b.number and p.state in ('paid', 'late')
      and p.transaction_id = b.transaction_id and p.total_fen = b.fen and p.mchid = b.mchid
      and (p.billed_day is distinct from %(day)s or p.fee_millifen <> b.fee)
"""
_MARK_REFUNDS = """
    update refunds r set billed_day = %(day)s, fee_millifen = b.fee from bill_lines b
    where b.what = 'refund' and r.out_refund_no = b.number and r.refund_id = b.refund_id and r.fen = b.fen
      and (r.billed_day is distinct from %(day)s or r.fee_millifen <> b.fee)
"""
_DAY_DONE = """
    insert into bill_days (mchid, day, kind, state, sha1, lines, income_fen, expense_fen, fee_millifen, differences,
                           compared_at)
    values (%(mchid)s, %(day)s, %(kind)s, %(state)s, %(sha1)s, %(lines)s, %(income)s, %(expense)s, %(fee)s,
            %(differences)s, %(at)s)
    on conflict (mchid, day, kind) do update set state = excluded.state, sha1 = excluded.sha1,
      lines = excluded.lines, income_fen = excluded.income_fen, expense_fen = excluded.expense_fen,
      fee_millifen = excluded.fee_millifen, differences = excluded.differences, compared_at = excluded.compared_at
"""
_FEES = """
    select g.program_id, sum(g.fee) as millifen from (
      select program_id, fee_millifen as fee from payments where mchid = %(mchid)s and fee_millifen <> 0
      union all
      select r.program_id, r.fee_millifen from refunds r join payments p on p.id = r.payment_id
      where p.mchid = %(mchid)s and r.fee_millifen <> 0
    ) g group by g.program_id order by g.program_id
"""
_FEES_BOOKED = """
    select a.program_id, -sum(e.amount) as fen from accounts a join entries e on e.account_id = a.id
    where a.asset = 'fen' and a.kind = 'payment_fees' and a.owner_key = %(mchid)s group by a.program_id
"""


@dataclass
class Report:
    """What a comparison saw: lines, sums, and how many differences of each kind are in it."""

    day: date
    kind: str
    lines: int = 0
    income_fen: int = 0
    expense_fen: int = 0
    fee_millifen: int = 0
    matched: int = 0
    found: dict[str, int] = field(default_factory=dict)

    @property
    def differences(self) -> int:
        return sum(self.found.values())


def compare_trade(*, mchid: str, day: date, lines: Iterable[TradeFact], sha1: str, at: datetime) -> Report:
    """Compare a trade bill with our payments and refunds; names every difference and marks what agrees."""
    report = Report(day, "trade")
    run(_TABLE)
    _load(_trade_rows(lines, report))
    run(_INDEX)
    values = {"mchid": mchid, "day": day, "at": at}
    for rule in (*TRADE_RULES, *REFUND_RULES):
        _apply(rule, values, report)
    for statement in (_MARK_PAYMENTS, _MARK_REFUNDS):
        run(statement, values)
    report.matched = _matched(day, mchid)
    _done(report, mchid, sha1, at)
    for rule in OURS_MISSING:
        _apply(rule, values, report)
    run("drop table bill_lines")
    _book_fees(mchid, day, at)
    return report


_MISSED = """
    select d.at::date as day from generate_series(
      (select greatest(min(created_at at time zone 'Asia/Shanghai')::date, %(first)s::date)
       from payments where mchid = %(mchid)s having count(*) > 0), %(last)s::date, interval '1 day') d (at)
    where 2 > (select count(*) from bill_days b where b.mchid = %(mchid)s and b.day = d.at::date)
    order by 1 limit %(limit)s
"""
BILLS_GIVEN_FOR = timedelta(days=89)
"""WeChat gives a day's bills out for three months."""


def missed(mchid: str, *, before: date, limit: int = 31) -> list[date]:
    """Days before ``before`` whose bills were not both compared, since our first payment: a worker was down, or WeChat
    had no bill yet. Oldest first."""
    values = {"mchid": mchid, "first": before - BILLS_GIVEN_FOR, "last": before - timedelta(days=1), "limit": limit}
    return [row.day for row in run(_MISSED, values)]


def no_statement(*, mchid: str, day: date, kind: str, at: datetime) -> Report:
    """WeChat says that the day had no movement. That is noted only where our books have none either."""
    report = Report(day, kind)
    starts, ends = clock.day_start(day), clock.day_start(day + timedelta(days=1))
    query = """
        select p.id, p.program_id, p.out_trade_no, p.total_fen from payments p
        where p.mchid = %(mchid)s and p.success_at >= %(starts)s and p.success_at < %(ends)s order by p.id
    """
    ours = run(query, {"mchid": mchid, "starts": starts, "ends": ends})
    found = [
        differences.Found(
            "no_statement", row.out_trade_no, program_id=row.program_id, payment_id=row.id, day=day,
            ours=str(row.total_fen),
        )
        for row in ours
    ]  # fmt: skip
    differences.note(found, mchid=mchid, at=at)
    if found:
        report.found["no_statement"] = len(found)
    else:
        _done(report, mchid, "", at, state="no_statement")
    return report


def compare_funds(*, mchid: str, day: date, lines: Iterable[FundFact], sha1: str, at: datetime) -> Report:
    """Compare the movements of the merchant's account: each is a payment, a refund or a fee of ours, and they chain."""
    report = Report(day, "funds")
    run(_TABLE)
    chain = _Chain()
    _load(_fund_rows(lines, report, chain))
    run(_INDEX)
    values = {"mchid": mchid, "day": day, "at": at}
    for rule in FUND_RULES:
        _apply(rule, values, report)
    broken = chain.broken(report)
    if broken:
        found = differences.Found("funds_balance", day.isoformat(), day=day, ours=str(broken[0]), theirs=str(broken[1]))
        differences.note([found], mchid=mchid, at=at)
        report.found["funds_balance"] = 1
    run("drop table bill_lines")
    _done(report, mchid, sha1, at)
    return report


class _Chain:
    """The balance before the first movement and after the last one; what lies between must make the difference."""

    def __init__(self) -> None:
        self.before: int | None = None
        self.after = 0

    def add(self, line: FundFact) -> None:
        change = line.amount_fen if line.direction == "income" else -line.amount_fen
        if self.before is None:
            self.before = line.balance_fen - change
        self.after = line.balance_fen

    def broken(self, report: Report) -> tuple[int, int] | None:
        expected = (self.before or 0) + report.income_fen - report.expense_fen
        return None if self.before is None or expected == self.after else (expected, self.after)


def _trade_rows(lines: Iterable[TradeFact], report: Report) -> Iterable[tuple[Any, ...]]:
    for line in lines:
        report.lines += 1
        report.fee_millifen += line.fee_millifen
        refund = line.trade_state == "REFUND"
        if refund:
            report.expense_fen += line.asked_refund_fen
        else:
            report.income_fen += line.total_fen
        yield (
            report.lines,
            REFUND if refund else PAYMENT,
            line.out_refund_no if refund else line.out_trade_no,
            line.out_trade_no,
            line.transaction_id,
            line.refund_id,
            line.asked_refund_fen if refund else line.total_fen,
            payer_hash(line.appid, line.openid),
            line.appid,
            line.mchid,
            line.currency,
            line.refund_status if refund else line.trade_state,
            line.fee_millifen,
            None if refund else _expected_fee(line.settled_fen, line.rate),
        )


def _fund_rows(lines: Iterable[FundFact], report: Report, chain: _Chain) -> Iterable[tuple[Any, ...]]:
    for line in lines:
        report.lines += 1
        chain.add(line)
        income = line.direction == "income"
        if income:
            report.income_fen += line.amount_fen
        else:
            report.expense_fen += line.amount_fen
        what = BUSINESS.get(line.kind) or BUSINESS.get(line.business, "other")
        signed = line.amount_fen if income else -line.amount_fen
        yield (
            *(report.lines, what, line.flow_id, line.business, line.transaction_id, line.transaction_id, signed),
            *(None, None, None, None, line.direction, 0, None),
        )


def _expected_fee(settled_fen: int, rate: str) -> int | None:
    """WeChat's fee in thousandths of a fen by the rate that the line itself names: whole fen, half up."""
    share = _share(rate)
    return None if share is None else int((settled_fen * share).to_integral_value("ROUND_HALF_UP")) * 1000


@lru_cache(maxsize=64)
def _share(rate: str) -> Decimal | None:
    try:
        return Decimal(rate.removesuffix("%")) / 100
    except InvalidOperation:
        return None


def _load(rows: Iterable[tuple[Any, ...]]) -> None:
    """Stream the lines into the temporary table."""
    driver = cast(Any, connection().connection.driver_connection)
    with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
        for row in rows:
            copy.write_row(row)


def _apply(rule: Rule, values: dict[str, Any], report: Report) -> None:
    """Keep all differences of one kind; those known already are counted once more."""
    rows = run(rule.sql, {**values, "kind": rule.kind})
    if rows and rows[0].n:
        report.found[rule.kind] = report.found.get(rule.kind, 0) + int(rows[0].n)


def _matched(day: date, mchid: str) -> int:
    query = """
        select (select count(*) from payments where mchid = %(mchid)s and billed_day = %(day)s)
             + (select count(*) from refunds r join payments p on p.id = r.payment_id
                where p.mchid = %(mchid)s and r.billed_day = %(day)s) as n
    """
    return int(run(query, {"mchid": mchid, "day": day})[0].n)


def _done(report: Report, mchid: str, sha1: str, at: datetime, *, state: str = "compared") -> None:
    values = {
        "mchid": mchid,
        "day": report.day,
        "kind": report.kind,
        "state": state,
        "sha1": sha1,
        "lines": report.lines,
        "income": report.income_fen,
        "expense": report.expense_fen,
        "fee": report.fee_millifen,
        "differences": report.differences,
        "at": at,
    }
    run(_DAY_DONE, values)


def _book_fees(mchid: str, day: date, at: datetime) -> None:
    """WeChat's fees into the ledger, per program: all whole fen of all fees so far, less what is booked already."""
    booked = {row.program_id: int(row.fen) for row in run(_FEES_BOOKED, {"mchid": mchid})}
    for row in run(_FEES, {"mchid": mchid}):
        so_far = booked.get(row.program_id, 0)
        missing = int(row.millifen) // 1000 - so_far
        if missing:
            key = f"{mchid}:{day}:{row.program_id}:{so_far}"
            money.take_fees(program_id=row.program_id, mchid=mchid, fen=missing, key=key, at=at)
