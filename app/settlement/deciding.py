"""From a draft to money that is due: shown to the merchant, disputed for a week, approved by two; corrections after."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from app import audit, ledger, notices
from app.db import run, session
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.funding.actions import return_account
from app.ledger import Draft
from app.settlement.drawing import content_hash, lock_merchant, locked
from app.settlement.models import Correction, Dispute, Statement, StatementLine
from app.units import CREDITS, FEN

DISPUTE_FOR = timedelta(days=7)
APPROVE = "settlement.approve"
CORRECT = "settlement.correct"
# What a merchant was paid too much is owed by it, and taken from what accrues later: never below zero in between.
DUE = "merchant_due"

DISPUTE_OVER = declare(
    "dispute_over",
    Kind.CONFLICT,
    zh="对账单不在 7 天异议期内。如有疑问请联系运营，可在下一期更正。",
    en="The seven days to dispute this statement are over. Ask an operator; the next one can correct it.",
)
STATEMENT_DISPUTED = declare(
    "statement_disputed",
    Kind.CONFLICT,
    zh="对账单有未答复的异议，请先答复。",
    en="Disputes of this statement wait for an answer. Answer them first.",
)
STATEMENT_NOT_RIPE = declare(
    "statement_not_ripe",
    Kind.CONFLICT,
    zh="商户的 7 天异议期未结束，且商户尚未确认。",
    en="The merchant's seven days are not over, and the merchant has not accepted it.",
)
STATEMENT_STALE = declare(
    "statement_stale",
    Kind.CONFLICT,
    zh="出账后有核销被撤销，请作废后重新出账（flask settlement void / draw）。",
    en="Redemptions on it were taken back since. Void it and draw it again (flask settlement void, then draw).",
)
STATEMENT_CHANGED = declare(
    "statement_changed",
    Kind.CONFLICT,
    zh="对账单内容与出账时的哈希不一致，已停止处理，请联系技术人员。",
    en="The statement's content is not what its hash says. Nothing was done; this needs an engineer.",
)


def issue(*, statement_id: int, actor: str, at: datetime) -> Statement:
    """Show a draft to the merchant, who has seven days. Issued already changes nothing. Owners are told."""
    found = locked(statement_id)
    if found.state == "issued":
        return found
    _must(found, "draft")
    found.state, found.issued_at, found.dispute_until = "issued", at, at + DISPUTE_FOR
    _audit(found, "settlement.issue", actor, at)
    yuan = f"{found.total_fen / 100:.2f}"
    for person_id in owners(found.merchant_id, at):
        notices.tell(
            key=f"statement:{found.id}:{person_id}",
            person_id=person_id,
            program_id=found.program_id,
            kind="statement.issued",
            zh=f"{found.period} 对账单已出：{found.lines} 笔，合计 {yuan} 元。7 天内可逐笔提出异议。",
            en=f"Statement {found.period}: {found.lines} lines, {yuan} yuan. You have 7 days to dispute a line.",
            at=at,
        )
    return found


def dispute(*, statement_id: int, line_no: int | None, person_id: int, words: str, at: datetime) -> Dispute:
    """An owner disagrees with a line or the whole. The same line again, while open, is the first.

    Raises NOT_FOUND, DISPUTE_OVER. Locks: merchant, statement; so it and an approval never both win.
    """
    found = locked(statement_id)
    if found.state != "issued" or found.dispute_until is None or at >= found.dispute_until:
        raise DISPUTE_OVER(state=found.state)
    if line_no is not None and session().get(StatementLine, (statement_id, line_no)) is None:
        raise NOT_FOUND(line=str(line_no))
    same = select(Dispute).where(
        Dispute.statement_id == statement_id,
        func.coalesce(Dispute.line_no, 0) == (line_no or 0),
        Dispute.state == "open",
    )
    known = session().scalars(same).first()
    if known is not None:
        return known
    made = Dispute(
        statement_id=statement_id, line_no=line_no, person_id=person_id, words=words, asked_at=at, state="open"
    )
    found.accepted_by = found.accepted_at = None
    session().add(made)
    session().flush()
    return made


def answer(*, dispute_id: int, accepted: bool, words: str, actor: str, at: datetime) -> Dispute:
    """A person of ours answers a dispute. Accepted ones are mended by voiding the statement, or by a correction later.

    Raises NOT_FOUND, STATE_CONFLICT.
    """
    found = session().get(Dispute, dispute_id, with_for_update=True)
    if found is None:
        raise NOT_FOUND(dispute=str(dispute_id))
    if found.state != "open":
        raise STATE_CONFLICT(state=found.state)
    found.state = "accepted" if accepted else "rejected"
    found.answer, found.answered_by, found.answered_at = words, actor, at
    statement = session().get_one(Statement, found.statement_id)
    _audit(statement, "settlement.answer", actor, at, words)
    notices.tell(
        key=f"dispute:{found.id}",
        person_id=found.person_id,
        program_id=statement.program_id,
        kind="statement.answered",
        zh=f"对账单 {statement.period} 的异议已{'采纳' if accepted else '答复'}：{words}",
        en=f"Your dispute of statement {statement.period} was {found.state}: {words}",
        at=at,
    )
    return found


def accept(*, statement_id: int, person_id: int, at: datetime) -> Statement:
    """An owner agrees before the seven days are over. Raises STATE_CONFLICT, STATEMENT_DISPUTED."""
    found = locked(statement_id)
    _must(found, "issued")
    _undisputed(found)
    if found.accepted_at is None:
        found.accepted_by, found.accepted_at = person_id, at
        session().flush()
    return found


def ready(found: Statement, *, at: datetime) -> None:
    """Refuse what can't be approved now: raises STATE_CONFLICT and the refusals of this module."""
    _must(found, "issued")
    _undisputed(found)
    if found.accepted_at is None and (found.dispute_until is None or at < found.dispute_until):
        raise STATEMENT_NOT_RIPE(until=found.dispute_until.isoformat() if found.dispute_until else "")
    earlier = select(Statement.period).where(
        Statement.merchant_id == found.merchant_id, Statement.id < found.id, Statement.state.in_(("draft", "issued"))
    )
    waiting = session().scalars(earlier.order_by(Statement.id).limit(1)).first()
    if waiting is not None:
        raise STATE_CONFLICT(state=found.state, first=waiting)
    stale = run(_STALE, {"statement": found.id})[0].lines
    if stale:
        raise STATEMENT_STALE(lines=str(stale))
    unchanged(found)


def unchanged(found: Statement) -> None:
    """Compare a statement with its hash. Raises STATEMENT_CHANGED."""
    if content_hash(found) != bytes(found.content_hash):
        raise STATEMENT_CHANGED(statement=str(found.id))


_STALE = """
    select count(*) as lines from statement_lines l join redemptions r on r.id = l.redemption_id
    where l.statement_id = %(statement)s and l.kind = 'redeem' and r.undone_at is not null
      and not exists (select from statement_lines b where b.redemption_id = r.id and b.kind <> 'redeem')
"""


def approve(*, statement_id: int, content: str, approval_id: int, checker: str, at: datetime) -> Statement:
    """The second person says yes: what is owed becomes due for payout; nothing or less is carried on.

    ``content`` is the hash that was asked for. Locks: merchant, statement, ledger accounts.
    """
    found = locked(statement_id)
    if bytes(found.content_hash).hex() != content:
        raise STATEMENT_CHANGED(statement=str(found.id))
    ready(found, at=at)
    merchant = lock_merchant(found.program_id, found.merchant_id)
    _repay(merchant, found, at)
    found.approval_id, found.approved_at = approval_id, at
    if found.total_fen > 0:
        waits = ledger.account(program_id=found.program_id, asset=FEN, kind="payout", owner_key=merchant.code)
        legs = [(merchant.payable_account_id, -found.total_fen), (waits, found.total_fen)]
        draft = Draft(found.program_id, APPROVE, f"statement:{found.id}", legs)
        found.transfer_id = ledger.post([draft], at=at)[0].transfer_id
        found.state = "approved"
    else:
        found.state = "carried"
    session().flush()
    _audit(found, APPROVE, checker, at)
    return found


def correct(*, redemption_id: int, reason: str, approval_id: int, at: datetime) -> Correction:
    """Take back a redemption that a statement has: its money returns to where it came from, the next one has the line.

    What the merchant was paid already is owed by it until later redemptions make up for it. Twice is once.
    Raises NOT_FOUND for one that no statement has, STATE_CONFLICT for one that was undone.
    """
    line = (
        session()
        .scalars(
            select(StatementLine).where(StatementLine.redemption_id == redemption_id, StatementLine.kind == "redeem")
        )
        .first()
    )
    if line is None:
        raise NOT_FOUND(redemption=str(redemption_id))
    statement = locked(line.statement_id)
    known = session().get(Correction, redemption_id)
    if known is not None:
        return known
    taken = run("select undone_at, transfer_id from redemptions where id = %(id)s", {"id": redemption_id})[0]
    if taken.undone_at is not None or taken.transfer_id is None:
        raise STATE_CONFLICT(state="undone" if taken.undone_at else "nothing was owed")
    merchant = lock_merchant(statement.program_id, statement.merchant_id)
    back = _back(taken.transfer_id, merchant, line)
    _advance(merchant, line.amount_fen, f"redemption:{redemption_id}", at)
    draft = Draft(
        statement.program_id, CORRECT, f"redemption:{redemption_id}", back, memo={"corrects": taken.transfer_id}
    )
    done = ledger.post([draft], at=at)[0]
    made = Correction(
        redemption_id=redemption_id,
        merchant_id=merchant.id,
        fen=line.amount_fen,
        reason=reason,
        approval_id=approval_id,
        transfer_id=done.transfer_id,
        corrected_at=at,
    )
    session().add(made)
    session().flush()
    return made


_LEGS = """
    select e.account_id, e.amount, a.kind, b.id as budget_id, b.price_fen
    from entries e join accounts a on a.id = e.account_id left join budgets b on b.money_account_id = a.id
    where e.transfer_id = %(transfer)s and a.asset = 'fen' order by e.leg
"""


def _back(transfer_id: int, merchant: Any, line: StatementLine) -> list[tuple[int, int]]:
    """The money of a redemption, negated; and the credits that a budget can issue again for what it gets back."""
    legs, spent = [], ledger.account(program_id=merchant.program_id, asset=CREDITS, kind="spent")
    for row in run(_LEGS, {"transfer": transfer_id}):
        legs.append((row.account_id, -row.amount))
        again = -row.amount * 1000 // row.price_fen if row.budget_id is not None else 0
        if again > 0:
            legs += [(spent, -again), (return_account(row.budget_id, line.code_id), again)]
    return legs


def _advance(merchant: Any, fen: int, source: str, at: datetime) -> None:
    """Make up what a merchant's account lacks for a correction; it owes that from now on."""
    short = fen - _balance(merchant.payable_account_id)
    if short > 0:
        due = ledger.account(program_id=merchant.program_id, asset=FEN, kind=DUE, owner_key=merchant.code)
        legs = [(due, -short), (merchant.payable_account_id, short)]
        ledger.post([Draft(merchant.program_id, "settlement.advance", source, legs)], at=at)


def _repay(merchant: Any, statement: Statement, at: datetime) -> None:
    """What the merchant owes is taken from what accrued meanwhile, before anything becomes due."""
    due = ledger.account(program_id=merchant.program_id, asset=FEN, kind=DUE, owner_key=merchant.code)
    owed = -int(run("select coalesce(sum(amount), 0) as fen from entries where account_id = %(a)s", {"a": due})[0].fen)
    room = _balance(merchant.payable_account_id) - max(statement.total_fen, 0)
    part = min(owed, room)
    if part > 0:
        legs = [(merchant.payable_account_id, -part), (due, part)]
        ledger.post([Draft(merchant.program_id, "settlement.repay", f"statement:{statement.id}", legs)], at=at)


def _balance(account_id: int) -> int:
    return int(run("select balance from accounts where id = %(id)s for update", {"id": account_id})[0].balance)


def owners(merchant_id: int, at: datetime) -> list[int]:
    """The persons who own a merchant's shops now."""
    query = """
        select distinct f.person_id from staff f join shops h on h.id = f.shop_id
        where h.merchant_id = %(m)s and f.role = 'owner' and f.active_from <= %(at)s
          and (f.active_until is null or f.active_until > %(at)s) order by f.person_id
    """
    return [row.person_id for row in run(query, {"m": merchant_id, "at": at})]


def _undisputed(found: Statement) -> None:
    open_ones = select(func.count()).where(Dispute.statement_id == found.id, Dispute.state == "open")
    count = session().scalar(open_ones)
    if count:
        raise STATEMENT_DISPUTED(disputes=str(count))


def _must(found: Statement, state: str) -> None:
    if found.state != state:
        raise STATE_CONFLICT(state=found.state)


def _audit(found: Statement, action: str, actor: str, at: datetime, reason: str | None = None) -> None:
    audit.write(
        actor=actor,
        action=action,
        object_type="statement",
        object_id=found.id,
        at=at,
        program_id=found.program_id,
        after={"state": found.state, "total_fen": found.total_fen, "hash": bytes(found.content_hash).hex()},
        reason=reason,
    )
