"""A statement of a million redemptions: drawn, and written as CSV and as XLSX with flat memory."""

from __future__ import annotations

import os
import tempfile
import time
from datetime import datetime, timedelta
from typing import Any

import psutil

from app import clock, merchants, programs, settlement
from app.db import db, run, transaction
from app.settlement.models import Statement
from bench.city import CODE, city
from bench.measures import Bench

# A quick look: BENCH_REDEMPTIONS=50000 python3 dev.py bench statement-csv
REDEMPTIONS = int(os.environ.get("BENCH_REDEMPTIONS", "1000000"))
MONTH = "2026-01"

_CODES = """
    insert into codes (program_id, merchant_id, person_id, order_id, title, code_hash, code_sealed, settlement_fen,
                       uses_left, state, valid_from, valid_until)
    select %(program)s, %(merchant)s, %(person)s, n, '茶 ' || n %% 97, sha256(int8send(n) || '\\x00'), '', 150, 0,
           'redeemed', %(at)s, %(at)s::timestamptz + interval '40 days' from generate_series(1, %(n)s::bigint) n
"""
_SCANS = """
    insert into redemptions (program_id, code_id, shop_id, merchant_id, staff_person_id, scan_id, owed_fen, redeemed_at)
    select program_id, id, %(shop)s, merchant_id, %(person)s, 'bench-' || order_id, 150,
           %(at)s::timestamptz + order_id %% 2500000 * interval '1 second' from codes where merchant_id = %(merchant)s
"""


def csv_seconds(bench: Bench) -> float:
    """Seconds to write a million lines as CSV."""
    return _written(bench, "csv")


def xlsx_seconds(bench: Bench) -> float:
    """Seconds to write a million lines as XLSX."""
    return _written(bench, "xlsx")


def growth_mb(bench: Bench) -> float:
    """How much memory grew while both were written, in MB."""
    for form in settlement.FORMATS:
        if form not in Grown.mb:
            _written(bench, form)
    bench.notes.update({form: round(grown) for form, grown in Grown.mb.items()})
    return max(Grown.mb.values())


class Grown:
    """What one measure leaves for the next."""

    mb: dict[str, float] = {}  # noqa: RUF012


def _written(bench: Bench, form: str) -> float:
    statement_id = _million(bench)
    process = psutil.Process()
    before = process.memory_info().rss
    with tempfile.TemporaryFile() as file, transaction():
        watch = _Peak(file, process)
        began = time.monotonic()
        lines = settlement.write(settlement.get(statement_id), watch, form=form)  # type: ignore[arg-type]
        seconds = time.monotonic() - began
        bench.notes["file_mb"] = file.tell() >> 20
    Grown.mb[form] = (watch.peak - before) / 1e6
    bench.notes["lines"], bench.notes["grown_mb"] = lines, round(Grown.mb[form], 1)
    return seconds


class _Peak:
    """A file that looks at the process's size now and then while it is written."""

    def __init__(self, file: Any, process: psutil.Process) -> None:
        self._file, self._process, self._calls, self.peak = file, process, 0, 0

    def write(self, block: bytes) -> int:
        self._calls += 1
        if self._calls % 50 == 1:
            self.peak = max(self.peak, self._process.memory_info().rss)
        return int(self._file.write(block))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _million(bench: Bench) -> int:
    """The statement of a merchant with a million redemptions in one month; made once per database."""
    here, at = city(), clock.period_by_key("month", MONTH).starts
    found = run("select s.id from statements s join merchants m on m.id = s.merchant_id where m.code = 'million'", {})
    if found:
        return int(found[0].id)
    db.session.remove()
    with transaction():
        merchant = merchants.register(program_id=here.program_id, code="million", name="百万商户")
        shop = merchants.open_shop(merchant=merchant, name="=一店")
        values = {"program": here.program_id, "merchant": merchant.id, "shop": shop.id, "person": here.people[0],
                  "at": at, "n": REDEMPTIONS}  # fmt: skip
        run(_CODES, values)
        run(_SCANS, {**values, "person": here.people[1]})
        merchant_id = merchant.id
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as link:
        for table in ("codes", "redemptions"):
            link.exec_driver_sql(f"vacuum analyze {table}")
    return _drawn(bench, merchant_id, at + timedelta(days=60)).id


def _drawn(bench: Bench, merchant_id: int, at: datetime) -> Statement:
    began = time.monotonic()
    with transaction():
        program = programs.by_code(CODE)
        period = settlement.period_of(program, MONTH)
        done = settlement.draw(program=program, merchant_id=merchant_id, period=period, actor="bench", at=at)
        if done is None:
            raise RuntimeError("a million redemptions make a statement")
    bench.notes["drawn_s"] = round(time.monotonic() - began, 1)
    return done.statement
