"""``flask programs wind-up …``: a program ends in order, asked for by one and approved by another."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from flask import Flask
from flask.cli import AppGroup

from app import approvals, programs, settlement
from app.approvals.models import Approval
from app.clock import now
from app.db import retrying, transaction
from app.settlement.sheets import write_csv
from commands.shared import actor, actor_option, dry, dry_option, program_option, refused_with_words, show


@click.command("wind-up")
@click.argument("code")
@click.option("--window-days", type=click.IntRange(7, 730), required=True, help="how long people can still redeem")
@click.option("--reason", required=True, help="everybody reads it")
@click.option("--dry-run", is_flag=True, help="Only say whether the money covers it.")
@actor_option
def wind_up(code: str, window_days: int, reason: str, dry_run: bool, handle: str) -> None:
    """Ask to end a program: no new awards, a window to redeem, then merchants and sponsors are settled."""
    with refused_with_words(), transaction():
        program, who = programs.by_code(code), actor(handle)
        settlement.may_begin(program, at=now())
        if dry_run:
            click.echo(f"{code} can be wound up: the money held covers what people have")
            return
        payload = {"program_id": program.id, "window_days": window_days, "reason": reason}
        asked = approvals.ask(
            action=settlement.WIND_UP, payload=payload, reason=reason, maker=who, at=now(), program_id=program.id
        )
        click.echo(f"approval {asked.id} waits for a second person: flask approvals approve {asked.id} --as …")


@click.command("wind-up-steps")
@click.argument("code")
def steps(code: str) -> None:
    """Do what is due now instead of by the worker tonight, and say how far it is."""

    def step() -> bool:
        with transaction():
            return settlement.advance(program_id=programs.by_code(code).id, at=now())

    with refused_with_words():
        while retrying(step):
            pass
        with transaction():
            show([settlement.state_of(programs.by_code(code).id) or {}], as_json=False)


@click.command("return-money")
@program_option
@click.argument("budget_code")
@click.option("--reference", required=True, help="the bank's own")
@click.option("--evidence", type=click.Path(exists=True, dir_okay=False), required=True, help="the bank's receipt")
@click.option("--reason", required=True)
@dry_option
@actor_option
def return_money(
    code: str, budget_code: str, reference: str, evidence: str, reason: str, dry_run: bool, handle: str
) -> None:
    """Ask to book what a sponsor got back of a budget; a second operator approves."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        program = programs.by_code(code)
        digest = hashlib.sha256(Path(evidence).read_bytes()).hexdigest()
        payload = {"program_id": program.id, "budget": budget_code, "reference": reference, "evidence": digest}
        asked = approvals.ask(
            action=settlement.RETURN,
            payload=payload,
            reason=reason,
            maker=actor(handle),
            at=now(),
            program_id=program.id,
        )
        click.echo(f"approval {asked.id} waits for a second person: flask approvals approve {asked.id} --as …")
        trial.done()


@click.command("wind-up-export")
@click.argument("code")
@click.option("--out", type=click.Path(file_okay=False), required=True)
def export(code: str, out: str) -> None:
    """Write the files that prove the end: sponsors, statements, payouts, credits, money, reductions, gifts."""
    with refused_with_words(), transaction():
        found = settlement.export_end(programs.by_code(code).id)
    Path(out).mkdir(parents=True, exist_ok=True)
    for name, rows in found.items():
        with (Path(out) / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            write_csv(
                file, list(rows[0]) if rows else [name], [[_plain(cell) for cell in row.values()] for row in rows]
            )
    click.echo(f"{len(found)} files in {out}")


def _plain(cell: Any) -> Any:
    return cell if cell is None or isinstance(cell, (int, str)) else str(cell)


def register(app: Flask) -> None:
    """Join the group ``flask programs``, which stands one floor down."""
    group = app.cli.commands["programs"]
    assert isinstance(group, AppGroup)
    for command in (wind_up, steps, return_money, export):
        group.add_command(command)


def run_wind_up(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    """Begin."""
    made = settlement.begin(
        program_id=payload["program_id"], window_days=payload["window_days"], reason=payload["reason"],
        approval_id=approval.id, actor=approval.checker or "", at=at,
    )  # fmt: skip
    return f"the program awards nothing more; people can redeem until {made.ends_at.isoformat()}"


def run_return(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    """Book a sponsor's money going back."""
    made = settlement.give_back(
        program_id=payload["program_id"], budget_code=payload["budget"], bank_reference=payload["reference"],
        evidence_hash=bytes.fromhex(payload["evidence"]), approval_id=approval.id, actor=approval.checker or "", at=at,
    )  # fmt: skip
    return f"{made.fen} fen went back to the sponsor"


EXECUTORS = {settlement.WIND_UP: run_wind_up, settlement.RETURN: run_return}
