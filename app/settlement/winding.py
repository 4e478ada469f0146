"""A program that ends: awards stop, people redeem in a window covered by the money held, then everybody is settled.

Steps, each once whatever happens in between: ``window`` → (its end) credits go back to their budgets → ``expired`` →
(no promise open) final statements → ``settled`` → (statements paid, sponsors repaid with evidence) → ``closed``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from app import audit, clock, funding, ledger, notices, programs
from app.db import run, session
from app.errors import IDEMPOTENCY_CONFLICT, NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.funding.actions import budget_by_code, slice_accounts
from app.funding.models import Budget
from app.funding.queries import cover
from app.ledger import Draft
from app.programs import Program
from app.settlement.drawing import draw_final, unfinished
from app.settlement.models import SponsorReturn, Windup
from app.units import CREDITS, FEN

WIND_UP = "programs.wind_up"
RETURN = "settlement.return"
AT_ONCE = 500

COVER_TOO_LOW = declare(
    "cover_too_low",
    Kind.CONFLICT,
    zh="账上资金不足以兑付全部未用积分，不能开始清盘。请出资方补足，缺额见 details。",
    en="The money held doesn't cover all credits that people have. Sponsors must pay in first; `details` has the gap.",
)


def may_begin(program: Program, *, at: datetime) -> None:
    """Refuse a wind-up that could not be honoured. Raises COVER_TOO_LOW, STATE_CONFLICT."""
    if program.state != "active" or program.no_awards_from is not None:
        raise STATE_CONFLICT(state="retired" if program.state != "active" else "winding up")
    held = cover(program.id, at=at)
    if not held.covered:
        raise COVER_TOO_LOW(money_fen=str(held.money_fen), cost_fen=str(held.cost_fen))


def begin(*, program_id: int, window_days: int, reason: str, approval_id: int, actor: str, at: datetime) -> Windup:
    """Stop awards and joining now, and open the window: it ends with a Shanghai day. Raises as :func:`may_begin`."""
    program = session().get_one(Program, program_id, with_for_update={"key_share": True}, populate_existing=True)
    may_begin(program, at=at)
    ends_at = clock.day_start(clock.business_day(at) + timedelta(days=window_days + 1))
    program.no_awards_from, program.redeem_until = at, ends_at
    made = Windup(
        program_id=program_id,
        state="window",
        reason=reason,
        window_days=window_days,
        approval_id=approval_id,
        began_at=at,
        ends_at=ends_at,
    )
    session().add(made)
    session().flush()
    _audit(program_id, WIND_UP, actor, at, {"window_days": window_days, "ends_at": ends_at.isoformat()}, reason)
    return made


def advance(*, program_id: int, at: datetime) -> bool:
    """Do what is due next, one batch; answers whether anything was done: call it again while it says so.

    A job does, and a command. Raises NOT_FOUND for a program that is not wound up.
    """
    found = session().get(Windup, program_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NOT_FOUND(windup=str(program_id))
    if found.told_at is None:
        done = _tell(found, at)
    elif found.state == "window":
        done = at >= found.ends_at and _expire(found, at)
    elif found.state == "expired":
        done = _settle(found, at)
    else:
        done = found.state == "settled" and _close(found, at)
    session().flush()
    return done


_UNTOLD = """
    select m.person_id from memberships m
    where m.program_id = %(p)s and m.state in ('active', 'left')
      and not exists (select from notices n where n.notice_key = 'windup:' || %(p)s || ':' || m.person_id)
    order by m.person_id limit %(n)s
"""


def _tell(found: Windup, at: datetime) -> bool:
    """Tell the next batch of people."""
    day = (found.ends_at - timedelta(seconds=1)).astimezone(clock.SHANGHAI).date().isoformat()
    rows = run(_UNTOLD, {"p": found.program_id, "n": AT_ONCE})
    for row in rows:
        notices.tell(
            key=f"windup:{found.program_id}:{row.person_id}",
            person_id=row.person_id,
            program_id=found.program_id,
            kind="program.ending",
            zh=f"该项目即将结束：即日起不再发放积分，已有积分请在 {day} 前（含当日）兑换或捐赠，逾期失效。",
            en=f"This program ends. It awards nothing more; spend or give what you have until {day} (inclusive).",
            details={"reason": found.reason},
            at=at,
        )
    if not rows:
        found.told_at = at
    return True


def _expire(found: Windup, at: datetime) -> bool:
    """Budgets close, so that nobody is paid from what comes back; then all credits return to them."""
    session().execute(update(Budget).where(Budget.program_id == found.program_id).values(state="closed"))
    if funding.expire_program(program_id=found.program_id, at=at):
        return True
    if _held(found.program_id):
        return False
    found.state, found.expired_at = "expired", at
    return True


def _held(program_id: int) -> bool:
    """Whether credits are still set aside for orders that are being paid."""
    query = "select 1 from accounts where program_id = %(p)s and kind = 'hold' and balance > 0 limit 1"
    return bool(run(query, {"p": program_id}))


def _settle(found: Windup, at: datetime) -> bool:
    """Final statements, once no code lives and every redemption is three days old; what came back expires too."""
    if funding.expire_program(program_id=found.program_id, at=at):
        return True
    wanted = [
        row.id for row in run("select id from merchants where program_id = %(p)s order by id", {"p": found.program_id})
    ]
    if any(sum(unfinished(merchant_id, at=at).values()) for merchant_id in wanted) or _held(found.program_id):
        return False
    program = session().get_one(Program, found.program_id)
    for merchant_id in wanted:
        draw_final(program=program, merchant_id=merchant_id, actor="system:windup", at=at)
    found.state, found.settled_at = "settled", at
    return True


_OPEN = """
    select (select count(*) from statements
            where program_id = %(p)s and state in ('draft', 'issued', 'approved')) as statements,
           (select count(*) from budgets b join accounts a on a.id = b.money_account_id
            where b.program_id = %(p)s and a.balance > 0) as budgets
"""


def _close(found: Windup, at: datetime) -> bool:
    """When merchants are paid and sponsors have their money back, the program is retired."""
    left = run(_OPEN, {"p": found.program_id})[0]
    if left.statements or left.budgets:
        return False
    program = session().get_one(Program, found.program_id)
    if program.state != "retired":
        programs.retire(program=program, actor="system:windup", reason=found.reason, at=at)
    found.state, found.closed_at = "closed", at
    return True


def give_back(
    *,
    program_id: int,
    budget_code: str,
    bank_reference: str,
    evidence_hash: bytes,
    approval_id: int,
    actor: str,
    at: datetime,
) -> SponsorReturn:
    """What is left of a budget goes back to its sponsor: money to the bank, capacity unminted. Twice is once.

    Raises STATE_CONFLICT before the program is settled, IDEMPOTENCY_CONFLICT for another reference, NOT_FOUND.
    """
    found = session().get(Windup, program_id, with_for_update=True)
    if found is None or found.state != "settled":
        raise STATE_CONFLICT(state=found.state if found else "active")
    budget = budget_by_code(program_id, budget_code)
    known = session().get(SponsorReturn, budget.id)
    if known is not None:
        if known.bank_reference != bank_reference:
            raise IDEMPOTENCY_CONFLICT(reference=known.bank_reference)
        return known
    slices = slice_accounts(budget.id)
    query = "select id, balance from accounts where id = any (%(ids)s::bigint[]) order by id for update"
    capacity = {row.id: int(row.balance) for row in run(query, {"ids": slices})}
    fen = int(run(query, {"ids": [budget.money_account_id]})[0].balance)
    if fen == 0:
        raise STATE_CONFLICT(state="nothing is left")
    credits = sum(capacity.values())
    bank = ledger.account(program_id=program_id, asset=FEN, kind="bank")
    mint = ledger.account(program_id=program_id, asset=CREDITS, kind="mint")
    legs = [(budget.money_account_id, -fen), (bank, fen), *((one, -left) for one, left in capacity.items() if left)]
    legs += [(mint, credits)] if credits else []
    memo = {"reference": bank_reference, "evidence": evidence_hash.hex()}
    done = ledger.post([Draft(program_id, "sponsor.return", f"budget:{budget.id}", legs, memo)], at=at)[0]
    made = SponsorReturn(
        budget_id=budget.id,
        fen=fen,
        credits=credits,
        transfer_id=done.transfer_id,
        approval_id=approval_id,
        bank_reference=bank_reference,
        evidence_hash=evidence_hash,
        returned_at=at,
    )
    session().add(made)
    try:
        session().flush()
    except IntegrityError as error:
        raise IDEMPOTENCY_CONFLICT(reference=bank_reference) from error
    _audit(program_id, RETURN, actor, at, {"budget": budget_code, "fen": fen, **memo}, None)
    return made


def due() -> list[int]:
    """Programs on their way out."""
    return [row.program_id for row in run("select program_id from windups where state <> 'closed' order by program_id")]


def state_of(program_id: int) -> dict[str, Any] | None:
    """How far a wind-up is, for the public page; None for a program that lives."""
    rows = run(
        "select state, reason, began_at, ends_at, closed_at from windups where program_id = %(p)s", {"p": program_id}
    )
    return rows[0]._asdict() if rows else None


# The export: everything that proves the end, one file each. No person is named.
FILES: dict[str, str] = {
    "sponsors": """
        select s.code as sponsor, b.code as budget, b.price_fen, m.balance as left_fen,
               (select coalesce(sum(d.fen), 0) from deposits d where d.budget_id = b.id) as deposits_fen,
               r.fen as returned_fen, r.bank_reference
        from budgets b join sponsors s on s.id = b.sponsor_id join accounts m on m.id = b.money_account_id
        left join sponsor_returns r on r.budget_id = b.id where b.program_id = %(p)s order by s.code, b.code""",
    "statements": """
        select s.id, m.code as merchant, s.period, s.lines, s.redeemed_fen, s.corrected_fen, s.carried_in_fen,
               s.total_fen, s.state, encode(s.content_hash, 'hex') as hash
        from statements s join merchants m on m.id = s.merchant_id
        where s.program_id = %(p)s and s.state <> 'void' order by s.id""",
    "payouts": """
        select p.id, b.batch_no, p.statement_id, p.fen, p.state, p.bank_reference, p.paid_on,
               encode(p.evidence_hash, 'hex') as evidence from payouts p join payout_batches b on b.id = p.batch_id
        where b.program_id = %(p)s order by p.id""",
    "credits": """
        select t.reason, a.kind as account, count(*) as entries, sum(e.amount) as credits
        from entries e join accounts a on a.id = e.account_id join transfers t on t.id = e.transfer_id
        where a.program_id = %(p)s and a.asset = 'credits' group by 1, 2 order by 1, 2""",
    "money": """
        select t.reason, a.kind as account, count(*) as entries, sum(e.amount) as fen
        from entries e join accounts a on a.id = e.account_id join transfers t on t.id = e.transfer_id
        where a.program_id = %(p)s and a.asset = 'fen' group by 1, 2 order by 1, 2""",
    "reductions": """
        select s.code as scenario, r.tier, count(*) as acts, sum(d.counted_mg) as mg from records r
        join scenarios s on s.id = r.scenario_id join reductions d on d.record_id = r.id
        where r.program_id = %(p)s and r.state = 'counted' group by 1, 2 order by 1, 2""",
    "gifts": """
        select g.certificate_no, w.code as project, g.credits, g.fen, g.given_at from gifts g
        join welfare_projects w on w.id = g.project_id where g.program_id = %(p)s order by g.id""",
}


def export(program_id: int) -> dict[str, list[dict[str, Any]]]:
    """The files of a program's end, by name."""
    return {name: [row._asdict() for row in run(query, {"p": program_id})] for name, query in FILES.items()}


def _audit(program_id: int, action: str, actor: str, at: datetime, after: Any, reason: str | None) -> None:
    audit.write(
        actor=actor,
        action=action,
        object_type="program",
        object_id=program_id,
        at=at,
        program_id=program_id,
        after=after,
        reason=reason,
    )
