"""Calls to WeChat Pay about one payment or refund. What is unknown is asked by its number, never assumed."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from app import orders, payments, people
from app.clock import now
from app.db import forbid_in_transaction, retrying, session, transaction
from app.errors import BUSY, Kind, declare
from app.payments import Payment, differences, refunds
from till import metrics
from till.desk import Desk
from wechat.pay import Refund, Transaction
from wechat.pay import errors as pay

log = structlog.get_logger("till")
STALE = timedelta(seconds=2)
TOPPED_UP_AFTER = timedelta(minutes=10)

PAYER_UNKNOWN = declare(
    "payer_unknown",
    Kind.CONFLICT,
    zh="没有找到您在本小程序的微信身份，请重新登录后再支付。",
    en="Your WeChat identity in this mini-program was not found. Log in again, then pay.",
)


def call_up(desk: Desk, *, order_id: int, person_id: int) -> dict[str, str]:
    """The parameters with which the client calls the payment up. A second tap gets the same payment.

    Raises what ``orders.begin_payment`` raises, PAYER_UNKNOWN, BUSY when WeChat gives no usable answer.
    """
    terms = desk.terms_of(orders.appid(order_id))
    openid = people.openid(person_id, terms.appid)
    if openid is None:
        raise PAYER_UNKNOWN()
    for _ in range(2):  # a number that WeChat won't take any more is given up once, for a new one
        payment = _begun(terms, order_id, person_id, openid)
        prepay_id = payments.usable_prepay(payment, now()) or _prepay(desk, payment, openid)
        if prepay_id is not None:
            return desk.client.call_up(appid=payment.appid, prepay_id=prepay_id)
    raise BUSY(retry_after=3)


def _begun(terms: payments.Terms, order_id: int, person_id: int, openid: str) -> Payment:
    at = now()

    def command() -> Payment:
        with transaction() as current:
            found = orders.begin_payment(order_id=order_id, person_id=person_id, terms=terms, openid=openid, at=at)
            current.flush()
            current.refresh(found)
            current.expunge(found)
            return found

    return retrying(command)


def _prepay(desk: Desk, payment: Payment, openid: str) -> str | None:
    """A prepay id for a committed payment, or None when its number is given up. Same number, same content (L1, L7)."""
    try:
        prepay_id = _ask_prepay(desk, payment, openid)
    except pay.OrderPaid:
        look(desk, payment.id)
        raise orders.NOTHING_TO_PAY(state="paid") from None
    except (pay.OrderClosed, pay.OutTradeNoUsed, pay.OtherContent) as error:
        _number_spoilt(desk, payment, error)
        return None
    except (pay.Unknown, pay.Frequency):
        raise BUSY(retry_after=3) from None
    except (pay.PayError, ValueError) as error:
        metrics.TROUBLE.labels("prepay").inc()
        log.error("prepay_refused", kind=type(error).__name__, code=getattr(error, "code", ""))
        raise BUSY(retry_after=60) from None
    at = now()

    def record() -> None:
        with transaction():
            payments.prepaid(payment.id, prepay_id=prepay_id, at=at)

    retrying(record)
    return prepay_id


def _ask_prepay(desk: Desk, payment: Payment, openid: str) -> str:
    """Ask, and after an unknown result ask by the number before asking the same again."""
    forbid_in_transaction("prepay")
    try:
        return _prepay_once(desk, payment, openid)
    except pay.Unknown:
        pass
    try:
        said = desk.client.query(payment.out_trade_no)
    except pay.NotFound:
        pass
    else:
        if said.trade_state in payments.PAID:
            raise pay.OrderPaid("prepay: paid meanwhile")
    return _prepay_once(desk, payment, openid)


def _prepay_once(desk: Desk, payment: Payment, openid: str) -> str:
    return desk.client.prepay(
        appid=payment.appid,
        out_trade_no=payment.out_trade_no,
        description=payment.description,
        total_fen=payment.total_fen,
        openid=openid,
        time_expire=payment.time_expire,
        notify_url=payment.notify_url,
    )


def _number_spoilt(desk: Desk, payment: Payment, error: pay.PayError) -> None:
    """WeChat won't take this number for our content. It is closed there first, then given up (L2)."""
    metrics.TROUBLE.labels("number").inc()
    log.error("number_given_up", kind=type(error).__name__)
    if not isinstance(error, pay.OutTradeNoUsed) and not _closed(desk, payment.id, payment.out_trade_no):
        raise BUSY(retry_after=3)
    _end(payment.id, "failed", "number")


def refresh(desk: Desk, *, order_id: int) -> None:
    """Ask WeChat about an order that may have been paid, unless it was asked a moment ago.

    The client's success proves nothing; this is what it leads to. A WeChat that can't be reached changes nothing.
    """
    found = payments.of_order(order_id)
    if found is None or found.state not in ("created", "waiting", "closing"):
        return
    if found.looked_at is None or now() - found.looked_at >= STALE:
        look(desk, found.id)


def look(desk: Desk, payment_id: int) -> None:
    """Ask WeChat how a payment stands, and record it; one that is being closed is closed. Safe to repeat."""
    forbid_in_transaction("query")
    with transaction():
        payment = session().get(Payment, payment_id)
        if payment is None or payment.state not in ("created", "waiting", "closing"):
            return
        number, closing = payment.out_trade_no, payment.state == "closing"
    try:
        said = desk.client.query(number)
    except pay.NotFound:
        # It never arrived, or not yet: a closing one is closed, so that it can't arrive any more.
        _nothing_new(payment_id) if not closing else _close(desk, payment_id, number)
        return
    except pay.PayError as error:
        metrics.TROUBLE.labels("query").inc()
        log.warning("query_failed", kind=type(error).__name__, code=error.code)
        _nothing_new(payment_id)
        return
    if said.trade_state not in payments.PAID and said.trade_state != "CLOSED":
        _nothing_new(payment_id) if not closing else _close(desk, payment_id, number)
        return
    settle(said, why="query")


def settle(said: Transaction, *, why: str) -> orders.Taken:
    """Record what WeChat says about a payment; what doesn't fit is kept as a difference."""
    at = now()

    def command() -> orders.Taken:
        with transaction():
            taken = orders.take_transaction(said, why=why, at=at)
            if taken.outcome == "refused":
                note_refused(said.mchid, said.out_trade_no, f"{why}_{taken.problem}", taken.payment_id, at)
            return taken

    taken = retrying(command)
    metrics.SETTLED.labels(why, taken.outcome).inc()
    if taken.outcome == "refused":
        log.error("payment_differs", kind=taken.problem)
    return taken


def note_refused(mchid: str, number: str, kind: str, payment_id: int | None, at: datetime) -> None:
    """Keep what was refused, for a person to look at; inside the caller's transaction."""
    payment = session().get(Payment, payment_id) if payment_id is not None else None
    program_id = payment.program_id if payment is not None else None
    found = differences.Found(kind, number, program_id=program_id, payment_id=payment_id)
    differences.note([found], mchid=mchid, at=at)


def _nothing_new(payment_id: int) -> None:
    with transaction():
        payments.looked(payments.locked(payment_id), at=now())


def end_order(desk: Desk | None, *, order_id: int, become: str, person_id: int | None = None) -> None:
    """End an unpaid order: its number is closed at WeChat first. What WeChat can't say now, the job asks again.

    Raises what ``orders.begin_end`` raises.
    """
    at = now()

    def command() -> int | None:
        with transaction():
            return orders.begin_end(order_id=order_id, become=become, person_id=person_id, at=at)

    payment_id = retrying(command)
    if payment_id is None or desk is None:
        return
    with transaction():
        number = session().get_one(Payment, payment_id).out_trade_no
    _close(desk, payment_id, number)


def _close(desk: Desk, payment_id: int, number: str) -> None:
    if _closed(desk, payment_id, number):
        _end(payment_id, "closed", "closed")


def _closed(desk: Desk, payment_id: int, number: str) -> bool:
    """Whether WeChat says that the number can't be paid any more. A paid one is settled instead (L12)."""
    forbid_in_transaction("close")
    try:
        desk.client.close(number)
    except pay.NotFound:
        return True  # it never got there; should the order still arrive and be paid, the money goes back by itself
    except pay.OrderClosed:
        return True
    except pay.OrderPaid:
        settle_by_query(desk, payment_id, number)
        return False
    except pay.PayError as error:
        metrics.TROUBLE.labels("close").inc()
        log.warning("close_failed", kind=type(error).__name__, code=error.code)
        _nothing_new(payment_id)
        return False
    return True


def settle_by_query(desk: Desk, payment_id: int, number: str) -> None:
    """WeChat has said "paid": its own words about it."""
    try:
        settle(desk.client.query(number), why="query")
    except pay.PayError as error:
        log.warning("query_failed", kind=type(error).__name__, code=error.code)
        _nothing_new(payment_id)


def _end(payment_id: int, state: str, why: str) -> None:
    at = now()

    def command() -> None:
        with transaction():
            orders.end_unpaid(payment_id=payment_id, state=state, why=why, at=at)

    retrying(command)
    metrics.ENDED.labels(state).inc()


def work_refund(desk: Desk, refund_id: int) -> None:
    """Ask WeChat for a refund, or how it stands; always with the same number and content. Safe to repeat."""
    forbid_in_transaction("refund")
    with transaction():
        found = session().get(payments.Refund, refund_id)
        if found is None or found.state in refunds.OVER:
            return
        payment = session().get_one(Payment, found.payment_id)
        asked = found.state == "asked"
        values = {
            "out_trade_no": payment.out_trade_no,
            "out_refund_no": found.out_refund_no,
            "refund_fen": found.fen,
            "total_fen": payment.total_fen,
            "reason": found.reason,
            "notify_url": found.notify_url,
        }
        number = found.out_refund_no
    try:
        said = desk.client.refund(**values) if asked else desk.client.query_refund(number)  # type: ignore[arg-type]
    except pay.PayError as error:
        _refund_failed(refund_id, error, asked)
        return
    settle_refund(said, why="refund" if asked else "query")
    if said.status not in ("SUCCESS", "CLOSED"):
        with transaction():
            row = refunds.locked(refund_id)
            refunds.put_off(row, problem=row.problem, at=now())


def settle_refund(said: Refund, *, why: str) -> orders.Taken:
    """Record what WeChat says about a refund; what doesn't fit is kept as a difference."""
    at = now()

    def command() -> orders.Taken:
        with transaction():
            taken = orders.take_refund(said, at=at)
            if taken.outcome == "refused":
                kind = f"{why}_refund_{taken.problem}"
                note_refused(said.mchid, said.out_refund_no, kind, taken.payment_id, at)
            return taken

    taken = retrying(command)
    metrics.REFUNDS.labels(said.status, taken.outcome).inc()
    return taken


def _refund_failed(refund_id: int, error: pay.PayError, asked: bool) -> None:
    """No refund this time: what may pass is tried again with the same number, the rest waits for a person too."""
    metrics.TROUBLE.labels("refund").inc()
    log.warning("refund_failed", kind=type(error).__name__, code=error.code)
    at = now()
    with transaction():
        row = refunds.locked(refund_id)
        payment = payments.locked(row.payment_id)
        if isinstance(error, (pay.Unknown, pay.Frequency)):
            refunds.put_off(row, problem=type(error).__name__.lower(), at=at)
        elif isinstance(error, pay.NotFound) and not asked:
            row.state = "asked"  # WeChat never heard of it: the same number again
            refunds.put_off(row, problem="unknown_there", at=at)
        elif isinstance(error, pay.NotEnough):
            refunds.give_up(payment, row, problem="not_enough", at=at, again_at=at + TOPPED_UP_AFTER)
        elif isinstance(error, pay.AccountAbnormal):
            refunds.give_up(payment, row, problem="account_abnormal", at=at)
        else:
            refunds.give_up(payment, row, problem=type(error).__name__.lower(), at=at)
