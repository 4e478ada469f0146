"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from app.db import run

COLUMNS: Mapping[str, str] = {
    "orders.person_id": "kept: commercial record under a pseudonym",
    "item_purchases.person_id": "kept: proof that a limit held",
    "addresses.person_id": "erased",
    "cart_lines.person_id": "erased",
}
EXPORT: Mapping[str, str] = {
    "orders": (
        "select o.id::text, p.code as program, i.code as item, o.client_ref, o.quantity, o.credits,"
        " o.state, o.placed_at,"
        " o.fulfilled_at from orders o join programs p on p.id = o.program_id join items i on i.id = o.item_id"
        " where o.person_id = :person_id order by o.id"
    ),
    "addresses": (
        "select id::text, province, is_default, changed_at from addresses where person_id = :person_id order by id"
    ),
    "cart": (
        "select i.code as item, c.quantity, c.added_at from cart_lines c join items i on i.id = c.item_id"
        " where c.person_id = :person_id order by c.item_id"
    ),
    "parcels": (
        "select p.order_id::text, p.state, p.carrier, p.tracking_no, p.shipped_at, p.received_at from parcels p"
        " join orders o on o.id = p.order_id where o.person_id = :person_id order by p.order_id"
    ),
    "invoice_requests": (
        "select r.order_id::text, r.fen, r.state, r.number, r.asked_at from invoice_requests r"
        " join orders o on o.id = r.order_id where o.person_id = :person_id order by r.order_id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Orders that wait for their money: they end, and the credits that they hold come back to nobody."""
    rows = run(
        "select p.code as program, i.name, o.credits from orders o join items i on i.id = o.item_id"
        " join programs p on p.id = o.program_id"
        " where o.person_id = %(person)s and o.state in ('placed', 'paying') order by o.id",
        {"person": person_id},
    )
    return [{"what": "unpaid_order", "program": row.program, "name": row.name, "amount": row.credits} for row in rows]


_ERASE = (
    "delete from addresses where person_id = %(person)s",
    "delete from cart_lines where person_id = %(person)s",
    "update parcels set address_sealed = null where state in ('received', 'cancelled')"
    " and order_id in (select id from orders where person_id = %(person)s)",
    "update invoice_requests set sealed = null, state = case state when 'asked' then 'refused' else state end,"
    " ended_at = coalesce(ended_at, %(at)s) where order_id in (select id from orders where person_id = %(person)s)",
)


def erase(person_id: int, at: datetime) -> None:
    """Addresses, cart and what stood on invoices go; a parcel that was paid and has not arrived still needs its
    address, until the job forgets it. Orders stay under the pseudonym."""
    for statement in _ERASE:
        run(statement, {"person": person_id, "at": at})
