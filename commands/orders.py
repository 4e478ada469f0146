"""``flask orders``: parcels, bookings, returns by hand, e-invoices."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click
from flask.cli import AppGroup

from app import approvals, audit, orders, programs
from app.approvals import Approval
from app.clock import SHANGHAI, now
from app.db import session, transaction
from app.errors import NOT_FOUND
from commands.shared import (
    actor,
    actor_option,
    dry,
    dry_option,
    json_option,
    program_option,
    refused_with_words,
    show,
)

group = AppGroup("orders", help="Parcels, bookings, returns, e-invoices.")
RETURN = "orders.return"


def _note(handle: str, action: str, order_id: int, after: dict[str, Any] | None = None) -> None:
    """Who did what to an order: what is received is owed."""
    audit.write(
        actor=actor(handle), action=f"order.{action}", object_type="order", object_id=order_id, at=now(), after=after
    )


@group.command("parcels")
@program_option
@click.option("--after", type=int, default=0, help="order id of the last line before")
@click.option("--addresses", is_flag=True, help="with whole addresses, for packing; this look is written down")
@json_option
@actor_option
def parcels(code: str, after: int, addresses: bool, as_json: bool, handle: str) -> None:
    """What is to be sent, oldest first."""
    with refused_with_words():
        program = programs.by_code(code)
        rows = orders.parcels.waiting(program.id, after=after, limit=50)
        if addresses:
            with transaction():
                seen = [row.order_id for row in rows]
                orders.parcels.looked_at(seen, by=actor(handle), program_id=program.id, at=now())
        show((_parcel(row, addresses) for row in rows), as_json=as_json, empty="nothing is to be sent")


def _parcel(row: Any, whole: bool) -> dict[str, Any]:
    place = orders.addresses.opened(row.address_sealed)
    line = {"order": row.order_id, "item": row.item, "pieces": row.quantity, "state": row.state, "to": place.province}
    if not whole:
        return line
    return {**line, "city": place.city, "district": place.district, "detail": place.detail, "name": place.name,
            "phone": place.phone}  # fmt: skip


@group.command("ship")
@click.argument("order_id", type=int)
@click.option("--carrier", required=True, help="as WeChat names it: SF, ZTO, …")
@click.option("--number", required=True, help="tracking number; given again, it mends a wrong one")
@dry_option
@actor_option
def ship(order_id: int, carrier: str, number: str, dry_run: bool, handle: str) -> None:
    """A parcel is on its way: the person is told, and WeChat where money was paid."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        orders.parcels.ship(order_id=order_id, carrier=carrier, tracking_no=number, at=now())
        _note(handle, "ship", order_id, {"carrier": carrier, "number": number})
        click.echo(f"order {order_id} is on its way: {carrier} {number}")
        trial.done()


@group.command("received")
@click.argument("order_id", type=int)
@dry_option
@actor_option
def received(order_id: int, dry_run: bool, handle: str) -> None:
    """A parcel has arrived: the merchant is owed. It happens by itself ten days after it left."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        orders.parcels.receive(order_id=order_id, by=actor(handle), at=now())
        _note(handle, "received", order_id)
        click.echo(f"order {order_id} is completed")
        trial.done()


@group.command("lost")
@click.argument("order_id", type=int)
@dry_option
@actor_option
def lost(order_id: int, dry_run: bool, handle: str) -> None:
    """A parcel never arrives: send it again (`ship`), or ask for its return (`return`)."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        orders.parcels.lose(order_id=order_id, at=now())
        _note(handle, "lost", order_id)
        click.echo(f"the parcel of order {order_id} is lost")
        trial.done()


@group.command("return")
@click.argument("order_id", type=int)
@click.option("--code", "code_ids", type=int, multiple=True, help="only these codes; may be repeated")
@click.option("--reason", required=True, help="the person and WeChat read it")
@actor_option
def give_back(order_id: int, code_ids: tuple[int, ...], reason: str, handle: str) -> None:
    """Ask to return unused pieces of an order, with credits and money; a second operator approves."""
    with refused_with_words(), transaction():
        found = session().get(orders.Order, order_id)
        if found is None:
            raise NOT_FOUND(order=str(order_id))
        payload = {"order_id": order_id, "code_ids": list(code_ids) or None}
        asked = approvals.ask(
            action=RETURN, payload=payload, reason=reason, maker=actor(handle), at=now(), program_id=found.program_id
        )
        click.echo(f"asked: another operator approves with `flask approvals approve {asked.id}`")


def _return(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    orders.refund(
        order_id=payload["order_id"], code_ids=payload["code_ids"], reason=approval.reason,
        asked_by=approval.checker or "", at=at,
    )  # fmt: skip
    return f"order {payload['order_id']}: unused pieces returned"


EXECUTORS = {RETURN: _return}


@group.command("invoices")
@program_option
@json_option
@actor_option
def invoices(code: str, as_json: bool, handle: str) -> None:
    """E-invoices that were asked for, oldest first, with what must stand on them."""
    with refused_with_words():
        program = programs.by_code(code)
        rows = orders.invoices.open_requests(program.id)
        with transaction():
            orders.invoices.looked_at([row.order_id for row in rows], by=actor(handle), program_id=program.id, at=now())
        show((_invoice(row) for row in rows), as_json=as_json, empty="no invoice is asked for")


def _invoice(row: Any) -> dict[str, Any]:
    wanted = orders.invoices.opened(row.sealed)
    return {
        "order": row.order_id,
        "fen": row.fen,
        "title": wanted.title,
        "tax number": wanted.tax_number,
        "email": wanted.email,
        "asked": row.asked_at.astimezone(SHANGHAI).isoformat(timespec="minutes"),
    }


@group.command("invoice")
@click.argument("order_id", type=int)
@click.option("--number", help="the invoice is out under this number")
@click.option("--refuse", "words", help="it can't be issued, and why; the person reads it")
@dry_option
@actor_option
def invoice(order_id: int, number: str | None, words: str | None, dry_run: bool, handle: str) -> None:
    """Say what became of a request for an e-invoice."""
    if (number is None) == (words is None):
        raise click.UsageError("either --number or --refuse")
    with refused_with_words(), dry(dry_run) as trial, transaction():
        _note(handle, "invoice", order_id, {"number": number})
        if number is not None:
            orders.invoices.issue(order_id=order_id, number=number, at=now())
        else:
            orders.invoices.refuse(order_id=order_id, words=words or "", at=now())
        click.echo(f"order {order_id}: {'issued' if number else 'refused'}")
        trial.done()
