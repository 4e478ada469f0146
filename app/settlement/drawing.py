"""Draw a merchant's statement: every redemption up to the end of the period that no statement has yet, and what was
taken back of earlier ones. Drawn once per merchant and period, three days after the end at the earliest (T+3).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import psycopg
from sqlalchemy import delete, select, update
from sqlalchemy.orm import load_only

from app import audit, clock
from app.clock import Period
from app.db import connection, run, session
from app.errors import INVALID_FIELD, NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.merchants import Merchant
from app.programs import Program
from app.settlement.models import Dispute, Statement, StatementLine

SETTLE_AFTER = timedelta(days=3)
FINAL = "final"
HELD_HASH = b"\0" * 32

STATEMENT_TOO_EARLY = declare(
    "statement_too_early",
    Kind.CONFLICT,
    zh="该期间结束满 3 天后才能出账（T+3）。最早时间见 details。",
    en="A statement is drawn three days after the end of its period at the earliest; `details` says when.",
)
STATEMENT_OUT_OF_ORDER = declare(
    "statement_out_of_order",
    Kind.CONFLICT,
    zh="该商户更早的期间还没有对账单，请按顺序处理。期间见 details。",
    en="An earlier period of this merchant comes first; `details` names it.",
)
MERCHANT_NOT_DONE = declare(
    "merchant_not_done",
    Kind.CONFLICT,
    zh="该商户还有未用完的券码、被暂扣的核销或未满 3 天的核销，暂不能出最终对账单。数量见 details。",
    en="Codes of this merchant still live, or redemptions are held or younger than three days; `details` counts them.",
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A statement, and whether this call drew it."""

    statement: Statement
    fresh: bool


def period_of(program: Program, key: str) -> Period:
    """The settlement period that a key names under the program's rule. Raises INVALID_FIELD."""
    try:
        return clock.period_by_key(program.settlement_period, key)
    except ValueError as error:
        expected = f"{program.settlement_period}: {error}"
        raise INVALID_FIELD(fields=[{"field": "period", "expected": f"{expected}|{expected}"}]) from None


def draw(*, program: Program, merchant_id: int, period: Period, actor: str, at: datetime) -> Drawn | None:
    """The statement of a merchant for a period; None when there is nothing to say and nothing was carried.

    Two who draw at once get the same one. Raises STATEMENT_TOO_EARLY, STATEMENT_OUT_OF_ORDER, NOT_FOUND.
    Locks: the merchant's row.
    """
    if period.ends is None:
        raise AssertionError("a settlement period ends")
    if at < period.ends + SETTLE_AFTER:
        raise STATEMENT_TOO_EARLY(earliest=(period.ends + SETTLE_AFTER).isoformat())
    merchant = lock_merchant(program.id, merchant_id)
    standing = _standing(merchant.id, period.key)
    if standing is not None:
        return Drawn(standing, False)
    _in_order(program, merchant, period)
    return _draw(merchant, "period", period.key, period.starts, period.ends, actor, at)


def _window_is_over(program_id: int, at: datetime) -> bool:
    """Whether a program that is wound up lets nobody redeem new promises: its window has ended."""
    ended = "select 1 from windups where program_id = %(p)s and ends_at <= %(at)s"
    return bool(run(ended, {"p": program_id, "at": at}))


def draw_final(*, program: Program, merchant_id: int, actor: str, at: datetime) -> Drawn | None:
    """The last statement of a merchant who leaves, when all that was promised is settled or over.

    Raises MERCHANT_NOT_DONE, STATE_CONFLICT for one who doesn't leave, NOT_FOUND. Locks: the merchant's row.
    """
    merchant = lock_merchant(program.id, merchant_id)
    standing = _standing(merchant.id, FINAL)
    if standing is not None:
        return Drawn(standing, False)
    if merchant.state not in ("leaving", "left") and not _window_is_over(program.id, at):
        raise STATE_CONFLICT(state=merchant.state)
    open_ends = {name: str(count) for name, count in unfinished(merchant.id, at=at).items() if count}
    if open_ends:
        raise MERCHANT_NOT_DONE(**open_ends)
    return _draw(merchant, "final", FINAL, None, at, actor, at)


_UNFINISHED = """
    select (select count(*) from codes c where c.merchant_id = %(m)s and c.state = 'issued') as live_codes,
           (select count(*) from redemptions r where r.merchant_id = %(m)s and r.undone_at is null
              and r.held_at is not null and r.released_at is null) as held,
           (select count(*) from redemptions r where r.merchant_id = %(m)s and r.undone_at is null
              and coalesce(r.released_at, r.redeemed_at) > %(since)s) as young
"""


def unfinished(merchant_id: int, *, at: datetime) -> dict[str, int]:
    """What stands between a merchant and a final statement: live codes, held and young redemptions."""
    return dict(run(_UNFINISHED, {"m": merchant_id, "since": at - SETTLE_AFTER})[0]._asdict())


def void(*, statement_id: int, reason: str, actor: str, at: datetime) -> Statement:
    """Withdraw a statement before its approval, so that its period can be drawn anew. Only a merchant's newest.

    Raises NOT_FOUND, STATE_CONFLICT, STATEMENT_OUT_OF_ORDER. Its lines go, its figures and hash stay in the audit.
    """
    found = locked(statement_id)
    if found.state not in ("draft", "issued"):
        raise STATE_CONFLICT(state=found.state)
    newer = select(Statement.period).where(
        Statement.merchant_id == found.merchant_id, Statement.id > found.id, Statement.state != "void"
    )
    later = session().scalars(newer.limit(1)).first()
    if later is not None:
        raise STATEMENT_OUT_OF_ORDER(period=later)
    before = {"period": found.period, "total_fen": found.total_fen, "hash": bytes(found.content_hash).hex()}
    session().execute(delete(StatementLine).where(StatementLine.statement_id == found.id))
    closed = update(Dispute).where(Dispute.statement_id == found.id, Dispute.state == "open")
    session().execute(closed.values(state="withdrawn", answer=reason, answered_by=actor, answered_at=at))
    found.state, found.void_reason = "void", reason
    audit.write(
        actor=actor,
        action="settlement.void",
        object_type="statement",
        object_id=found.id,
        at=at,
        program_id=found.program_id,
        before=before,
        reason=reason,
    )
    return found


def locked(statement_id: int) -> Statement:
    """A statement under its merchant's lock and its own. Raises NOT_FOUND."""
    merchant_id = session().scalar(select(Statement.merchant_id).where(Statement.id == statement_id))
    if merchant_id is None:
        raise NOT_FOUND(statement=str(statement_id))
    _lock(merchant_id)
    return session().get_one(Statement, statement_id, with_for_update={"key_share": True}, populate_existing=True)


def lock_merchant(program_id: int, merchant_id: int) -> Merchant:
    """A merchant of a program, its row locked against other settlement (scans go on). Raises NOT_FOUND."""
    found = _lock(merchant_id)
    if found is None or found.program_id != program_id:
        raise NOT_FOUND(merchant=str(merchant_id))
    return found


def _lock(merchant_id: int) -> Merchant | None:
    columns = (Merchant.id, Merchant.program_id, Merchant.code, Merchant.name, Merchant.state)
    query = select(Merchant).where(Merchant.id == merchant_id).options(load_only(*columns, Merchant.payable_account_id))
    return session().scalars(query.with_for_update(key_share=True).execution_options(populate_existing=True)).first()


def _standing(merchant_id: int, period: str) -> Statement | None:
    query = select(Statement).where(
        Statement.merchant_id == merchant_id, Statement.period == period, Statement.state != "void"
    )
    return session().scalars(query).first()


_EARLIEST = """
    select min(greatest(r.redeemed_at, r.released_at)) as at from redemptions r
    where r.merchant_id = %(m)s and r.undone_at is null and (r.held_at is null or r.released_at is not null)
      and greatest(r.redeemed_at, r.released_at) < %(before)s
      and not exists (select from statement_lines l where l.redemption_id = r.id and l.kind = 'redeem')
"""


def _in_order(program: Program, merchant: Merchant, period: Period) -> None:
    """Each redemption belongs to one period: an earlier one is drawn first. Stragglers of a drawn one ride along."""
    earliest = run(_EARLIEST, {"m": merchant.id, "before": period.starts})[0].at
    if earliest is not None:
        missed = clock.period(program.settlement_period, clock.business_day(earliest))
        if _standing(merchant.id, missed.key) is None:
            raise STATEMENT_OUT_OF_ORDER(period=missed.key)


def _draw(
    merchant: Merchant, kind: str, key: str, starts_at: datetime | None, ends_at: datetime, actor: str, at: datetime
) -> Drawn | None:
    before = _before(merchant.id)
    carried = min(before.total_fen, 0) if before is not None else 0
    made = Statement(
        program_id=merchant.program_id,
        merchant_id=merchant.id,
        period=key,
        kind=kind,
        starts_at=starts_at,
        ends_at=ends_at,
        drawn_at=at,
        carried_from_id=before.id if before is not None and carried else None,
        carried_in_fen=carried,
        total_fen=carried,
        content_hash=HELD_HASH,
        state="draft",
    )
    with session().begin_nested() as point:
        session().add(made)
        session().flush()
        run(_FILL, {"statement": made.id, "m": merchant.id, "ends": ends_at, "drawn": at})
        sums = run(_SUMS, {"statement": made.id})[0]
        if sums.lines == 0 and carried == 0 and kind == "period":
            point.rollback()
            return None
        made.lines, made.redeemed_fen, made.corrected_fen = sums.lines, sums.redeemed, sums.corrected
        made.total_fen = carried + sums.redeemed + sums.corrected
        session().flush()
        made.content_hash = content_hash(made)
        session().flush()
    audit.write(
        actor=actor,
        action="settlement.draw",
        object_type="statement",
        object_id=made.id,
        at=at,
        program_id=made.program_id,
        after={"period": key, "total_fen": made.total_fen, "hash": made.content_hash.hex()},
    )
    return Drawn(made, True)


def _before(merchant_id: int) -> Statement | None:
    query = select(Statement).where(Statement.merchant_id == merchant_id, Statement.state != "void")
    return session().scalars(query.order_by(Statement.id.desc()).limit(1)).first()


_FILL = """
    insert into statement_lines (statement_id, line_no, kind, redemption_id, code_id, order_id, shop_id, title,
                                 quantity, owed_fen, cash_fen, amount_fen, happened_at, transfer_id,
                                 corrects_statement_id, corrects_line_no)
    select %(statement)s, row_number() over (order by x.happened_at, x.redemption_id, x.kind desc), x.kind,
           x.redemption_id, x.code_id, x.order_id, x.shop_id, x.title, x.quantity, x.owed_fen, x.cash_fen,
           x.owed_fen + x.cash_fen, x.happened_at, x.transfer_id, x.of_statement, x.of_line
    from (
      select 'redeem' as kind, r.id as redemption_id, r.code_id, c.order_id, r.shop_id, c.title, r.quantity, r.owed_fen,
             r.cash_fen, r.redeemed_at as happened_at, r.transfer_id, null::bigint as of_statement,
             null::bigint as of_line
      from redemptions r join codes c on c.id = r.code_id
      where r.merchant_id = %(m)s and r.undone_at is null and (r.held_at is null or r.released_at is not null)
        and greatest(r.redeemed_at, r.released_at) < %(ends)s
        and not exists (select from statement_lines l where l.redemption_id = r.id and l.kind = 'redeem')
      union all
      select 'undo', r.id, l.code_id, l.order_id, l.shop_id, l.title, l.quantity, -l.owed_fen, -l.cash_fen, r.undone_at,
             r.undo_transfer_id, l.statement_id, l.line_no
      from redemptions r join statement_lines l on l.redemption_id = r.id and l.kind = 'redeem'
      where r.merchant_id = %(m)s and r.undone_at <= %(drawn)s
        and not exists (select from statement_lines b where b.redemption_id = r.id and b.kind <> 'redeem')
      union all
      select 'correct', c.redemption_id, l.code_id, l.order_id, l.shop_id, l.title, l.quantity, -l.owed_fen,
             -l.cash_fen, c.corrected_at, c.transfer_id, l.statement_id, l.line_no
      from statement_corrections c join statement_lines l on l.redemption_id = c.redemption_id and l.kind = 'redeem'
      where c.merchant_id = %(m)s and c.corrected_at <= %(drawn)s
        and not exists (select from statement_lines b where b.redemption_id = c.redemption_id and b.kind <> 'redeem')
    ) x
"""
_SUMS = """
    select count(*) as lines, coalesce(sum(amount_fen) filter (where kind = 'redeem'), 0)::bigint as redeemed,
           coalesce(sum(amount_fen) filter (where kind <> 'redeem'), 0)::bigint as corrected
    from statement_lines where statement_id = %(statement)s
"""

# Line by line as PostgreSQL writes CSV, times in UTC: the same bytes whenever they are asked for.
_CONTENT = """
    copy (select line_no, kind, redemption_id, code_id, order_id, shop_id, title, quantity, owed_fen, cash_fen,
                 amount_fen, to_char(happened_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), transfer_id,
                 corrects_statement_id, corrects_line_no
          from statement_lines where statement_id = {statement} order by line_no) to stdout (format csv)
"""


def content_hash(statement: Statement) -> bytes:
    """SHA-256 over a statement's figures and every line. Taken at drawing, compared at approval and payout."""
    digest = hashlib.sha256(_head(statement))
    for part in _content(statement.id):
        digest.update(part)
    return digest.digest()


def _head(statement: Statement) -> bytes:
    started = statement.starts_at.isoformat() if statement.starts_at else ""
    figures = (statement.lines, statement.redeemed_fen, statement.corrected_fen, statement.carried_in_fen)
    named = (statement.program_id, statement.merchant_id, statement.period, started, statement.ends_at.isoformat())
    return ("diandi.statement/1|" + "|".join(map(str, (*named, *figures, statement.total_fen))) + "\n").encode()


def _content(statement_id: int) -> Iterator[bytes]:
    driver = cast("psycopg.Connection[Any]", connection().connection.driver_connection)
    with driver.cursor() as cursor, cursor.copy(_CONTENT.format(statement=int(statement_id))) as out:
        for part in out:
            yield bytes(part)
