"""Bookings: an order's time for its service. Capacity is guarded by the slot's own row."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from app import redemptions
from app.db import connection, read, run, session
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.mall.models import Slot
from app.orders.models import Booking, Order

CHANGE_UNTIL = timedelta(hours=2)
LATE = timedelta(hours=1)  # a scan a little after the end still counts as having come

SLOT_NEEDED = declare("slot_needed", Kind.INVALID, zh="请选择预约时间。", en="Choose a time for this service.")
NO_SLOTS_HERE = declare(
    "no_slots_here",
    Kind.INVALID,
    zh="该商品不需要预约，请勿填写预约时间。",
    en="This item is not booked: leave the time out.",
)
SLOT_FULL = declare(
    "slot_full",
    Kind.CONFLICT,
    zh="该时段已约满或已开始，请选择其他时段。",
    en="That time is full or has begun. Choose another.",
)
BOOKING_CLOSED = declare(
    "booking_closed",
    Kind.CONFLICT,
    zh="距开始不足 2 小时，不能再改约或取消预约，请联系商户。",
    en="It begins within two hours, so the booking stands. Call the merchant.",
)


def check_wish(*, takes_slots: bool, slot_id: int | None) -> None:
    """Raises SLOT_NEEDED for a service with slots and no time, NO_SLOTS_HERE for anything else with one."""
    if takes_slots and slot_id is None:
        raise SLOT_NEEDED()
    if not takes_slots and slot_id is not None:
        raise NO_SLOTS_HERE()


def book(*, order_id: int, item_id: int, slot_id: int, pieces: int, at: datetime) -> None:
    """Take a time for an order. Raises SLOT_FULL."""
    _take(item_id, slot_id, pieces, at)
    session().add(Booking(order_id=order_id, slot_id=slot_id, pieces=pieces, booked_at=at))
    session().flush()


def rebook(*, order_id: int, person_id: int, slot_id: int, at: datetime) -> None:
    """Move to another time, or book again after a cancelled or missed one, while the order's code is unused.

    Raises NOT_FOUND, BOOKING_CLOSED, SLOT_FULL, STATE_CONFLICT.
    """
    order, booking, slot = _mine(order_id, person_id)
    if order.state != "paid":
        raise STATE_CONFLICT(state=order.state)
    if booking.state == "booked" and booking.slot_id == slot_id:
        return
    if booking.state == "booked":
        _changeable(slot, at)
    if booking.state != "cancelled":  # a time that was missed is left too
        _free(booking.slot_id, booking.pieces)
    _take(order.item_id, slot_id, booking.pieces, at)
    booking.slot_id, booking.state, booking.booked_at, booking.ended_at = slot_id, "booked", at, None
    session().flush()


def cancel(*, order_id: int, person_id: int, at: datetime) -> None:
    """Give the time back; the order stands and can be booked again. Twice is once. Raises NOT_FOUND, BOOKING_CLOSED."""
    _, booking, slot = _mine(order_id, person_id)
    if booking.state == "cancelled":
        return
    _changeable(slot, at)
    drop(order_id, at)


def drop(order_id: int, at: datetime) -> None:
    """An order that ends needs no time."""
    booking = session().get(Booking, order_id, with_for_update=True)
    if booking is not None and booking.state == "booked":
        _free(booking.slot_id, booking.pieces)
        booking.state, booking.ended_at = "cancelled", at
        session().flush()


def shrink(order_id: int, pieces: int) -> None:
    """Some pieces of an order came back: their places are free."""
    booking = session().get(Booking, order_id, with_for_update=True)
    if booking is None:
        return
    if booking.state != "cancelled":
        _free(booking.slot_id, pieces)
    booking.pieces -= pieces
    session().flush()


_OVER = """
    select b.order_id from bookings b join service_slots s on s.id = b.slot_id
    where b.state = 'booked' and s.ends_at <= %(before)s order by b.order_id limit 200
"""
_UNUSED = """
    select count(*) filter (where c.state = 'issued' and c.uses_left = c.uses) as unused, count(*) as codes, i.no_show
    from codes c join orders o on o.id = c.order_id join items i on i.id = o.item_id
    where o.id = %(order)s group by i.no_show
"""


def over(at: datetime) -> list[int]:
    """Orders whose time has passed and that nobody has looked at yet."""
    return [row.order_id for row in read(_OVER, {"before": at - LATE})]


def close(order_id: int, at: datetime) -> str:
    """After the time: attended when a code was scanned, else no-show; then by the item's rule its codes are spent, or
    kept for another booking. Answers the state."""
    booking = session().get(Booking, order_id, with_for_update=True)
    if booking is None or booking.state != "booked":
        return "" if booking is None else booking.state
    rows = run(_UNUSED, {"order": order_id})
    missed = bool(rows) and rows[0].unused == rows[0].codes
    booking.state, booking.ended_at = ("no_show" if missed else "attended"), at
    session().flush()
    if missed and rows[0].no_show == "spent":
        redemptions.fulfil(order_id=order_id, by="system:no-show", at=at)
    return booking.state


_SLOTS = """
    select id, starts_at, ends_at, capacity - taken as free from service_slots
    where item_id = %(item)s and starts_at > %(at)s order by starts_at limit 200
"""


def slots(item_id: int, at: datetime) -> list[Any]:
    """The times that can still be booked, with how many places are free."""
    return read(_SLOTS, {"item": item_id, "at": at})


def _mine(order_id: int, person_id: int) -> tuple[Order, Booking, Slot]:
    order = session().get(Order, order_id, with_for_update=True, populate_existing=True)
    if order is None or order.person_id != person_id:
        raise NOT_FOUND(order=str(order_id))
    query = select(Booking, Slot).join(Slot, Slot.id == Booking.slot_id).where(Booking.order_id == order_id)
    found = session().execute(query.with_for_update(of=Booking)).first()
    if found is None:
        raise NOT_FOUND(booking=str(order_id))
    return order, found[0], found[1]


def _changeable(slot: Slot, at: datetime) -> None:
    if slot.starts_at - at < CHANGE_UNTIL:
        raise BOOKING_CLOSED(starts_at=slot.starts_at.isoformat())


def _take(item_id: int, slot_id: int, pieces: int, at: datetime) -> None:
    room = update(Slot).where(Slot.id == slot_id, Slot.item_id == item_id, Slot.starts_at > at)
    taken = room.where(Slot.taken + pieces <= Slot.capacity).values(taken=Slot.taken + pieces).returning(Slot.id)
    if connection().execute(taken).first() is None:
        raise SLOT_FULL(slot=str(slot_id))


def _free(slot_id: int, pieces: int) -> None:
    connection().execute(update(Slot).where(Slot.id == slot_id).values(taken=Slot.taken - pieces))
