"""Recompute what a statement must pay from the ledger alone: accounts, transfers, entries, and nothing else.

    python3 scripts/recompute_statement.py --dsn URL --program-id 1 --merchant shop --statement 7 \
        --until 2026-12-01T00:00:00+08:00 --drawn 2026-12-04T00:00:00+08:00 [--without TRANSFER ...] [--expect 12345]

Everything that accrued on the merchant's account up to the end of the period, less what was taken back before the
drawing and less what earlier statements have had, is what this one says. `--without` names transfers that were held for
risk at the drawing (they are on a later statement). Needs Python and psycopg; it imports nothing of the product.
Exit 0: the sum is as expected (or none was named). 1: it differs.
"""

from __future__ import annotations

import argparse
import sys

import psycopg

# What settlement itself moves on the account is no accrual; a correction is one, backwards.
SUM = """
    with mine as (
      select id from accounts where program_id = %(program)s and owner_key = %(merchant)s
        and asset = 'fen' and kind = 'payable'
    ), moved as (
      select t.id, t.reason, t.source_ref, t.posted_at, sum(e.amount) as fen,
             coalesce(t.reverses, (t.memo->>'corrects')::bigint) as takes_back
      from entries e join mine m on m.id = e.account_id join transfers t on t.id = e.transfer_id group by t.id
    ), accrued as (
      select * from moved where takes_back is null and reason not like 'settlement.%%' and posted_at < %(until)s
        and not (id = any (%(without)s::bigint[]))
    ), taken_back as (
      select b.* from moved b join accrued a on a.id = b.takes_back where b.posted_at <= %(drawn)s
    ), earlier as (
      select * from moved where reason = 'settlement.approve'
        and split_part(source_ref, ':', 2)::bigint < %(statement)s
    )
    select (select coalesce(sum(fen), 0) from accrued), (select coalesce(sum(fen), 0) from taken_back),
           (select coalesce(sum(fen), 0) from earlier), (select count(*) from accrued)
"""


def main(argv: list[str]) -> int:
    """Print the sums; answers the exit code."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--dsn", required=True)
    words.add_argument("--program-id", type=int, required=True)
    words.add_argument("--merchant", required=True)
    words.add_argument("--statement", type=int, required=True)
    words.add_argument("--until", required=True)
    words.add_argument("--drawn", required=True)
    words.add_argument("--without", type=int, nargs="*", default=[])
    words.add_argument("--expect", type=int)
    asked = words.parse_args(argv)
    values = {"program": asked.program_id, "merchant": asked.merchant, "statement": asked.statement,
              "until": asked.until, "drawn": asked.drawn, "without": asked.without}  # fmt: skip
    with psycopg.connect(asked.dsn) as link:
        link.read_only = True
        accrued, back, earlier, count = link.execute(SUM, values).fetchone() or (0, 0, 0, 0)
    total = int(accrued) + int(back) + int(earlier)
    print(f"accrued {accrued} fen by {count} transfers, taken back {back}, earlier statements {earlier}: total {total}")
    if asked.expect is not None and asked.expect != total:
        print(f"the statement says {asked.expect}: it differs by {asked.expect - total} fen")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
