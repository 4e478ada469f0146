"""What WeChat must hear about the goods of a payment, or the money stays frozen (order shipping management, 3.10).

A shipment is made with the payment that it belongs to (``payment_accept``), due ten seconds later: before that WeChat
doesn't know the payment (10060001). The sweep of every minute uploads what is due.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from app.db import connection, run, session
from app.errors import NOT_FOUND, STATE_CONFLICT
from app.payments import differences
from app.payments.models import Payment, Shipment

EXPRESS, CITY, VIRTUAL, PICK_UP = 1, 2, 3, 4
GIVE_UP_AFTER = 12
CLAIMED_FOR = timedelta(minutes=2)


def ship(*, payment_id: int, carrier: str, tracking_no: str, at: datetime) -> Shipment:
    """A parcel is on its way: now WeChat can be told. Raises NOT_FOUND, STATE_CONFLICT for what needs no shipping."""
    found = session().scalars(select(Shipment).where(Shipment.payment_id == payment_id).with_for_update()).first()
    if found is None:
        raise NOT_FOUND(payment=str(payment_id))
    if (found.carrier, found.tracking_no) == (carrier, tracking_no):
        return found
    if found.logistics != EXPRESS or found.state == "sent":
        raise STATE_CONFLICT(state=found.state)
    found.carrier, found.tracking_no, found.state, found.next_try_at = carrier, tracking_no, "due", at
    session().flush()
    return found


def told(payment_id: int) -> bool:
    """Whether WeChat has heard already that the goods left: what is sent again then is between us and the person."""
    found = session().scalar(select(Shipment.state).where(Shipment.payment_id == payment_id).with_for_update())
    return found == "sent"


def sent(shipment_id: int, *, problem: str | None, at: datetime) -> None:
    """WeChat has it. ``problem`` names the code of an answer that amounts to the same (10060002, 10060023)."""
    found = _locked(shipment_id)
    found.state, found.sent_at, found.next_try_at, found.problem = "sent", at, None, problem
    session().flush()
    differences.well(goods_of=found.payment_id, by="system:shipping", at=at)


def put_off(shipment_id: int, *, problem: str, at: datetime) -> None:
    """Not yet: once more later, twice as late each time; after an hour or so a person looks."""
    found = _locked(shipment_id)
    if found.tries >= GIVE_UP_AFTER:
        give_up(shipment_id, problem=problem, at=at)
        return
    found.tries += 1
    found.problem = problem
    found.next_try_at = at + timedelta(seconds=min(10 * 2**found.tries, 1800))
    session().flush()


def give_up(shipment_id: int, *, problem: str, at: datetime) -> None:
    """WeChat won't take it as it is: a person must look."""
    found = _locked(shipment_id)
    found.state, found.problem, found.next_try_at = "given_up", problem, None
    session().flush()
    payment = session().get_one(Payment, found.payment_id)
    trouble = differences.Found(
        "shipping", payment.out_trade_no, program_id=payment.program_id, payment_id=payment.id, theirs=problem
    )
    differences.note([trouble], mchid=payment.mchid, at=at)


def drop(payment_id: int) -> None:
    """A refunded payment ships nothing."""
    found = session().scalars(select(Shipment).where(Shipment.payment_id == payment_id).with_for_update()).first()
    if found is not None and found.state in ("waiting", "due"):
        found.state, found.next_try_at, found.problem = "given_up", None, "refunded"


_DUE = """
    select s.id, s.logistics, s.title, s.carrier, s.tracking_no, s.tries, p.out_trade_no, p.transaction_id, p.mchid,
           p.appid, p.person_id
    from shipments s join payments p on p.id = s.payment_id
    where s.id = %(id)s
"""


def claim(shipment_id: int, *, at: datetime) -> Any | None:
    """What is to be uploaded now, for one uploader: whoever comes second finds it not due.

    A claim that comes to nothing is due again a little later.
    """
    mine = update(Shipment).where(Shipment.id == shipment_id, Shipment.state == "due", Shipment.next_try_at <= at)
    if connection().execute(mine.values(next_try_at=at + CLAIMED_FOR).returning(Shipment.id)).first() is None:
        return None
    return run(_DUE, {"id": shipment_id})[0]


def due(at: datetime, limit: int = 100) -> list[int]:
    """Shipments whose time has come."""
    query = select(Shipment.id).where(Shipment.state == "due", Shipment.next_try_at <= at)
    return list(session().scalars(query.order_by(Shipment.next_try_at).limit(limit)))


def _locked(shipment_id: int) -> Shipment:
    found = session().get(Shipment, shipment_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NOT_FOUND(shipment=str(shipment_id))
    return found
