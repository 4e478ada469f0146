"""Open a payment, hand it to WeChat, end it unpaid. A number always stands for the same content (rules L1 to L9)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from app import clock, later, vault
from app.db import session
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.payments.models import OPEN, Payment, PaymentStep

HASHED = "payer"
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PREPAY_LIVES = timedelta(minutes=110)  # WeChat's two hours, with a margin (L3)
# Looks while somebody may be paying (L13); afterwards the nightly look and the close job.
LOOKS = tuple(timedelta(seconds=after) for after in (10, 30, 60, 120, 300, 600))

CASH_CLOSED = declare(
    "cash_closed",
    Kind.CONFLICT,
    zh="本平台暂未开通微信支付，含现金的商品暂时不能下单；其他功能不受影响。",
    en="WeChat Pay is not set up here yet, so items with a cash part can't be ordered. Everything else works.",
)
PAYMENT_CLOSING = declare(
    "payment_closing",
    Kind.CONFLICT,
    zh="订单正在关闭，不能再支付。请稍后查看结果。",
    en="The order is being closed and can't be paid any more. Look again in a moment.",
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What our settings say about every payment: who is paid, where WeChat tells us, how our numbers begin."""

    appid: str
    mchid: str
    notify_url: str
    prefix: str


def words(text: str, longest: int) -> str:
    """A text as it may stand in an order and in a bill: no control characters, no backtick."""
    return "".join(char for char in text if char >= " " and char not in "`\x7f")[:longest].strip() or "-"


def payer_hash(appid: str, openid: str) -> bytes:
    """The payer as we keep him: comparable, not readable."""
    return vault.keyed_hash(HASHED, f"{appid}:{openid}")


def open_payment(
    *,
    subject_ref: int,
    program_id: int,
    person_id: int,
    openid: str,
    description: str,
    total_fen: int,
    time_expire: datetime,
    terms: Terms,
    at: datetime,
) -> Payment:
    """The open payment of an order, or a new one. The caller holds the order's row.

    Raises PAYMENT_CLOSING for one that is being closed, STATE_CONFLICT for one that another person or app began.
    """
    found = open_of(subject_ref)
    payer = payer_hash(terms.appid, openid)
    if found is not None:
        if found.state == "closing":
            raise PAYMENT_CLOSING()
        if (found.payer_hash, found.total_fen, found.mchid) != (payer, total_fen, terms.mchid):
            raise STATE_CONFLICT(payment=found.out_trade_no)
        return found
    payment = Payment(
        program_id=program_id,
        subject_kind="order",
        subject_ref=subject_ref,
        person_id=person_id,
        appid=terms.appid,
        mchid=terms.mchid,
        payer_hash=payer,
        out_trade_no=_new_number(terms.prefix, at),
        description=description,
        notify_url=terms.notify_url,
        total_fen=total_fen,
        time_expire=time_expire,
        state="created",
        next_look_at=at + LOOKS[0],
        created_at=at,
    )
    session().add(payment)
    session().flush()
    _note(payment, None, "created", "asked", at)
    return payment


def prepaid(payment_id: int, *, prepay_id: str, at: datetime) -> Payment:
    """WeChat has taken the order and may be paid now. A later prepay id takes the place of the one before."""
    payment = locked(payment_id)
    if payment.state == "created":
        step(payment, "waiting", "prepay", at)
    if payment.state == "waiting":
        payment.prepay_id, payment.prepay_at = prepay_id, at
        payment.looks, payment.next_look_at = 0, at + LOOKS[0]
        later.defer(later.PAYMENT_LOOK, key=f"look:{payment.id}", at=payment.next_look_at, payment_id=payment.id)
    session().flush()
    return payment


def usable_prepay(payment: Payment, at: datetime) -> str | None:
    """The prepay id that can still be called up."""
    if payment.state != "waiting" or payment.prepay_at is None or at - payment.prepay_at >= PREPAY_LIVES:
        return None
    return payment.prepay_id


def begin_closing(payment: Payment, *, why: str, at: datetime) -> None:
    """From now on nothing is handed out for this number; it is closed when WeChat has said so (L8)."""
    if payment.state in ("created", "waiting"):
        step(payment, "closing", why, at)
        payment.next_look_at = at


def end_unpaid(payment: Payment, *, state: str, why: str, at: datetime) -> None:
    """WeChat has said that this number can't be paid any more: ``closed``, or ``failed`` when it never could be."""
    if payment.state in OPEN:
        step(payment, state, why, at)
        payment.next_look_at = None


def looked(payment: Payment, *, at: datetime) -> None:
    """A look has found nothing new: the next one comes later, and none after the table's end."""
    payment.looked_at = at
    payment.looks += 1
    if payment.state == "closing":
        payment.next_look_at = at + timedelta(seconds=min(30 * 2 ** min(payment.looks, 6), 600))
    elif payment.looks < len(LOOKS):
        payment.next_look_at = at + LOOKS[payment.looks]
        later.defer(later.PAYMENT_LOOK, key=f"look:{payment.id}", at=payment.next_look_at, payment_id=payment.id)
    else:
        payment.next_look_at = clock.day_start(clock.business_day(at) + timedelta(days=1))


def open_of(subject_ref: int) -> Payment | None:
    """The payment of an order that isn't over, locked."""
    query = select(Payment).where(Payment.subject_kind == "order", Payment.subject_ref == subject_ref)
    return session().scalars(query.where(Payment.state.in_(OPEN)).with_for_update()).first()


def locked(payment_id: int) -> Payment:
    """A payment with its row locked. Raises NOT_FOUND."""
    found = session().get(Payment, payment_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NOT_FOUND(payment=str(payment_id))
    return found


def step(payment: Payment, to: str, why: str, at: datetime) -> None:
    """Move a locked payment on, and write the step down."""
    _note(payment, payment.state, to, why, at)
    payment.state = to
    session().flush()


def _note(payment: Payment, before: str | None, to: str, why: str, at: datetime) -> None:
    session().add(PaymentStep(payment_id=payment.id, from_state=before, to_state=to, why=why, at=at))


def _new_number(prefix: str, at: datetime) -> str:
    """A number that was never used and never will be: environment, day, and eighty random bits."""
    day = clock.business_day(at).strftime("%y%m%d")
    return f"{prefix}{day}" + "".join(secrets.choice(ALPHABET) for _ in range(16))
