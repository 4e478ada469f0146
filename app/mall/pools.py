"""Pools of third-party codes: imported from files, sealed, unique in their pool, each handed out once.

A pool is the item's stock: what is imported is on the shelf. Handing out happens in ``order_write`` (0011_mall.sql).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from app import vault
from app.db import connection, read, run
from app.errors import NOT_FOUND, Kind, declare
from app.mall import stock

PURPOSE = "pool-code"
BATCH = 5_000
LONGEST = 200

NO_POOL = declare(
    "no_pool",
    Kind.CONFLICT,
    zh="该商品不是“券码池”类型，不能导入券码。",
    en="This item is not a code pool, so no codes can be imported for it.",
)


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file's lines: taken, known already (here or in this file), and refused with line and reason."""

    taken: int
    known: int
    refused: list[tuple[int, str]]


_COPY = "create temp table if not exists pool_rows (code_hash bytea, code_sealed bytea) on commit drop"
_TAKE = """
    with taken as (
      insert into pool_codes (item_id, code_hash, code_sealed, imported_at)
      select %(item)s, code_hash, code_sealed, %(at)s from pool_rows on conflict do nothing returning 1
    ), emptied as (delete from pool_rows)
    select count(*) as n from taken
"""


def import_codes(*, item_id: int, lines: Iterable[str], at: datetime, keep: bool = True) -> Imported:
    """Import codes, one a line; what is on the shelf grows by those taken. ``keep`` False only looks.

    Blank lines are skipped; a line may be quoted or the first column of a CSV. Raises NOT_FOUND, NO_POOL.
    """
    rows = run("select kind from items where id = %(item)s", {"item": item_id})
    if not rows:
        raise NOT_FOUND(item=str(item_id))
    if rows[0].kind != "code_pool":
        raise NO_POOL()
    run(_COPY)
    refused: list[tuple[int, str]] = []
    taken = seen = 0
    codes = _codes(lines, refused)
    while part := list(islice(codes, BATCH)):
        seen += len(part)
        _copy(part)
        taken += int(run(_TAKE, {"item": item_id, "at": at})[0].n)
    if keep and taken:
        stock.add(item_id=item_id, pieces=taken, why="pool:import")
    return Imported(taken, seen - taken, refused)


def _codes(lines: Iterable[str], refused: list[tuple[int, str]]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        code = line.strip().lstrip("\ufeff").partition(",")[0].strip().strip('"').strip()
        if not code or (number == 1 and code.lower() in ("code", "券码", "兑换码")):
            continue
        if len(code) > LONGEST or not code.isprintable():
            refused.append((number, "too long" if len(code) > LONGEST else "unprintable characters"))
        elif code[0] in "=+@" or "\ufffd" in code:
            refused.append((number, "a formula, or wrongly encoded"))
        else:
            yield code


def _copy(codes: Iterable[str]) -> None:
    link: Any = connection().connection.driver_connection
    with link.cursor() as cursor, cursor.copy("copy pool_rows (code_hash, code_sealed) from stdin") as copy:
        for code in codes:
            copy.write_row((vault.keyed_hash(PURPOSE, code), vault.encrypt(PURPOSE, code)))


def shown(order_id: int) -> list[str]:
    """The codes that an order was given, in plain form, for its owner."""
    rows = read("select code_sealed from pool_codes where order_id = %(order)s order by id", {"order": order_id})
    return [vault.decrypt(PURPOSE, bytes(row.code_sealed)) for row in rows]
