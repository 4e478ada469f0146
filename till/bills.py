"""Reconciliation of a Beijing day: fetch both bills, compare, ask about what was missed, judge that again."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from typing import Any

import structlog

from app.clock import now
from app.db import forbid_in_transaction, read, retrying, transaction
from app.payments import bills, differences
from app.payments.bills import Report
from till import calls, kept_bills, metrics
from till.desk import Desk
from wechat.pay import errors as pay

log = structlog.get_logger("till")
# What a query can make equal by the normal transition; everything else waits for a person.
MENDABLE = ("notice_missed", "refund_state")
_MENDABLE = """
    select id, kind, number, payment_id, refund_id from payment_differences
    where state = 'open' and day = %(day)s and mchid = %(mchid)s and kind = any (%(kinds)s) order by id
"""


class DryRun(Exception):
    """Raised to undo what a dry run wrote."""


def reconcile(desk: Desk, day: date, *, dry_run: bool = False) -> list[Report]:
    """Compare both bills of a day with our books; again is harmless. Raises StatementCreating, BillCorrupt, and what a
    call raises: then nothing was compared."""
    trade = _one(desk, day, "trade", dry_run)
    if not dry_run and _mend(desk, day):
        trade.matched = _one(desk, day, "trade", dry_run).matched
    reports = [trade, _one(desk, day, "funds", dry_run)]
    if not dry_run:
        for report in reports:
            for kind, count in report.found.items():
                metrics.DIFFERENCES.labels(kind).inc(count)
                log.error("payment_difference", kind=kind, count=count)
    return reports


def _one(desk: Desk, day: date, kind: str, dry_run: bool) -> Report:
    forbid_in_transaction("bill")
    fetch: Any = desk.client.trade_bill if kind == "trade" else desk.client.fund_flow_bill
    compare: Any = bills.compare_trade if kind == "trade" else bills.compare_funds
    try:
        bill = fetch(day)
    except pay.NoStatement:
        return _recorded(lambda: bills.no_statement(mchid=desk.mchid, day=day, kind=kind, at=now()), dry_run)
    with bill:
        if not dry_run:
            kept_bills.keep(desk.bills, mchid=desk.mchid, kind=kind, bill=bill)
        return _recorded(lambda: compare(mchid=desk.mchid, day=day, lines=bill.rows, sha1=bill.sha1, at=now()), dry_run)


def _recorded(work: Any, dry_run: bool) -> Report:
    """Run a comparison in a transaction of its own; a dry run is undone."""
    found: list[Report] = []

    def command() -> None:
        found.clear()
        with transaction():
            found.append(work())
            if dry_run:
                raise DryRun

    with suppress(DryRun):
        retrying(command)
    return found[0]


def _mend(desk: Desk, day: date) -> int:
    """A notice that never came: ask by the number, record it the normal way, and judge again. How many agree now."""
    mended = 0
    for row in read(_MENDABLE, {"day": day, "mchid": desk.mchid, "kinds": list(MENDABLE)}):
        if row.kind == "refund_state":
            calls.work_refund(desk, row.refund_id)
        else:
            _ask_again(desk, row)
        with transaction():
            if _equal_now(row):
                differences.mended(row.id, at=now())
                mended += 1
    return mended


def _ask_again(desk: Desk, row: Any) -> None:
    try:
        calls.settle(desk.client.query(row.number), why="bill")
    except pay.PayError as error:
        log.warning("query_failed", kind=type(error).__name__, code=error.code)


def _equal_now(row: Any) -> bool:
    table = "refunds" if row.kind == "refund_state" else "payments"
    good = ("success", "processing") if row.kind == "refund_state" else ("paid", "late")
    query = f"select state from {table} where id = %(id)s"  # noqa: S608 - one of two constants
    found = read(query, {"id": row.refund_id or row.payment_id})
    return bool(found) and found[0].state in good
