"""Every merchant of the run is settled month by month; an independent script recomputes each total from the ledger.

``python -m devkit.proof.statements`` does it and prints what was seen. Months that are not over are drawn as of three
days after their end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from app import clock, programs, settlement
from app.db import run, transaction
from app.programs import Program
from devkit import ROOT

SCRIPT = ROOT / "scripts" / "recompute_statement.py"

_MONTHS = """
    select m.program_id, m.id as merchant_id, m.code,
           array_agg(distinct to_char(greatest(r.redeemed_at, r.released_at) at time zone 'Asia/Shanghai',
                                      'YYYY-MM')) as months
    from merchants m join redemptions r on r.merchant_id = m.id group by m.id order by m.id
"""
_HELD = """
    select r.transfer_id from redemptions r join statements s on s.merchant_id = r.merchant_id and s.id = %(id)s
    where r.held_at is not null and (r.released_at is null or r.released_at >= s.ends_at) and r.transfer_id is not null
"""


def settled() -> dict[str, Any]:
    """Draw all that can be drawn; what differs from the script's sum is named."""
    seen: dict[str, Any] = {"merchants": 0, "statements": 0, "lines": 0, "fen": 0, "wrong": []}
    with transaction():
        wanted = run(_MONTHS, {})
    for row in wanted:
        seen["merchants"] += 1
        earlier = 0
        for month in sorted(row.months):
            found = _drawn(row, month)
            if found is None:
                continue
            seen["statements"] += 1
            seen["lines"] += found.lines
            seen["fen"] += found.redeemed_fen + found.corrected_fen
            earlier += found.redeemed_fen + found.corrected_fen
            seen["wrong"] += _compared(row, found, earlier)
    return seen


def _drawn(row: Any, month: str) -> settlement.Statement | None:
    period = clock.period_by_key("month", month)
    if period.ends is None:
        raise AssertionError("a month ends")
    with transaction() as session:
        program = session.get_one(Program, row.program_id)
        at = period.ends + settlement.SETTLE_AFTER
        if programs.find(program.code) is None or program.settlement_period != "month":
            return None
        done = settlement.draw(program=program, merchant_id=row.merchant_id, period=period, actor="system:proof", at=at)
        if done is None:
            return None
        session.refresh(done.statement)
        session.expunge(done.statement)
        return done.statement


def _compared(row: Any, found: settlement.Statement, earlier: int) -> list[str]:
    """Nothing is approved in this run, so the script's sum is that of all statements up to this one."""
    with transaction():
        held = [str(one.transfer_id) for one in run(_HELD, {"id": found.id})]
    dsn = os.environ["DATABASE_URL"].replace("postgresql+psycopg", "postgresql")
    words = ["--dsn", dsn, "--program-id", str(row.program_id), "--merchant", row.code, "--statement", str(found.id)]
    words += ["--until", found.ends_at.isoformat(), "--drawn", found.drawn_at.isoformat(), "--expect", str(earlier)]
    done = subprocess.run([sys.executable, str(SCRIPT), *words, "--without", *held], capture_output=True, text=True)
    return [] if done.returncode == 0 else [f"statement {found.id}: {done.stdout.strip() or done.stderr.strip()}"]


def main() -> int:
    """Settle, compare, print."""
    import wsgi

    app = wsgi.create_app()
    with app.app_context():
        print(json.dumps(settled()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
