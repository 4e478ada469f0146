"""What is measured and what it must reach: the one table. A measure is a line here and a function in another file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench import load


@dataclass
class Bench:
    """What measures share in one run. `program` is the code of the demo program that they use."""

    app: Any
    address: tuple[str, int]
    seconds: float
    seed: int
    program: str = "rongcheng"
    notes: dict[str, Any] = field(default_factory=dict)

    def ratio_to_f(self, make: Callable[[int], bytes], *, connections: int = 16, rounds: int = 3) -> float:
        """The rate of a route in units of F, the constant route; slices of both alternate, so noise hits both alike."""
        shares, rates, base = [], [], []
        for _ in range(rounds):
            floor = load.run(self.address, F, seconds=self.seconds / rounds, connections=connections)
            mine = load.run(self.address, make, seconds=self.seconds / rounds, connections=connections)
            bad = {status: count for status, count in mine.statuses.items() if status >= 300}
            if bad:
                raise RuntimeError(f"unexpected answers: {bad}")
            shares.append(mine.per_second / floor.per_second)
            rates.append(mine.per_second)
            base.append(floor.per_second)
        self.notes["rate"], self.notes["F"], self.notes["p99_ms"] = median(rates), median(base), round(mine.p99_ms, 1)
        return median(shares)


# Not /healthz: that one is left out of the request log, which every other route writes.
_F = load.http_request("GET", "/version")


def F(_: int) -> bytes:  # noqa: N802 - the name it has in the papers
    """F: a constant JSON route of the same application on the same server, with the whole middleware, no sign-in."""
    return _F


def floor_rate(bench: Bench) -> float:
    """F itself in requests per second; everything about the web is a share of it."""
    found = load.run(bench.address, F, seconds=bench.seconds)
    bench.notes["p99_ms"] = round(found.p99_ms, 1)
    return found.per_second


@dataclass(frozen=True)
class Measure:
    """`reach` is the least (or, with `at_most`, the greatest) good value; None is only shown."""

    name: str
    what: str
    run: Callable[[Bench], float]
    reach: float | None = None
    at_most: bool = False
    unit: str = ""

    def fine(self, value: float) -> bool:
        if self.reach is None:
            return True
        return value <= self.reach if self.at_most else value >= self.reach


def table() -> tuple[Measure, ...]:
    """All measures. Imported late: each file brings the feature that it measures."""
    from bench import bulk, contest, daily, mall, payments, postings, reads, redeem, sponsors, statements, writes

    return (
        Measure("F", "constant route, requests/s", floor_rate, unit="/s"),
        Measure("my-rank", "GET .../boards/.../me", reads.my_rank, 0.50, unit="F"),
        Measure("board-page", "100 lines with my row", reads.board_page, 0.45, unit="F"),
        Measure("profile", "GET /api/v1/me", reads.profile, 0.35, unit="F"),
        Measure("record", "POST /api/v1/records, through the ledger", writes.record, 0.12, unit="F"),
        Measure("check-in", "the first check-in of a day, through the ledger", daily.check_in, 0.12, unit="F"),
        Measure("midnight", "10,000 check in by 64 connections, each once", daily.midnight, unit="s"),
        Measure("challenge", "the page of a challenge with my live rank", contest.page, 0.35, unit="F"),
        Measure("settlement", "100,000 persons to paid prizes", contest.settlement, 60, at_most=True, unit="s"),
        Measure("settlement-mb", "growth of memory meanwhile", contest.growth, 100, at_most=True, unit="MB"),
        Measure("turn", "looks that found a gap while boards turn", contest.turn, 0, at_most=True),
        Measure("record-twin", "the same / a plain-ORM twin on the same server", writes.against_twin, 2.0),
        Measure("postings", "postings through the service / pgbench on the same SQL", postings.service_share, 0.40),
        Measure("one-sponsor", "32 clients on one budget / on 32", sponsors.one_against_many, 0.85),
        Measure("import", "100,000 records from a file to the boards", bulk.import_rate, 1_500, unit="/s"),
        Measure("import-mb", "greatest size of the import", bulk.import_memory, 400, at_most=True, unit="MB"),
        Measure("catalogue", "a page of items for everybody, cached", mall.catalogue, 0.75, unit="F"),
        Measure("for-me", "the same with a session", mall.for_me, 0.60, unit="F"),
        Measure("uncached", "the same, never asked before", mall.uncached, 0.35, unit="F"),
        Measure("order", "POST /api/v1/orders over 64 items", mall.order, 0.10, unit="F"),
        Measure("hot-item", "orders on one item / over 64", mall.hot_item, 0.70),
        Measure("pool", "import of 100,000 pool codes", mall.pool_import, 30, at_most=True, unit="s"),
        Measure("redeem", "a scan, spent and owed through the ledger", redeem.redeem, 0.12, unit="F"),
        Measure("login", "sign-in by a WeChat code", payments.login, 0.06, unit="F"),
        Measure("notice", "a payment notice, verified and settled", payments.notice, 0.08, unit="F"),
        Measure("burst", "p99 of 1,000 notices by 32 connections", payments.burst, 5, at_most=True, unit="s"),
        Measure("reconcile", "a bill of 100,000 lines", payments.reconcile_seconds, 30, at_most=True, unit="s"),
        Measure("statement-csv", "1,000,000 redemptions as CSV", statements.csv_seconds, 60, at_most=True, unit="s"),
        Measure("statement-xlsx", "the same as XLSX", statements.xlsx_seconds, 150, at_most=True, unit="s"),
        Measure("statement-mb", "growth of memory meanwhile", statements.growth_mb, 200, at_most=True, unit="MB"),
        Measure("rebuild", "a board of 1,000,000 scores", bulk.rebuild_seconds, 15, at_most=True, unit="s"),
        Measure("redis", "bytes a member of that board", bulk.bytes_a_member, 90, at_most=True, unit="B"),
    )
