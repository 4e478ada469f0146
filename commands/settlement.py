"""``flask settlement``: draw statements, answer disputes, approve by two, pay with evidence, export, verify."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup
from sqlalchemy import select

from app import approvals, programs, settlement
from app.approvals.models import Approval
from app.clock import now
from app.db import session, transaction
from app.errors import Refusal
from app.settlement.models import PayoutAccount
from commands.merchants import merchant_of
from commands.shared import (
    DryRun,
    actor,
    actor_option,
    dry,
    dry_option,
    json_option,
    program_option,
    refused_with_words,
    show,
    spoken,
)

group = AppGroup("settlement", help="Merchants' statements: draw, dispute, approve, pay, export, verify.")

EXPORT = "settlement.export"
DAY = click.DateTime(["%Y-%m-%d"])


@group.command("draw")
@program_option
@click.argument("period")
@click.option("--merchant", help="only this one; all of the program if left out")
@click.option("--dry-run", is_flag=True, help="Say what would be drawn, write nothing.")
@actor_option
def draw(code: str, period: str, merchant: str | None, dry_run: bool, handle: str) -> None:
    """Draw the statements of a PERIOD (2026-11 by months; `final` for one who leaves). Drawn already: unchanged."""
    at = now()
    with refused_with_words():
        program = programs.by_code(code)
        wanted = [row.id for row in settlement.merchants_to_settle(program.id, merchant)]
        session().rollback()
        drawn = [_draw_one(code, one, period, handle, dry_run, at) for one in wanted]
    show([row for row in drawn if row], as_json=False, empty="nothing to settle")


def _draw_one(code: str, merchant_id: int, period: str, handle: str, dry_run: bool, at: datetime) -> dict[str, Any]:
    """One merchant, one transaction."""
    row: dict[str, Any] = {}
    try:
        with transaction():
            program = programs.by_code(code)
            common: dict[str, Any] = {"program": program, "merchant_id": merchant_id, "actor": actor(handle), "at": at}
            if period == "final":
                done = settlement.draw_final(**common)
            else:
                done = settlement.draw(**common, period=settlement.period_of(program, period))
            if done is not None:
                row = _line(settlement.of_program(program.id)[0]) if done.fresh else {}
                row = row or next(_line(r) for r in settlement.of_program(program.id) if r.id == done.statement.id)
                row["new"] = "yes" if done.fresh else "no"
            if dry_run:
                raise DryRun
    except DryRun:
        row = {**row, "id": "-"} if row.get("new") == "yes" else row
    return row


def _line(row: Any) -> dict[str, Any]:
    return {
        "id": row.id, "merchant": row.merchant, "period": row.period, "state": row.state, "lines": row.lines,
        "redeemed fen": row.redeemed_fen, "corrected fen": row.corrected_fen, "carried fen": row.carried_in_fen,
        "total fen": row.total_fen, "open disputes": row.open_disputes, "invoice": row.invoice_no,
        "hash": bytes(row.content_hash).hex()[:12],
    }  # fmt: skip


@group.command("list")
@program_option
@click.option("--state", type=click.Choice(["draft", "issued", "approved", "paid", "carried", "void"]))
@click.option("--merchant")
@json_option
def list_statements(code: str, state: str | None, merchant: str | None, as_json: bool) -> None:
    """Statements, newest first."""
    with refused_with_words():
        rows = settlement.of_program(programs.by_code(code).id, state=state, merchant=merchant)
        show(map(_line, rows), as_json=as_json, empty="no statements")


@group.command("show")
@click.argument("statement_id", type=int)
@click.option("--after", type=int, default=0, help="lines above this number")
@click.option("--limit", type=click.IntRange(1, 1000), default=50)
@json_option
def show_statement(statement_id: int, after: int, limit: int, as_json: bool) -> None:
    """A statement's lines: code, order, time, amount, and what it corrects."""
    with refused_with_words():
        settlement.get(statement_id)
        rows = settlement.lines(statement_id, after=after, limit=limit)
        show(
            ({"line": r.line_no, "kind": r.kind, "redemption": r.redemption_id, "code": r.code_id, "order": r.order_id,
              "shop": r.shop, "title": r.title, "quantity": r.quantity, "at": r.happened_at, "fen": r.amount_fen,
              "dispute": r.dispute_state} for r in rows),
            as_json=as_json, empty="no lines",
        )  # fmt: skip


@group.command("issue")
@click.argument("statement_ids", type=int, nargs=-1, required=True)
@dry_option
@actor_option
def issue(statement_ids: tuple[int, ...], dry_run: bool, handle: str) -> None:
    """Show drafts to their merchants, who have seven days to dispute lines."""
    for one in statement_ids:
        with refused_with_words(), dry(dry_run) as trial, transaction():
            found = settlement.issue(statement_id=one, actor=actor(handle), at=now())
            click.echo(f"statement {found.id} is issued; to be disputed until {spoken(found.dispute_until)} (Shanghai)")
            trial.done()


@group.command("void")
@click.argument("statement_id", type=int)
@click.option("--reason", required=True)
@dry_option
@actor_option
def void(statement_id: int, reason: str, dry_run: bool, handle: str) -> None:
    """Withdraw a statement before its approval; its period can be drawn again."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        settlement.void(statement_id=statement_id, reason=reason, actor=actor(handle), at=now())
        click.echo(f"statement {statement_id} is void")
        trial.done()


@group.command("disputes")
@program_option
@click.option("--state", type=click.Choice(["open", "accepted", "rejected", "withdrawn"]), default="open")
@json_option
def list_disputes(code: str, state: str, as_json: bool) -> None:
    """What merchants dispute, oldest first."""
    with refused_with_words():
        rows = settlement.disputes(programs.by_code(code).id, state=state)
        show((dict(row._asdict()) for row in rows), as_json=as_json, empty="no disputes")


@group.command("answer")
@click.argument("dispute_id", type=int)
@click.option("--accept/--reject", required=True)
@click.option("--words", required=True, help="the merchant reads them")
@dry_option
@actor_option
def answer(dispute_id: int, accept: bool, words: str, dry_run: bool, handle: str) -> None:
    """Answer a dispute. What was accepted is mended by `void` and `draw`, or by `correct`."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        found = settlement.answer(dispute_id=dispute_id, accepted=accept, words=words, actor=actor(handle), at=now())
        click.echo(f"dispute {found.id} {found.state}")
        trial.done()


@group.command("approve")
@click.argument("statement_id", type=int)
@click.option("--reason", default="settlement")
@click.option("--dry-run", is_flag=True, help="Only say whether it could be approved.")
@actor_option
def approve(statement_id: int, reason: str, dry_run: bool, handle: str) -> None:
    """Ask to approve a statement; a second operator approves, bound to its content's hash."""
    with refused_with_words(), transaction():
        found = settlement.get(statement_id)
        settlement.ready(found, at=now())
        if dry_run:
            click.echo(f"statement {found.id} can be approved: {found.total_fen} fen")
            return
        payload = {"statement_id": found.id, "total_fen": found.total_fen, "hash": bytes(found.content_hash).hex()}
        _ask(settlement.APPROVE, payload, reason, handle, found.program_id)


@group.command("correct")
@click.argument("redemption_id", type=int)
@click.option("--reason", required=True)
@dry_option
@actor_option
def correct(redemption_id: int, reason: str, dry_run: bool, handle: str) -> None:
    """Ask to take back a redemption that a statement has; a second operator approves; the next one has the line."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        _ask(settlement.CORRECT, {"redemption_id": redemption_id}, reason, handle, None)
        trial.done()


@group.command("batch")
@program_option
@click.argument("batch_no")
@click.option("--dry-run", is_flag=True)
@actor_option
def batch(code: str, batch_no: str, dry_run: bool, handle: str) -> None:
    """Gather what is approved and unpaid as one batch for the bank. The same number again is the same batch."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        made, lines, fresh = settlement.make_batch(
            program_id=programs.by_code(code).id, batch_no=batch_no, actor=actor(handle), at=now()
        )
        show(
            ({"line": line.id, "statement": line.statement_id, "fen": line.fen, "state": line.state,
              "reference": line.bank_reference, "problem": line.problem} for line in lines), as_json=False,
        )  # fmt: skip
        click.echo(f"batch {made.id} {made.batch_no}: {len(lines)} lines" + ("" if fresh else " (known already)"))
        trial.done()


@group.command("payout-file")
@click.argument("batch_id", type=int)
@click.option("--out", type=click.Path(dir_okay=False, writable=True), required=True)
@click.option("--reason", required=True)
@actor_option
def payout_file(batch_id: int, out: str, reason: str, handle: str) -> None:
    """Write what the bank needs, account numbers in the open. Who did it is kept."""
    from app.settlement.sheets import write_csv

    with refused_with_words(), transaction():
        rows = settlement.payout_file(batch_id=batch_id, actor=actor(handle), reason=reason, at=now())
        with Path(out).open("w", encoding="utf-8", newline="") as file:
            write_csv(file, list(rows[0]) if rows else ["batch"], [list(row.values()) for row in rows])
        click.echo(f"{len(rows)} lines in {out}")


@group.command("pay")
@click.argument("payout_id", type=int)
@click.option("--reference", required=True, help="the bank's own reference; once, for ever")
@click.option("--paid-on", type=DAY, required=True)
@click.option("--evidence", type=click.Path(exists=True, dir_okay=False), required=True, help="the bank's receipt")
@click.option("--dry-run", is_flag=True)
@actor_option
def pay(payout_id: int, reference: str, paid_on: datetime, evidence: str, dry_run: bool, handle: str) -> None:
    """The bank has paid a line: booked with the receipt's hash (keep the file)."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        line = settlement.pay(
            payout_id=payout_id, bank_reference=reference, paid_on=paid_on.date(),
            evidence_hash=hashlib.sha256(Path(evidence).read_bytes()).digest(), actor=actor(handle), at=now(),
        )  # fmt: skip
        click.echo(f"payout {line.id} of {line.fen} fen is {line.state}: {line.bank_reference}")
        trial.done()


@group.command("fail")
@click.argument("payout_id", type=int)
@click.option("--problem", required=True, help="what the bank said")
@dry_option
@actor_option
def fail(payout_id: int, problem: str, dry_run: bool, handle: str) -> None:
    """The bank refused a line: its statement goes into the next batch, alone."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        line = settlement.fail(payout_id=payout_id, problem=problem, actor=actor(handle), at=now())
        click.echo(f"payout {line.id} {line.state}")
        trial.done()


@group.command("invoice")
@click.argument("statement_id", type=int)
@click.option("--number", required=True)
@click.option("--date", "day", type=DAY, required=True)
@dry_option
@actor_option
def invoice(statement_id: int, number: str, day: datetime, dry_run: bool, handle: str) -> None:
    """The merchant's invoice for a statement came in."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        settlement.invoice(statement_id=statement_id, number=number, day=day.date(), actor=actor(handle), at=now())
        click.echo(f"statement {statement_id}: invoice {number}")
        trial.done()


@group.command("tax")
@program_option
@click.argument("merchant_code")
@click.option("--title", required=True)
@click.option("--tax-no", required=True)
@dry_option
@actor_option
def tax(code: str, merchant_code: str, title: str, tax_no: str, dry_run: bool, handle: str) -> None:
    """Title and tax number of a merchant."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        merchant = merchant_of(programs.by_code(code).id, merchant_code)
        settlement.set_invoicing(merchant_id=merchant.id, title=title, tax_no=tax_no, by=actor(handle), at=now())
        click.echo(f"{merchant_code}: {title} {tax_no}")
        trial.done()


@group.command("account")
@program_option
@click.argument("merchant_code")
@click.option("--holder")
@click.option("--bank")
@click.option("--number")
@click.option("--reason", default="")
@actor_option
def account(
    code: str, merchant_code: str, holder: str | None, bank: str | None, number: str | None, reason: str, handle: str
) -> None:
    """A merchant's payout accounts, masked; with --number ask for another, which a second operator approves."""
    with refused_with_words(), transaction():
        merchant = merchant_of(programs.by_code(code).id, merchant_code)
        if number is not None:
            if not (holder and bank and reason):
                raise click.UsageError("--holder, --bank and --reason belong to --number")
            made = settlement.ask_account(merchant=merchant, holder=holder, bank=bank, number=number,
                                          asked_by=actor(handle), reason=reason, at=now())  # fmt: skip
            click.echo(f"approval {made.approval_id} waits for a second person: "
                       f"flask approvals approve {made.approval_id} --as …")  # fmt: skip
        show(
            ({"id": one.id, "bank": one.bank, "account": one.masked, "state": one.state, "asked by": one.asked_by,
              "usable from": one.usable_from} for one in settlement.accounts_of(merchant.id)),
            as_json=False, empty="no account",
        )  # fmt: skip


@group.command("verify")
@program_option
@click.argument("statement_id", type=int, required=False)
def verify(code: str, statement_id: int | None) -> None:
    """Compare statements with their hashes, their lines, and the ledger. Exit 1 when one doesn't prove itself."""
    wrong = 0
    with refused_with_words(), transaction():
        found = settlement.of_program(programs.by_code(code).id)
        for row in (one for one in found if statement_id in (None, one.id) and one.state != "void"):
            try:
                said = settlement.verify(row.id)
            except Refusal as refusal:
                said = [refusal.message("en")]
            wrong += bool(said)
            click.echo(f"statement {row.id} {row.merchant} {row.period}: " + ("; ".join(said) or "proves itself"))
    if wrong:
        raise SystemExit(1)


@group.command("sponsor")
@program_option
@click.argument("sponsor_code")
@json_option
def sponsor(code: str, sponsor_code: str, as_json: bool) -> None:
    """A sponsor's money at every step, from deposit to payout. Exit 1 when the sums don't meet."""
    with refused_with_words():
        found = settlement.sponsor_view(programs.by_code(code).id, sponsor_code)
        whole = {name: value for name, value in found.shown().items() if name != "budgets"}
        rows = (
            [*found.budgets, {name: whole.get(name, "all") for name in found.budgets[0]}] if found.budgets else [whole]
        )
        show(rows if not as_json else [found.shown()], as_json=as_json)
    if not found.agrees:
        raise SystemExit(1)


@group.command("export")
@click.argument("statement_id", type=int)
@click.option("--format", "form", type=click.Choice(sorted(settlement.FORMATS)), default="csv")
@click.option("--out", type=click.Path(dir_okay=False, writable=True), required=True)
@click.option("--reason", default="export")
@actor_option
def export(statement_id: int, form: str, out: str, reason: str, handle: str) -> None:
    """Write a statement's lines to a file. From 10,000 lines on a second operator approves first."""
    with refused_with_words(), transaction():
        found, who = settlement.get(statement_id), actor(handle)
        if found.lines >= settlement.NEEDS_APPROVAL and not _allowed(found.id):
            _ask(EXPORT, {"statement_id": found.id}, reason, handle, found.program_id)
            return
        with Path(out).open("wb") as file:
            count = settlement.write(found, file, form=form)
        settlement.exported(found, actor=who, form=form, reason=reason, at=now())
        click.echo(f"{count} lines in {out}")


def _allowed(statement_id: int) -> bool:
    query = select(Approval.id).where(
        Approval.action == EXPORT,
        Approval.state == "executed",
        Approval.payload["statement_id"].as_integer() == statement_id,
        Approval.executed_at > now() - approvals.VALID_FOR,
    )  # fmt: skip
    return session().scalars(query).first() is not None


def _ask(action: str, payload: dict[str, Any], reason: str, handle: str, program_id: int | None) -> None:
    asked = approvals.ask(
        action=action, payload=payload, reason=reason, maker=actor(handle), at=now(), program_id=program_id
    )
    click.echo(f"approval {asked.id} waits for a second person: flask approvals approve {asked.id} --as …")


# What an approval runs (see commands/approvals.py).


def run_approve(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    """Approve a statement whose content is still what was asked for."""
    found = settlement.approve(
        statement_id=payload["statement_id"], content=payload["hash"], approval_id=approval.id,
        checker=approval.checker or "", at=at,
    )  # fmt: skip
    return f"statement {found.id} is {found.state}: {found.total_fen} fen"


def run_correct(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    """Take a redemption back."""
    done = settlement.correct(
        redemption_id=payload["redemption_id"], reason=approval.reason, approval_id=approval.id, at=at
    )
    return f"redemption {done.redemption_id}: {done.fen} fen are taken back"


def run_account(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    """Let a payout account take its place."""
    found: PayoutAccount = settlement.take_account(account_id=payload["account_id"], at=at)
    return f"account {found.masked} is usable from {spoken(found.usable_from)} (Shanghai)"


def run_export(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    """The export may be made for 72 hours."""
    return f"statement {payload['statement_id']} may be exported: flask settlement export"


EXECUTORS = {
    settlement.APPROVE: run_approve,
    settlement.CORRECT: run_correct,
    settlement.ACCOUNT: run_account,
    EXPORT: run_export,
}


def run_rejected(payload: dict[str, Any], at: datetime) -> None:
    """A payout account that was asked for is refused with its request."""
    settlement.refuse_account(account_id=payload["account_id"], at=at)


REJECTED = {settlement.ACCOUNT: run_rejected}
