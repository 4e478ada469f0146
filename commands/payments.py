"""``flask payments``: the bills against our books, what doesn't agree, refunds by hand, parcels on their way."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup

import till
from app import approvals, orders, payments
from app.approvals.models import Approval
from app.clock import business_day, now
from app.db import read, session, transaction
from app.errors import NOT_FOUND, STATE_CONFLICT
from app.payments import bills, differences, notices, refunds
from app.payments.models import PaymentDifference
from commands.shared import actor, actor_option, json_option, refused_with_words, show
from till import kept_bills
from wechat.pay import errors as pay

group = AppGroup("payments", help="Payments by WeChat Pay: bills, differences, refunds, shipping.")

SETTLE = "payments.settle"
REFUND = "payments.refund"
AGAIN = "payments.refund_again"
TRANSFERRED = "payments.transferred"


@group.command("reconcile")
@click.argument("day", required=False)
@click.option("--dry-run", is_flag=True, help="Compare, write nothing.")
@json_option
def reconcile(day: str | None, dry_run: bool, as_json: bool) -> None:
    """Compare WeChat's bills of a Beijing day (YYYY-MM-DD, yesterday if left out) with our books.

    Exit 0: everything agrees. 1: differences were found (`flask payments differences`), or the bill is not there yet.
    """
    with refused_with_words():
        wanted = _day(day)
        try:
            reports = till.reconcile(till.get(), wanted, dry_run=dry_run)
        except pay.PayError as error:
            raise click.ClickException(f"no usable bill of {wanted}: {error}") from None
    show((_line(report) for report in reports), as_json=as_json)
    if any(report.differences for report in reports):
        raise SystemExit(1)


def _day(text: str | None) -> date:
    try:
        return date.fromisoformat(text) if text else business_day(now()) - timedelta(days=1)
    except ValueError:
        raise click.UsageError("DAY is written YYYY-MM-DD") from None


def _line(report: bills.Report) -> dict[str, Any]:
    return {
        "day": report.day,
        "bill": report.kind,
        "lines": report.lines,
        "agree": report.matched,
        "income fen": report.income_fen,
        "expense fen": report.expense_fen,
        "fees fen": report.fee_millifen / 1000,
        "differences": report.found,
    }


@group.command("differences")
@click.option("--all", "everything", is_flag=True, help="Also those that are mended or settled.")
@json_option
def list_differences(everything: bool, as_json: bool) -> None:
    """What about money doesn't agree or needs a person, oldest first."""
    rows = differences.listed(everything=everything)
    show((dict(row._asdict()) for row in rows), as_json=as_json, empty="everything agrees")


@group.command("bills")
@click.option("--verify", is_flag=True, help="Read each file and compare its hash; exit 1 when one is damaged.")
@click.option("--copy", "target", type=click.Path(file_okay=False, path_type=Path), help="also unpack them there")
@json_option
def list_bills(verify: bool, target: Path | None, as_json: bool) -> None:
    """WeChat's bills as they came, kept in BILLS_FOLDER for ten years."""
    found = list(kept_bills.kept(current_app.config["SETTINGS"].bills_folder, verify=verify))
    for one in found if target is not None else ():
        target.mkdir(parents=True, exist_ok=True)
        kept_bills.copy_of(one, target / one.path.name.removesuffix(".gz"))
    lines = (
        {"merchant": one.mchid, "day": one.day, "bill": one.kind, "bytes": one.size_bytes, "sha1": one.sha1,
         "whole": {None: "", True: "yes", False: "DAMAGED"}[one.whole]}
        for one in found
    )  # fmt: skip
    show(lines, as_json=as_json, empty="none was kept yet")
    if any(one.whole is False for one in found):
        raise SystemExit(1)


@group.command("settle")
@click.argument("difference_id", type=int)
@click.option("--reason", required=True, help="why it is so; kept for ever")
@actor_option
def settle(difference_id: int, reason: str, handle: str) -> None:
    """Ask to take a difference off the list; a second operator approves. It moves no money."""
    with refused_with_words(), transaction():
        found = session().get(PaymentDifference, difference_id)
        if found is None:
            raise NOT_FOUND(difference=str(difference_id))
        if found.state != "open":
            raise STATE_CONFLICT(state=found.state)
        payload = {"difference_id": found.id, "kind": found.kind, "number": found.number}
        _ask(SETTLE, payload, reason, handle, found.program_id)


@group.command("refund")
@click.argument("order_id", type=int)
@click.option("--fen", type=click.IntRange(1), help="only so much; without it the whole order is refunded")
@click.option("--reason", required=True, help="the person and WeChat read it")
@actor_option
def refund(order_id: int, fen: int | None, reason: str, handle: str) -> None:
    """Ask to refund an order, or a part of its money; a second operator approves."""
    with refused_with_words(), transaction():
        found = session().get(orders.Order, order_id)
        if found is None:
            raise NOT_FOUND(order=str(order_id))
        _ask(REFUND, {"order_id": order_id, "fen": fen}, reason, handle, found.program_id)


@group.command("refund-again")
@click.argument("refund_id", type=int)
@click.option("--reason", required=True)
@actor_option
def refund_again(refund_id: int, reason: str, handle: str) -> None:
    """Ask to repeat a refund that WeChat closed, under a new number; a second operator approves."""
    with refused_with_words(), transaction():
        found = session().get(payments.Refund, refund_id)
        if found is None:
            raise NOT_FOUND(refund=str(refund_id))
        _ask(AGAIN, {"refund_id": refund_id}, reason, handle, found.program_id)


@group.command("transferred")
@click.argument("refund_id", type=int)
@click.option("--evidence", required=True, help="number and day of the bank transfer, and where its receipt lies")
@actor_option
def transferred(refund_id: int, evidence: str, handle: str) -> None:
    """Note that a refund which WeChat can't bring to its payer was paid by our bank; a second operator approves.

    First make sure in WeChat's merchant platform that it will not pay as well: 退款异常 → 退到商户银行卡.
    """
    with refused_with_words(), transaction():
        found = session().get(payments.Refund, refund_id)
        if found is None:
            raise NOT_FOUND(refund=str(refund_id))
        refunds.check_stuck(found)
        payload = {"refund_id": refund_id, "number": found.out_refund_no, "fen": found.fen, "evidence": evidence}
        _ask(TRANSFERRED, payload, evidence, handle, found.program_id)


@group.command("sweep")
def sweep() -> None:
    """Do what is due now, instead of at the worker's next full minute: looks, closings, refunds, uploads."""
    with refused_with_words():
        click.echo(f"{till.sweep()} looked at")


@group.command("notices")
@click.option("--all", "everything", is_flag=True, help="Also those that were settled or ignored.")
@json_option
def list_notices(everything: bool, as_json: bool) -> None:
    """Notices of WeChat Pay that were refused, or are genuine and could not be read; newest first."""
    show((dict(row._asdict()) for row in notices.listed(everything=everything)), as_json=as_json, empty="none")


@group.command("read-again")
@json_option
def read_again(as_json: bool) -> None:
    """Read kept notices again, once the APIv3 key is right or this version understands them. May be repeated."""
    with refused_with_words():
        outcomes = till.read_again(till.get())
    rows = ({"notice": notice, "outcome": heard.outcome, "problem": heard.problem} for notice, heard in outcomes)
    show(rows, as_json=as_json, empty="nothing waits to be read")


@group.command("ship")
@click.argument("order_id", type=int)
@click.option("--carrier", required=True, help="WeChat's code of the carrier, for example ZTO")
@click.option("--tracking", required=True)
@actor_option
def ship(order_id: int, carrier: str, tracking: str, handle: str) -> None:
    """A parcel is on its way: the person is told, and WeChat, which then releases the money."""
    with refused_with_words(), transaction():
        actor(handle)
        orders.parcels.ship(order_id=order_id, carrier=carrier, tracking_no=tracking, at=now())
        click.echo(f"order {order_id}: {carrier} {tracking}")


@group.command("show")
@click.argument("number")
@json_option
def show_payment(number: str, as_json: bool) -> None:
    """A payment's life, by its number (商户订单号) or its order: each step, each refund, each notice."""
    with refused_with_words():
        found = payments.find(number) or (payments.of_order(int(number)) if number.isdigit() else None)
        if found is None:
            raise NOT_FOUND(payment=number)
        show(_life(found), as_json=as_json)


def _life(payment: Any) -> list[dict[str, Any]]:
    """Steps, refunds and notices of a payment in the order of time."""
    rows = [(row.at, f"{row.from_state or '-'} → {row.to_state}", row.why) for row in payments.timeline(payment.id)]
    heard = read(
        "select received_at, event_type, state, problem, times from payment_notices where number = %(number)s"
        " or number in (select out_refund_no from refunds where payment_id = %(id)s)",
        {"number": payment.out_trade_no, "id": payment.id},
    )
    rows += [(row.received_at, row.event_type, f"{row.problem or row.state} ×{row.times}") for row in heard]
    for row in read("select * from shipments where payment_id = %(id)s", {"id": payment.id}):
        told = {"told to WeChat": row.sent_at, "WeChat reminds": row.reminded_at, "received": row.received_at}
        rows += [
            (at, "shipping", word)
            for word, at in {**told, "settled by WeChat": row.settled_at}.items()
            if at is not None
        ]
    given = read("select * from refunds where payment_id = %(id)s", {"id": payment.id})
    rows += [(row.asked_at, f"refund {row.out_refund_no}", f"{row.fen} fen, {row.state}") for row in given]
    return [{"at": at, "what": what, "how": how} for at, what, how in sorted(rows, key=lambda row: row[0])]


def _ask(action: str, payload: dict[str, Any], reason: str, handle: str, program_id: int | None) -> None:
    asked = approvals.ask(
        action=action, payload=payload, reason=reason, maker=actor(handle), at=now(), program_id=program_id
    )
    click.echo(f"approval {asked.id} waits for a second person: flask approvals approve {asked.id} --as …")


# What an approval runs (see commands/approvals.py). Refunds are only asked for here; the worker calls WeChat.


def run_settle(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    """Take a difference off the list."""
    found = differences.settle(
        difference_id=payload["difference_id"],
        reason=approval.reason,
        by=approval.checker or "",
        approval_id=approval.id,
        at=at,
    )
    return f"difference {found.id} settled"


def run_refund(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    """Refund an order, or a part of its money."""
    values = {"order_id": payload["order_id"], "reason": approval.reason, "asked_by": approval.maker, "at": at}
    fen = payload["fen"]
    asked = orders.refund(**values) if fen is None else orders.refund_part(fen=fen, **values)
    if asked is None:
        return f"order {payload['order_id']}: its credits are back, there was no money to refund"
    return f"refund {asked.id} {asked.out_refund_no}: {asked.fen} fen are on their way"


def run_refund_again(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    """Repeat a refund that was closed."""
    asked = orders.refund_again(refund_id=payload["refund_id"], asked_by=approval.maker, at=at)
    return f"refund {asked.id} {asked.out_refund_no}: {asked.fen} fen are on their way"


def run_transferred(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    """Book a refund that our bank has paid."""
    done = orders.refund_by_bank(
        refund_id=payload["refund_id"], evidence=payload["evidence"], by=approval.checker or "",
        approval_id=approval.id, at=at,
    )  # fmt: skip
    return f"refund {done.id} {done.out_refund_no}: {done.fen} fen were paid by the bank"


EXECUTORS = {SETTLE: run_settle, REFUND: run_refund, AGAIN: run_refund_again, TRANSFERRED: run_transferred}
