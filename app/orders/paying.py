"""Orders with a cash part: what WeChat's facts about money mean for them. Each step is idempotent.

Locks, in this order: wallet, codes, order, payment, refund, ledger accounts, item.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app import funding, ledger, notices, payments, redemptions
from app.db import read, session
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.mall import KINDS, stock
from app.mall.models import Item
from app.orders import bookings, limits, parcels
from app.orders.models import Order
from app.orders.placing import CLOSE_AFTER, deal
from app.payments import Payment, RefundFact, TransactionFact, refunds, shipping

UNPAID = ("placed", "paying")
ENDED = ("timed_out", "cancelled")
LEAST_TO_PAY = timedelta(seconds=60)  # WeChat raises a shorter time to pay
LOGISTICS = {"parcel": shipping.EXPRESS, "service": shipping.PICK_UP}

ORDER_TIMED_OUT = declare(
    "order_timed_out",
    Kind.CONFLICT,
    zh="订单已超时或即将关闭，不能再支付，请重新下单。积分会退回您的账户。",
    en="The time to pay is over. Order anew; your credits come back.",
)
NOTHING_TO_PAY = declare(
    "nothing_to_pay",
    Kind.CONFLICT,
    zh="该订单当前无需支付，请查看订单状态。",
    en="There is nothing to pay for this order now; see its state.",
)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a fact: accepted, late (it goes back), known, unpaid, ended or refused, and why refused."""

    outcome: str
    problem: str | None = None
    payment_id: int | None = None


def begin_payment(*, order_id: int, person_id: int, terms: payments.Terms, openid: str, at: datetime) -> Payment:
    """The payment by which an order is paid, the same one again for a second tap.

    Raises NOT_FOUND for another's order, NOTHING_TO_PAY, ORDER_TIMED_OUT, PAYMENT_CLOSING.
    """
    order = _locked(order_id)
    if order.person_id != person_id:
        raise NOT_FOUND(order=str(order_id))
    if order.state not in UNPAID or order.pay_until is None:
        raise ORDER_TIMED_OUT() if order.state in ENDED else NOTHING_TO_PAY(state=order.state)
    if order.closing_as is not None:
        raise payments.PAYMENT_CLOSING()
    if order.pay_until - at < LEAST_TO_PAY:
        raise ORDER_TIMED_OUT()
    payment = payments.open_payment(
        subject_ref=order.id,
        program_id=order.program_id,
        person_id=person_id,
        openid=openid,
        description=payments.words(session().get_one(Item, order.item_id).name, 127),
        total_fen=order.cash_fen,
        time_expire=order.pay_until.replace(microsecond=0),
        terms=terms,
        at=at,
    )
    order.state = "paying"
    session().flush()
    return payment


def begin_end(*, order_id: int, become: str, at: datetime, person_id: int | None = None) -> int | None:
    """An unpaid order is to end, ``timed_out`` or ``cancelled``. Answers the payment that must be closed at WeChat
    first; None when it has ended, or is over anyway. Stock and credits stay held until WeChat has said so (L8).

    Raises NOT_FOUND for another's order, STATE_CONFLICT for one that is paid.
    """
    order, wallet = _order_and_wallet(order_id, at)
    if person_id is not None and order.person_id != person_id:
        raise NOT_FOUND(order=str(order_id))
    if order.state not in UNPAID:
        if order.state in ENDED or person_id is None:
            return None
        raise STATE_CONFLICT(state=order.state)
    order.closing_as = order.closing_as or become
    payment = payments.open_of(order.id)
    if payment is None:
        _free(order, wallet, at)
        return None
    payments.begin_closing(payment, why=become, at=at)
    session().flush()
    return payment.id


def end_unpaid(*, payment_id: int, state: str, why: str, at: datetime) -> None:
    """WeChat has said that a number can't be paid any more (``closed``), or never could be (``failed``).

    The order of a failed number may be paid under a new one; that of a closed one ends.
    """
    found = session().get_one(Payment, payment_id)
    order, wallet = _order_and_wallet(found.subject_ref, at)
    payment = payments.locked(payment_id)
    payments.end_unpaid(payment, state=state, why=why, at=at)
    over = payment.state == "closed" or (payment.state == "failed" and order.closing_as is not None)
    if over and order.state in UNPAID:
        _free(order, wallet, at)


def take_transaction(fact: TransactionFact, *, why: str, at: datetime, found: Any = None) -> Taken:
    """What WeChat says about a payment: by notice, query or bill, in any order, any number of times.

    A verified success always wins over our own state: it pays the order, or goes back when that is over (L10).
    ``found`` is the payment of its number, where the caller has it already.
    """
    found = found or payments.find(fact.out_trade_no)
    if found is None:
        return Taken("refused", "unknown")
    if fact.trade_state in payments.PAID:
        problem = payments.problem_of(found, fact, at=at)
        if problem is not None:
            return Taken("refused", problem, found.id)
        if found.state in ("paid", "late"):
            return Taken("known", None, found.id)
        return _take_success(found, fact, why, at)
    if (fact.mchid, fact.appid or found.appid) != (found.mchid, found.appid):
        return Taken("refused", "mchid", found.id)
    if fact.trade_state == "CLOSED":
        end_unpaid(payment_id=found.id, state="closed", why=why, at=at)
        return Taken("ended", None, found.id)
    return Taken("unpaid", None, found.id)


def _take_success(found: Any, fact: TransactionFact, why: str, at: datetime) -> Taken:
    """One look that locks, one write that does all of it: notices come by the thousand and are answered in time."""
    row = payments.stand(found.id)
    if row.payment_state in ("paid", "late"):  # a twin was first
        problem = None if row.transaction_id == fact.transaction_id else "transaction"
        return Taken("refused" if problem else "known", problem, found.id)
    if row.order_state in UNPAID:
        payments.accept(found.id, fact, late=False, why=why, at=at, order=_as_paid(row, at))
        if row.other_payment is not None:  # a number was given up and paid all the same
            payments.begin_closing(payments.locked(row.other_payment), why="paid by another", at=at)
        return Taken("accepted", None, found.id)
    payments.accept(found.id, fact, late=True, why=why, at=at)
    _give_back_late(_locked(row.order_id), payments.locked(found.id), at)
    return Taken("late", None, found.id)


def _as_paid(row: Any, at: datetime) -> dict[str, Any]:
    """What an order becomes when its money is there: codes for its pieces, and how they reach the person."""
    parts = [ledger.LotPart(*part) for part in row.parts]
    logistics = LOGISTICS[row.item_kind]
    return {
        "how": KINDS[row.item_kind].how,
        "codes": redemptions.as_written(deal(row, parts, row.quantity), settlement_fen=row.settlement_fen),
        "valid_until": redemptions.valid_until(row.valid_days, at).isoformat(),
        "logistics": logistics,
        "ship": "waiting" if logistics == shipping.EXPRESS else "due",
        "title": f"{row.item_name} ×{row.quantity}"[:120],
        "zh": "您的订单已支付成功，请在“我的订单”中查看。",
        "en": "Your order is paid. See it in “My orders”.",
    }


def _give_back_late(order: Order, payment: Payment, at: datetime) -> None:
    """Money that came after a time-out or a cancel, or a second time, goes back in full at once."""
    reason = "订单已关闭，款项原路退回"
    refunds.ask(payment=payment, fen=payment.total_fen, why="late", reason=reason, asked_by="system:late", at=at)
    zh = "您的付款在订单关闭后到达，已全额原路退回，通常几分钟内到账（银行卡 1–3 个工作日）。"
    en = "Your payment came after the order was closed. It goes back in full: in minutes, by bank card in 1–3 days."
    _tell(order, f"late:{payment.id}", zh, en, at)


def take_refund(fact: RefundFact, *, at: datetime) -> Taken:
    """What WeChat says about a refund, in any order, any number of times. Only SUCCESS ends in *refunded*."""
    found = refunds.find(fact.out_refund_no)
    if found is None:
        return Taken("refused", "unknown")
    order = _locked(found.subject_ref)
    payment = payments.locked(found.payment_id)
    refund_row = refunds.locked(found.id)
    problem = refunds.problem_of(payment, refund_row, fact)
    if problem is not None:
        return Taken("refused", problem, payment.id)
    if not refunds.take(payment, refund_row, fact, at=at):
        return Taken("known", None, payment.id)
    if refund_row.state == "success":
        _refunded(order, payment, refund_row, at)
    return Taken("accepted", None, payment.id)


def refund_by_bank(*, refund_id: int, evidence: str, by: str, approval_id: int, at: datetime) -> payments.Refund:
    """A refund that WeChat can't bring to its payer was paid by the bank. Raises NOT_FOUND, REFUND_NOT_STUCK."""
    look = session().get(payments.Refund, refund_id)
    if look is None:
        raise NOT_FOUND(refund=str(refund_id))
    order = _locked(session().get_one(Payment, look.payment_id).subject_ref)
    payment, refund_row = payments.locked(look.payment_id), refunds.locked(refund_id)
    refunds.transferred(payment, refund_row, evidence=evidence, by=by, approval_id=approval_id, at=at)
    _refunded(order, payment, refund_row, at)
    return refund_row


def _refunded(order: Order, payment: Payment, refund_row: payments.Refund, at: datetime) -> None:
    if order.state == "refunding" and payment.state == "paid" and refunds.all_back(payment):
        order.state, order.ended_at = "refunded", at
        session().flush()
    yuan = f"{refund_row.fen / 100:.2f}"
    _tell(order, f"refunded:{refund_row.id}", f"退款 {yuan} 元已到账。", f"Your refund of {yuan} yuan has arrived.", at)


def due_to_end(at: datetime, limit: int = 200) -> list[tuple[int, str]]:
    """Unpaid orders whose time is over, with what they become. Where a number is being closed, its look goes on."""
    query = """
        select id, coalesce(closing_as, 'timed_out') as become from orders o
        where state in ('placed', 'paying') and (closing_as is not null or pay_until <= %(until)s)
          and not exists (select from payments p where p.subject_kind = 'order' and p.subject_ref = o.id
                          and p.state = 'closing')
        order by pay_until limit %(limit)s
    """
    return [(row.id, row.become) for row in read(query, {"until": at - CLOSE_AFTER, "limit": limit})]


def is_due(order_id: int, at: datetime) -> bool:
    """Whether the time of an unpaid order is over."""
    query = "select state, pay_until from orders where id = %(order)s"
    rows = read(query, {"order": order_id})
    return bool(rows) and rows[0].state in UNPAID and rows[0].pay_until + CLOSE_AFTER <= at


def _free(order: Order, wallet: funding.Wallet, at: datetime) -> None:
    """Nobody can pay this order any more: credits, pieces and the place under the limit come back."""
    funding.release(wallet=wallet, transfer_id=order.transfer_id, at=at)
    order.state, order.ended_at = order.closing_as or "timed_out", at
    session().flush()
    parcels.cancel(order.id)
    bookings.drop(order.id, at)
    limits.uncount(order, order.quantity)
    stock.free_reserved(item_id=order.item_id, pieces=order.quantity, why=f"order:{order.id}:{order.state}")
    if order.state == "timed_out":
        zh = "您的订单超时未支付，已自动关闭，积分已退回。"
        _tell(order, "timed_out", zh, "Your order was not paid in time and is closed; your credits are back.", at)


def _order_and_wallet(order_id: int, at: datetime) -> tuple[Order, funding.Wallet]:
    """An order under its person's wallet: whatever moves credits holds the wallet first."""
    look = session().get(Order, order_id)
    if look is None:
        raise NOT_FOUND(order=str(order_id))
    wallet = funding.lock_wallet(person_id=look.person_id, program_id=look.program_id, at=at)
    return _locked(order_id), wallet


def _locked(order_id: int) -> Order:
    found = session().get(Order, order_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NOT_FOUND(order=str(order_id))
    return found


def _tell(order: Order, what: str, zh: str, en: str, at: datetime) -> None:
    kind = f"order.{what.partition(':')[0]}"
    notices.tell(
        key=f"order:{order.id}:{what}", person_id=order.person_id, program_id=order.program_id, kind=kind, zh=zh, en=en,
        at=at, details={"order_id": str(order.id)},
    )  # fmt: skip
