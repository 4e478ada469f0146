"""E-invoices (数电发票) over the money of an order: asked by the person, issued by an operator outside, sent by mail.

Credits are a benefit, not a payment: an invoice covers the cash part alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from app import audit, notices, payments, vault
from app.db import read, session
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.orders.models import InvoiceRequest, Order

SEALED = "invoice"
# GB 32100-2015: 18 characters of a unified social credit code; older tax numbers had 15 or 20.
TAX_NUMBER = re.compile(r"[0-9A-HJ-NPQRTUWXY]{15,20}", re.ASCII)

NOTHING_TO_INVOICE = declare(
    "nothing_to_invoice",
    Kind.CONFLICT,
    zh="该订单没有可开票的现金金额（积分部分不开票），或已全部退款。",
    en="This order has no money to invoice: credits aren't invoiced, and what was refunded isn't either.",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What stands on an invoice and where it is sent. ``tax_number`` is empty for a person's own."""

    title: str = field(repr=False)
    tax_number: str = field(repr=False)
    email: str = field(repr=False)


def ask(*, order_id: int, person_id: int, wanted: Wanted, at: datetime) -> InvoiceRequest:
    """Ask for an invoice; again before it is issued mends the request. Raises NOT_FOUND, NOTHING_TO_INVOICE,
    STATE_CONFLICT for one that is issued."""
    order = session().get(Order, order_id, with_for_update=True)
    if order is None or order.person_id != person_id:
        raise NOT_FOUND(order=str(order_id))
    fen = _left(order_id)
    found = session().get(InvoiceRequest, order_id)
    if found is None:
        found = InvoiceRequest(order_id=order_id, fen=fen, asked_at=at)
        session().add(found)
    elif found.state == "issued":
        raise STATE_CONFLICT(state=found.state)
    found.sealed = vault.encrypt(SEALED, json.dumps(asdict(wanted), ensure_ascii=False))
    found.fen, found.state, found.asked_at, found.words = fen, "asked", at, ""
    session().flush()
    return found


def issue(*, order_id: int, number: str, at: datetime) -> None:
    """The invoice is out under this number, over what was not refunded. Raises NOT_FOUND, STATE_CONFLICT,
    NOTHING_TO_INVOICE."""
    found = _asked(order_id)
    found.fen = _left(order_id)
    found.state, found.number, found.ended_at = "issued", number, at
    session().flush()
    _tell(order_id, "invoiced", f"您的发票已开具，号码 {number}，已发送至您的邮箱。",
          f"Your invoice {number} is issued and sent to your mail address.", at)  # fmt: skip


def refuse(*, order_id: int, words: str, at: datetime) -> None:
    """It can't be issued, and why. Raises NOT_FOUND, STATE_CONFLICT."""
    found = _asked(order_id)
    found.state, found.words, found.ended_at = "refused", words, at
    session().flush()
    _tell(order_id, "invoice_refused", f"您的开票申请未通过：{words}", f"Your invoice could not be issued: {words}", at)


def opened(sealed: bytes) -> Wanted:
    return Wanted(**json.loads(vault.decrypt(SEALED, bytes(sealed))))


def of_order(order_id: int) -> Any | None:
    """The request of an order as its person may see it."""
    rows = read(
        "select state, number, words, fen, asked_at from invoice_requests where order_id = %(o)s", {"o": order_id}
    )
    return rows[0] if rows else None


_OPEN = """
    select r.order_id, p.total_fen - p.refunded_fen as fen, r.sealed, r.asked_at
    from invoice_requests r join orders o on o.id = r.order_id
    join payments p on p.subject_kind = 'order' and p.subject_ref = o.id and p.state = 'paid'
    where o.program_id = %(program)s and r.state = 'asked' and p.total_fen > p.refunded_fen
    order by r.asked_at limit 200
"""


def open_requests(program_id: int) -> list[Any]:
    """What waits for an operator, oldest first, over the money that has not gone back."""
    return read(_OPEN, {"program": program_id})


def looked_at(order_ids: Sequence[int], *, by: str, program_id: int, at: datetime) -> None:
    """Write down who saw what stands on these invoices."""
    audit.write(
        actor=by, action="invoices.requests", object_type="program", object_id=program_id, at=at, program_id=program_id,
        after={"orders": list(order_ids)},
    )  # fmt: skip


def _left(order_id: int) -> int:
    """The money of an order that has not gone back, in fen. Raises NOTHING_TO_INVOICE."""
    payment = payments.of_order(order_id)
    fen = 0 if payment is None or payment.state != "paid" else payment.total_fen - payment.refunded_fen
    if fen == 0:
        raise NOTHING_TO_INVOICE()
    return fen


def _asked(order_id: int) -> InvoiceRequest:
    found = session().get(InvoiceRequest, order_id, with_for_update=True)
    if found is None:
        raise NOT_FOUND(order=str(order_id))
    if found.state != "asked":
        raise STATE_CONFLICT(state=found.state)
    return found


def _tell(order_id: int, what: str, zh: str, en: str, at: datetime) -> None:
    order = session().get_one(Order, order_id)
    notices.tell(
        key=f"order:{order_id}:{what}:{at.isoformat()}", person_id=order.person_id, program_id=order.program_id,
        kind=f"order.{what}", zh=zh, en=en, at=at, details={"order_id": str(order_id)},
    )  # fmt: skip
