"""What comes back: unused pieces of a paid order, some or all. Credits, money, stock, the place under the limit and the
codes come right together, in one transaction.

Locks, in this order: wallet, codes, order, payment, refund, ledger accounts, item.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app import funding, ledger, notices, payments, redemptions
from app.db import run, session
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.mall import stock
from app.mall.models import Item
from app.orders import bookings, limits, parcels
from app.orders.models import Order
from app.payments import Payment, money, refunds, shipping
from app.units import CREDITS

NOT_REFUNDABLE = declare(
    "not_refundable",
    Kind.CONFLICT,
    zh="该商品下单前已说明不支持自行退款，或包裹已发出。如有问题请联系客服。",
    en="This item can't be returned by yourself, as was said before buying, or its parcel has left. Ask our service.",
)

_PIECES = """
    select c.id, c.cash_fen, f.lot_id, f.budget_id, f.price_fen, f.credits
    from codes c join code_fundings f on f.code_id = c.id
    where c.order_id = %(order)s and c.id = any (%(codes)s::bigint[]) order by c.id, f.lot_id
"""


def refund(
    *,
    order_id: int,
    reason: str,
    asked_by: str,
    at: datetime,
    code_ids: Sequence[int] | None = None,
    person_id: int | None = None,
) -> payments.Refund | None:
    """Return pieces of a paid order, all that are unused or those named; answers the refund of the money, if there is
    any. ``person_id``: asked by the person, so the item's own rule holds.

    Raises NOT_FOUND, ORDER_REDEEMED, STATE_CONFLICT, NOT_REFUNDABLE, and what :func:`app.payments.refunds.ask` raises.
    """
    look = session().get(Order, order_id)
    if look is None or (person_id is not None and look.person_id != person_id):
        raise NOT_FOUND(order=str(order_id))
    wallet = funding.lock_wallet(person_id=look.person_id, program_id=look.program_id, at=at)
    voided = redemptions.withdraw(order_id=order_id, code_ids=_standing(order_id) if code_ids is None else code_ids)
    order = session().get_one(Order, order_id, with_for_update=True, populate_existing=True)
    if order.state != "paid" or not voided:
        raise STATE_CONFLICT(state=order.state)
    if person_id is not None:
        _may_return(order)
    pieces = run(_PIECES, {"order": order_id, "codes": list(voided)})
    sent_back = _money_back(order, pieces, reason, asked_by, at)
    _credits_back(order, wallet, pieces, at)
    order.refunded_pieces += len(voided)
    _end(order, sent_back, len(voided), at)
    session().flush()
    limits.uncount(order, len(voided))
    stock.take_back(item_id=order.item_id, pieces=len(voided), why=f"order:{order.id}:returned")
    _tell(order, len(voided), sent_back, reason, at)
    return sent_back


def _standing(order_id: int) -> list[int]:
    """The pieces that have not come back yet."""
    rows = run("select id from codes where order_id = %(order)s and state <> 'refunded'", {"order": order_id})
    return [row.id for row in rows]


def _may_return(order: Order) -> None:
    item = session().get_one(Item, order.item_id)
    if not item.refundable or parcels.has_left(order.id):
        raise NOT_REFUNDABLE()


def _money_back(order: Order, pieces: list[Any], reason: str, asked_by: str, at: datetime) -> payments.Refund | None:
    """The pieces' own share of the money is asked back; what an operator gave back before is left out."""
    fen = sum({row.id: row.cash_fen for row in pieces}.values())
    row = payments.of_order(order.id)
    if fen == 0 or row is None:
        return None
    payment = payments.locked(row.id)
    left = money.waiting(payment)
    if left == 0:  # an operator gave all of it back before
        return None
    return refunds.ask(payment=payment, fen=min(fen, left), why="order", reason=reason, asked_by=asked_by, at=at)


def _credits_back(order: Order, wallet: funding.Wallet, pieces: list[Any], at: datetime) -> None:
    """To the lots that paid for these pieces; in one transfer, named by which pieces of the order they are."""
    lots: dict[int, ledger.LotPart] = {}
    for row in pieces:
        before = lots[row.lot_id].credits if row.lot_id in lots else 0
        lots[row.lot_id] = ledger.LotPart(row.lot_id, row.budget_id, row.price_fen, before + row.credits)
    funding.give_back(
        wallet=wallet,
        parts=list(lots.values()),
        from_account_id=ledger.account(program_id=order.program_id, asset=CREDITS, kind="committed"),
        source_ref=f"order:{order.id}:{order.refunded_pieces}",
        at=at,
    )


_OPEN = "select count(*) as n from codes where order_id = %(order)s and state = 'issued'"


def _end(order: Order, sent_back: payments.Refund | None, pieces: int, at: datetime) -> None:
    """An order that came back whole is over; one whose other pieces are all used is fulfilled."""
    if order.refunded_pieces == order.quantity:
        order.state = "refunding" if sent_back is not None else "refunded"
        order.ended_at = at if sent_back is None else None
        parcels.cancel(order.id)
        bookings.drop(order.id, at)
        payment = payments.of_order(order.id)
        if payment is not None:
            shipping.drop(payment.id)
        return
    bookings.shrink(order.id, pieces)
    if run(_OPEN, {"order": order.id})[0].n == 0:
        order.state, order.fulfilled_at = "fulfilled", at


def refund_part(*, order_id: int, fen: int, reason: str, asked_by: str, at: datetime) -> payments.Refund:
    """Give a part of the money back, as goodwill; the order stays as it is. Raises what a refund raises."""
    payment = accepted(order_id)
    if payment is None:
        raise refunds.NOT_PAID()
    left = money.waiting(payment)
    if fen >= payment.total_fen or fen > left:
        raise refunds.REFUND_TOO_MUCH(left_fen=str(left))
    return refunds.ask(payment=payment, fen=fen, why="part", reason=reason, asked_by=asked_by, at=at)


_EXPIRED = """
    select coalesce(sum(k * c.cash_fen / c.uses - (k - 1) * c.cash_fen / c.uses), 0)::bigint as fen
    from codes c cross join generate_series(1, c.uses) k
    where c.order_id = %(order)s and c.state = 'expired'
      and not exists (select from redemptions r where r.code_id = c.id and r.undone_at is null
                        and k = any (r.use_numbers))
"""
_GIVEN = "select coalesce(sum(fen), 0)::bigint as fen from refunds where payment_id = %(payment)s and why = 'expired'"


def refund_expired(*, order_id: int, at: datetime) -> payments.Refund | None:
    """Money for what was never used goes back when the codes have ended, whatever becomes of the credits; twice is
    once. Raises what a refund raises: REFUND_UNDERWAY means a moment later."""
    payment = accepted(order_id)
    if payment is None:
        return None
    wanted = run(_EXPIRED, {"order": order_id})[0].fen - run(_GIVEN, {"payment": payment.id})[0].fen
    fen = min(wanted, money.waiting(payment))
    if fen <= 0:
        return None
    reason = "券码到期未使用，现金部分退回"
    return refunds.ask(payment=payment, fen=fen, why="expired", reason=reason, asked_by="system:expiry", at=at)


def refund_again(*, refund_id: int, asked_by: str, at: datetime) -> payments.Refund:
    """A refund that WeChat closed is asked anew, under a new number. Raises STATE_CONFLICT for any other."""
    first = refunds.locked(refund_id)
    payment = payments.locked(first.payment_id)
    if first.state != "closed":
        raise STATE_CONFLICT(state=first.state)
    return refunds.ask(payment=payment, fen=first.fen, why="again", reason=first.reason, asked_by=asked_by, at=at)


def accepted(order_id: int) -> Payment | None:
    """The payment that paid an order, locked under it. Raises NOT_FOUND."""
    if session().get(Order, order_id, with_for_update=True, populate_existing=True) is None:
        raise NOT_FOUND(order=str(order_id))
    row = payments.of_order(order_id)
    return payments.locked(row.id) if row is not None and row.state == "paid" else None


def _tell(order: Order, pieces: int, sent_back: payments.Refund | None, reason: str, at: datetime) -> None:
    if sent_back is None:
        what, zh, en = (
            "returned",
            f"您的订单已退回 {pieces} 件，积分已返还：{reason}",
            f"{pieces} of your order came back, the credits too: {reason}",
        )
    else:
        what, zh, en = "refunding", f"您的订单正在退款：{reason}", f"Your order is being refunded: {reason}"
    notices.tell(
        key=f"order:{order.id}:{what}:{order.refunded_pieces}", person_id=order.person_id, program_id=order.program_id,
        kind=f"order.{what}", zh=zh, en=en, at=at, details={"order_id": str(order.id)},
    )  # fmt: skip
