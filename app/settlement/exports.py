"""A statement as a file: the same lines as CSV or XLSX, streamed from a cursor, each time the same bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import IO, Any, cast

import psycopg

from app import audit
from app.db import connection
from app.settlement.models import Statement
from app.settlement.sheets import write_csv, write_xlsx

AT_ONCE = 5_000
# Above so many rows an export by an operator needs a second person (reference/security.md, limits).
NEEDS_APPROVAL = 10_000
FORMATS = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
HEADER = (
    "line 行号", "kind 类型", "redemption 核销号", "code 券码编号", "order 订单号", "shop 门店", "title 名称",
    "quantity 数量", "time 时间", "credits part fen 积分部分(分)", "cash part fen 现金部分(分)", "amount fen 金额(分)",
    "transfer 记账号", "corrects 更正对象",
)  # fmt: skip

_ROWS = """
    select l.line_no, l.kind, l.redemption_id::text, l.code_id::text, l.order_id::text, coalesce(h.name, '') as shop,
           l.title, l.quantity, to_char(l.happened_at at time zone 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS') as at,
           l.owed_fen, l.cash_fen, l.amount_fen, coalesce(l.transfer_id::text, ''),
           coalesce(l.corrects_statement_id || '/' || l.corrects_line_no, '')
    from statement_lines l left join shops h on h.id = l.shop_id
    where l.statement_id = %(statement)s order by l.line_no
"""


def write(statement: Statement, out: IO[bytes], *, form: str) -> int:
    """Write a statement as ``csv`` or ``xlsx``; answers how many lines. Inside a transaction; memory stays flat."""
    rows = _rows(statement.id)
    if form == "xlsx":
        return write_xlsx(out, HEADER, rows)
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=False)
    count = write_csv(text, HEADER, rows)
    text.flush()
    text.detach()
    return count


def exported(statement: Statement, *, actor: str, form: str, reason: str, at: datetime) -> None:
    """Keep who took a statement's lines out, and what for."""
    audit.write(
        actor=actor,
        action="settlement.export",
        object_type="statement",
        object_id=statement.id,
        at=at,
        program_id=statement.program_id,
        after={"form": form, "lines": statement.lines},
        reason=reason,
    )


def _rows(statement_id: int) -> Iterator[Sequence[Any]]:
    driver = cast("psycopg.Connection[Any]", connection().connection.driver_connection)
    with driver.cursor(name="statement_export") as cursor:
        cursor.itersize = AT_ONCE
        cursor.execute(_ROWS, {"statement": statement_id})
        yield from cursor
