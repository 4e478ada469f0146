"""Refunds: a number of our own before the call, the same number until the end; accepted is not refunded."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from app import audit, later
from app.db import run, session
from app.errors import NOT_FOUND, Kind, declare
from app.payments import differences, money
from app.payments.facts import RefundFact
from app.payments.models import Payment, Refund
from app.payments.opening import words

MOST_REFUNDS = 50
REFUNDABLE_FOR = timedelta(days=365)
APART = timedelta(minutes=1)
# The refund query's pace (section 5.6): every minute for five minutes, then slower.
LOOKS = tuple(timedelta(minutes=after) for after in (1, 1, 1, 1, 1, 5, 10, 20, 30))
OVER = ("success", "closed", "transferred")
BACK = ("success", "transferred")

REFUND_TOO_MUCH = declare(
    "refund_too_much",
    Kind.CONFLICT,
    zh="退款总额不能超过实付金额，剩余可退金额见 details。",
    en="Refunds can't exceed what was paid; `details` says what is left.",
)
REFUND_TOO_MANY = declare(
    "refund_too_many", Kind.CONFLICT, zh="一笔付款最多退款 50 次。", en="A payment can be refunded 50 times at most."
)
REFUND_TOO_OLD = declare(
    "refund_too_old",
    Kind.CONFLICT,
    zh="付款已超过一年，微信支付不再受理退款，请改用其他方式退还。",
    en="The payment is older than a year, and WeChat Pay refunds it no more. Return the money another way.",
)
REFUND_UNDERWAY = declare(
    "refund_underway",
    Kind.CONFLICT,
    zh="该付款有一笔退款正在处理，或刚刚提交，请稍后再试。",
    en="A refund of this payment is under way or was asked a moment ago. Wait for it.",
)
REFUND_NOT_STUCK = declare(
    "refund_not_stuck",
    Kind.CONFLICT,
    zh="该退款仍由微信支付处理，不能记为银行转账。",
    en="WeChat Pay still works on this refund, so it can't be noted as a bank transfer.",
)
NOT_PAID = declare("not_paid", Kind.CONFLICT, zh="该订单尚未付款，无需退款。", en="It isn't paid, so there is nothing to refund.")  # fmt: skip  # noqa: E501


def ask(*, payment: Payment, fen: int, why: str, reason: str, asked_by: str, at: datetime) -> Refund:
    """Ask for a refund of a locked payment; the job calls WeChat. ``why``: late, order, part, expired or again.

    Raises NOT_PAID, REFUND_TOO_MUCH, REFUND_TOO_MANY, REFUND_TOO_OLD, REFUND_UNDERWAY.
    """
    _allowed(payment, fen, at)
    number = f"{payment.out_trade_no}R{payment.refund_count + 1}"
    transfer_id = money.set_aside(payment, number, fen, at=at)
    payment.refunded_fen += fen
    payment.refund_count += 1
    refund = Refund(
        payment_id=payment.id,
        program_id=payment.program_id,
        out_refund_no=number,
        fen=fen,
        why=why,
        reason=words(reason, 80),
        asked_by=asked_by,
        notify_url=payment.notify_url,
        state="asked",
        transfer_id=transfer_id,
        asked_at=at,
        next_look_at=at,
    )
    session().add(refund)
    session().flush()
    # One person's refunds go one after another, as WeChat wants it.
    later.defer(later.REFUND_LOOK, key=f"refund:{refund.id}", lock=f"refunds:{payment.person_id}", refund_id=refund.id)
    return refund


def _allowed(payment: Payment, fen: int, at: datetime) -> None:
    if payment.state not in ("paid", "late") or payment.success_at is None:
        raise NOT_PAID()
    if not 0 < fen <= payment.total_fen - payment.refunded_fen:
        raise REFUND_TOO_MUCH(left_fen=str(payment.total_fen - payment.refunded_fen))
    if payment.refund_count >= MOST_REFUNDS:
        raise REFUND_TOO_MANY()
    if at - payment.success_at >= REFUNDABLE_FOR:
        raise REFUND_TOO_OLD()
    others = select(Refund).where(Refund.payment_id == payment.id).order_by(Refund.id.desc()).limit(1)
    last = session().scalars(others).first()
    if last is not None and (last.state in ("asked", "processing") or at - last.asked_at < APART):
        raise REFUND_UNDERWAY(refund=last.out_refund_no)


def find(out_refund_no: str) -> Any | None:
    """The refund of a number with the order behind it, not locked."""
    rows = run(
        "select r.id, r.payment_id, r.state, p.subject_ref from refunds r join payments p on p.id = r.payment_id"
        " where r.out_refund_no = %(number)s",
        {"number": out_refund_no},
    )
    return rows[0] if rows else None


def problem_of(payment: Payment, refund: Refund, fact: RefundFact) -> str | None:
    """In which respect a refund is not the one that was asked."""
    if fact.mchid and fact.mchid != payment.mchid:
        return "mchid"
    if fact.out_trade_no != payment.out_trade_no or fact.transaction_id != payment.transaction_id:
        return "payment"
    if (fact.refund_fen, fact.total_fen) != (refund.fen, payment.total_fen):
        return "amount"
    if refund.refund_id not in (None, fact.refund_id):
        return "refund_id"
    return None


def take(payment: Payment, refund: Refund, fact: RefundFact, *, at: datetime) -> bool:
    """What WeChat says about a locked refund that fits; answers whether it changed anything. Success stays success."""
    if refund.state == "transferred" and fact.status == "SUCCESS":
        _trouble(payment, refund, "refund_twice", at)
    if refund.state in OVER:
        return False
    refund.refund_id = fact.refund_id
    refund.payer_refund_fen = fact.payer_refund_fen
    refund.accepted_at = refund.accepted_at or at
    before = refund.state
    if fact.status == "SUCCESS":
        refund.success_at = fact.success_time or at
        refund.end_transfer_id = money.pay_back(payment, refund, at=at)
        refund.state, refund.next_look_at, refund.problem = "success", None, None
        differences.well(refund_id=refund.id, by="system:refund", at=at)
    elif fact.status == "CLOSED":
        refund.end_transfer_id = money.keep(payment, refund, at=at)
        payment.refunded_fen -= refund.fen
        refund.state, refund.next_look_at, refund.problem = "closed", None, "closed"
    elif fact.status == "ABNORMAL":
        refund.state, refund.next_look_at, refund.problem = "abnormal", at + timedelta(hours=6), "abnormal"
    else:
        refund.state = "processing" if refund.state == "asked" else refund.state
    session().flush()
    if refund.state in ("closed", "abnormal") and before != refund.state:
        _trouble(payment, refund, f"refund_{refund.state}", at)
    return refund.state != before


def put_off(refund: Refund, *, problem: str | None, at: datetime) -> None:
    """A look at a locked refund without an end: the next one, slower each time."""
    if refund.state in OVER:
        return
    pause = LOOKS[min(refund.tries, len(LOOKS) - 1)]
    refund.tries += 1
    refund.problem = problem
    refund.next_look_at = at + pause
    later.defer(later.REFUND_LOOK, key=f"refund:{refund.id}", at=refund.next_look_at, refund_id=refund.id)
    session().flush()


def give_up(payment: Payment, refund: Refund, *, problem: str, at: datetime, again_at: datetime | None = None) -> None:
    """WeChat won't do it as things are: a person must. ``again_at`` keeps asking with the same number meanwhile."""
    if refund.state in OVER:
        return
    refund.tries += 1
    refund.problem, refund.next_look_at = problem, again_at
    session().flush()
    _trouble(payment, refund, f"refund_{problem}", at)


def check_stuck(refund: Refund) -> None:
    """Raise REFUND_NOT_STUCK unless WeChat has said for good that it can't bring this refund to its payer."""
    if refund.state != "abnormal" and not (refund.state in ("asked", "processing") and refund.next_look_at is None):
        raise REFUND_NOT_STUCK(state=refund.state)


def transferred(payment: Payment, refund: Refund, *, evidence: str, by: str, approval_id: int, at: datetime) -> None:
    """A stuck refund was paid by bank transfer, see ``evidence``; both rows are locked. Raises REFUND_NOT_STUCK."""
    check_stuck(refund)
    refund.end_transfer_id = money.pay_by_bank(payment, refund, at=at)
    before, refund.state, refund.next_look_at = refund.state, "transferred", None
    refund.evidence, refund.transferred_at, refund.approval_id = evidence, at, approval_id
    session().flush()
    differences.well(refund_id=refund.id, by=by, at=at)
    audit.write(
        actor=by, action="refund.transfer", object_type="refund", object_id=refund.id, at=at,
        program_id=payment.program_id, before={"state": before}, after={"fen": refund.fen}, reason=evidence,
    )  # fmt: skip


def all_back(payment: Payment) -> bool:
    """Whether every fen of a payment has reached the payer."""
    query = select(func.coalesce(func.sum(Refund.fen), 0)).where(Refund.payment_id == payment.id)
    return bool(session().execute(query.where(Refund.state.in_(BACK))).scalar_one() == payment.total_fen)


def locked(refund_id: int) -> Refund:
    """A refund with its row locked. Raises NOT_FOUND."""
    found = session().get(Refund, refund_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NOT_FOUND(refund=str(refund_id))
    return found


def _trouble(payment: Payment, refund: Refund, kind: str, at: datetime) -> None:
    differences.note(
        [
            differences.Found(
                kind, refund.out_refund_no, program_id=payment.program_id, payment_id=payment.id, refund_id=refund.id,
                ours=f"{refund.fen}", theirs=refund.problem or "",
            )
        ],
        mchid=payment.mchid,
        at=at,
    )  # fmt: skip
