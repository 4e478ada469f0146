"""Reads of settlement: statements and lines for a merchant's owner, the operators' lists, what a verifier compares."""

from __future__ import annotations

from typing import Any

from app.db import read, run, session
from app.errors import NOT_FOUND
from app.settlement.deciding import unchanged
from app.settlement.models import Statement

_SHOWN = """
    select s.id, s.period, s.kind, s.starts_at, s.ends_at, s.drawn_at, s.lines, s.redeemed_fen, s.corrected_fen,
           s.carried_in_fen, s.total_fen, s.content_hash, s.state, s.issued_at, s.dispute_until, s.accepted_at,
           s.approved_at, s.paid_at, s.invoice_no, s.invoice_date, m.code as merchant, m.name as merchant_name,
           p.bank_reference, p.paid_on, a.masked as account,
           (select count(*) from statement_disputes d where d.statement_id = s.id and d.state = 'open') as open_disputes
    from statements s join merchants m on m.id = s.merchant_id
    left join payouts p on p.statement_id = s.id and p.state <> 'failed'
    left join payout_accounts a on a.id = p.account_id
"""


def of_merchant(merchant_id: int, *, before: int | None, limit: int) -> list[Any]:
    """What a merchant may see: issued statements, newest first, below the cursor."""
    shown = " where s.merchant_id = %(m)s and s.state not in ('draft', 'void') and s.id < %(before)s"
    values = {"m": merchant_id, "before": before or 2**63 - 1, "limit": limit}
    return read(_SHOWN + shown + " order by s.id desc limit %(limit)s", values)


def one_of_merchant(merchant_id: int, statement_id: int) -> Any:
    """One of a merchant's issued statements. Raises NOT_FOUND, also for somebody else's and for drafts."""
    shown = " where s.merchant_id = %(m)s and s.state not in ('draft', 'void') and s.id = %(id)s"
    rows = read(_SHOWN + shown, {"m": merchant_id, "id": statement_id})
    if not rows:
        raise NOT_FOUND(statement=str(statement_id))
    return rows[0]


def of_program(program_id: int, *, state: str | None = None, merchant: str | None = None) -> list[Any]:
    """A program's statements, newest first, for operators."""
    shown = """ where s.program_id = %(p)s and (%(state)s::text is null or s.state = %(state)s)
                  and (%(m)s::text is null or m.code = %(m)s) order by s.id desc limit 500"""
    return run(_SHOWN + shown, {"p": program_id, "state": state, "m": merchant})


def get(statement_id: int) -> Statement:
    """A statement by id. Raises NOT_FOUND."""
    found = session().get(Statement, statement_id)
    if found is None:
        raise NOT_FOUND(statement=str(statement_id))
    return found


_LINES = """
    select l.*, coalesce(h.name, '') as shop,
           d.id as dispute_id, d.state as dispute_state, d.words as dispute_words, d.answer as dispute_answer
    from statement_lines l left join shops h on h.id = l.shop_id
    left join lateral (select * from statement_disputes d where d.statement_id = l.statement_id
                         and d.line_no = l.line_no order by d.id desc limit 1) d on true
    where l.statement_id = %(id)s and l.line_no > %(after)s order by l.line_no limit %(limit)s
"""


def lines(statement_id: int, *, after: int, limit: int) -> list[Any]:
    """A statement's lines by number, above the cursor, each with its newest dispute."""
    return read(_LINES, {"id": statement_id, "after": after, "limit": limit})


def disputes(program_id: int, *, state: str = "open") -> list[Any]:
    """Disputes of a program's statements, oldest first."""
    query = """
        select d.id, s.id as statement, s.period, m.code as merchant, d.line_no, d.words, d.state, d.answer, d.asked_at
        from statement_disputes d join statements s on s.id = d.statement_id join merchants m on m.id = s.merchant_id
        where s.program_id = %(p)s and d.state = %(state)s order by d.id
    """
    return run(query, {"p": program_id, "state": state})


_MERCHANTS = """
    select m.id, m.code from merchants m where m.program_id = %(p)s and (%(m)s::text is null or m.code = %(m)s)
      and (exists (select from redemptions r where r.merchant_id = m.id)
           or exists (select from statements s where s.merchant_id = m.id)) order by m.code
"""


def merchants_to_settle(program_id: int, merchant: str | None = None) -> list[Any]:
    """The merchants who may be owed something. Raises NOT_FOUND for a code that is none."""
    found = run(_MERCHANTS, {"p": program_id, "m": merchant})
    if merchant is not None and not found:
        raise NOT_FOUND(merchant=merchant)
    return found


_BY_LEDGER = """
    with statement as (select s.*, m.payable_account_id from statements s join merchants m on m.id = s.merchant_id
                       where s.id = %(id)s)
    select l.line_no, l.amount_fen, e.fen from statement s join statement_lines l on l.statement_id = s.id
    left join lateral (select sum(e.amount) as fen from entries e
                       where e.transfer_id = l.transfer_id and e.account_id = s.payable_account_id) e on true
    where coalesce(e.fen, 0) <> l.amount_fen
    order by l.line_no limit 20
"""


def verify(statement_id: int) -> list[str]:
    """What is wrong with a statement: its hash, its sums, lines that the ledger contradicts. Empty: it proves itself.

    Raises NOT_FOUND, STATEMENT_CHANGED.
    """
    found = get(statement_id)
    unchanged(found)
    rows = run(_BY_LEDGER, {"id": statement_id})
    wrong = [f"line {row.line_no} says {row.amount_fen} fen, the ledger {row.fen}" for row in rows]
    counted = "select count(*) as n, coalesce(sum(amount_fen), 0) as fen from statement_lines"
    sums = run(counted + " where statement_id = %(id)s", {"id": statement_id})[0]
    if (sums.n, sums.fen + found.carried_in_fen) != (found.lines, found.total_fen) and found.state != "void":
        wrong.append(f"{sums.n} lines sum to {sums.fen}, the statement says {found.lines} and {found.total_fen}")
    return wrong
