"""Parcels: where to, by whom, how far. The merchant is owed when a parcel has arrived, not before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from app import audit, notices, payments, redemptions
from app.db import connection, read, session
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.orders import addresses
from app.orders.models import Order, Parcel
from app.payments import shipping

RECEIVED_AFTER = timedelta(days=10)
ADDRESS_KEPT = timedelta(days=90)

ADDRESS_NEEDED = declare(
    "address_needed", Kind.INVALID, zh="请选择收货地址。", en="Choose the address that the parcel goes to."
)
NO_ADDRESS_HERE = declare(
    "no_address_here",
    Kind.INVALID,
    zh="该商品不需要收货地址，请勿填写。",
    en="This item is not sent anywhere: leave the address out.",
)
SHIPPED_ALREADY = declare(
    "shipped_already",
    Kind.CONFLICT,
    zh="包裹已发出，不能再修改地址。如需帮助请联系客服。",
    en="The parcel is on its way, so its address can't be changed. Ask our service for help.",
)


def check_wish(*, ships: bool, address_id: int | None) -> None:
    """Raises ADDRESS_NEEDED for a parcel without an address, NO_ADDRESS_HERE for anything else with one."""
    if ships and address_id is None:
        raise ADDRESS_NEEDED()
    if not ships and address_id is not None:
        raise NO_ADDRESS_HERE()


def plan(*, order_id: int, person_id: int, address_id: int | None, served: Sequence[str] | None) -> None:
    """A parcel to be sent, to the address as it reads now. Raises NOT_FOUND, ADDRESS_NOT_SERVED."""
    address = addresses.mine(address_id or 0, person_id)
    addresses.serve(address.province, served)
    session().add(Parcel(order_id=order_id, province=address.province, address_sealed=bytes(address.sealed)))
    session().flush()


def readdress(*, order_id: int, person_id: int, address_id: int, served: Sequence[str] | None) -> None:
    """Send it elsewhere while it hasn't left. Raises NOT_FOUND, SHIPPED_ALREADY, ADDRESS_NOT_SERVED."""
    parcel = locked(order_id)
    if session().get_one(Order, order_id).person_id != person_id:
        raise NOT_FOUND(order=str(order_id))
    if parcel.state != "waiting":
        raise SHIPPED_ALREADY(state=parcel.state)
    address = addresses.mine(address_id, person_id)
    addresses.serve(address.province, served)
    parcel.province, parcel.address_sealed = address.province, bytes(address.sealed)
    session().flush()


def ship(*, order_id: int, carrier: str, tracking_no: str, at: datetime) -> Parcel:
    """A parcel is on its way; again with another number mends a wrong one. WeChat is told once, when
    money was paid.

    Raises NOT_FOUND, STATE_CONFLICT when it isn't paid, or has arrived.
    """
    order, parcel = _order(order_id), locked(order_id)
    if order.state != "paid" or parcel.state not in ("waiting", "shipped", "lost"):
        raise STATE_CONFLICT(state=parcel.state if order.state == "paid" else order.state)
    parcel.carrier, parcel.tracking_no, parcel.state = carrier, tracking_no, "shipped"
    parcel.shipped_at = at
    session().flush()
    payment = payments.of_order(order_id)
    if payment is not None and payment.state == "paid" and not shipping.told(payment.id):
        shipping.ship(payment_id=payment.id, carrier=carrier, tracking_no=tracking_no, at=at)
    _tell(order, f"shipped:{tracking_no}", f"您的包裹已由{carrier}发出，运单号 {tracking_no}。",
          f"Your parcel is on its way with {carrier}, number {tracking_no}.", at)  # fmt: skip
    return parcel


def receive(*, order_id: int, by: str, at: datetime, person_id: int | None = None) -> None:
    """The parcel has arrived: the merchant is owed, the order is completed. Twice is once.

    Raises NOT_FOUND for another's order, STATE_CONFLICT for one that has not left.
    """
    order, parcel = _order(order_id), locked(order_id)
    if person_id is not None and order.person_id != person_id:
        raise NOT_FOUND(order=str(order_id))
    if parcel.state == "received":
        return
    if parcel.state != "shipped":
        raise STATE_CONFLICT(state=parcel.state)
    parcel.state, parcel.received_at = "received", at
    session().flush()
    redemptions.fulfil(order_id=order_id, by=by, at=at)
    done = update(Order).where(Order.id == order_id, Order.state.in_(("paid", "fulfilled")))
    connection().execute(done.values(state="completed", fulfilled_at=at))


def lose(*, order_id: int, at: datetime) -> None:
    """A parcel that never arrives: it can be sent again, or the order refunded. Raises NOT_FOUND, STATE_CONFLICT."""
    parcel = locked(order_id)
    if parcel.state not in ("shipped", "lost"):
        raise STATE_CONFLICT(state=parcel.state)
    parcel.state = "lost"
    session().flush()
    _tell(_order(order_id), "lost", "您的包裹在运输中丢失，我们会补发或为您退款。",
          "Your parcel was lost on its way. We send it again, or refund it.", at)  # fmt: skip


def cancel(order_id: int) -> None:
    """An order that is refunded or ended sends nothing; what is on its way is no longer waited for."""
    ended = update(Parcel).where(Parcel.order_id == order_id, Parcel.state.in_(("waiting", "shipped", "lost")))
    connection().execute(ended.values(state="cancelled"))


_ARRIVED = "select order_id from parcels where state = 'shipped' and shipped_at <= %(before)s limit 200"
_FORGET = """
    update parcels p set address_sealed = null
    where address_sealed is not null and (received_at <= %(before)s or state = 'cancelled' or state = 'received'
      and exists (select from orders o join persons r on r.id = o.person_id
                  where o.id = p.order_id and r.state = 'deleted'))
"""


def arrived(at: datetime) -> list[int]:
    """Orders whose parcel left ten days ago and nobody complained: they count as received."""
    return [row.order_id for row in read(_ARRIVED, {"before": at - RECEIVED_AFTER})]


def forget(at: datetime) -> None:
    """Addresses of parcels that arrived long ago, or to somebody who has left, or never leave, are forgotten."""
    connection().exec_driver_sql(_FORGET, {"before": at - ADDRESS_KEPT})


_WAITING = """
    select p.order_id, p.province, p.address_sealed, p.state, p.carrier, p.tracking_no, o.quantity, i.code as item,
           i.name, o.paid_at
    from parcels p join orders o on o.id = p.order_id join items i on i.id = o.item_id
    where o.program_id = %(program)s and o.state = 'paid' and p.state in ('waiting', 'lost') and o.id > %(after)s
    order by o.id limit %(limit)s
"""


def waiting(program_id: int, *, after: int, limit: int) -> list[Any]:
    """What is to be sent, oldest first, with sealed addresses for whoever packs."""
    return read(_WAITING, {"program": program_id, "after": after, "limit": limit})


def looked_at(order_ids: Sequence[int], *, by: str, program_id: int, at: datetime) -> None:
    """Write down who saw these addresses."""
    audit.write(
        actor=by, action="parcels.addresses", object_type="program", object_id=program_id, at=at, program_id=program_id,
        after={"orders": list(order_ids)},
    )  # fmt: skip


def locked(order_id: int) -> Parcel:
    """The parcel of an order, locked. Raises NOT_FOUND."""
    found = session().scalars(select(Parcel).where(Parcel.order_id == order_id).with_for_update()).first()
    if found is None:
        raise NOT_FOUND(order=str(order_id))
    return found


def _order(order_id: int) -> Order:
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


def has_left(order_id: int) -> bool:
    """Whether the parcel of an order, if it has one, is on its way or further."""
    found = session().get(Parcel, order_id)
    return found is not None and found.state not in ("waiting", "cancelled")
