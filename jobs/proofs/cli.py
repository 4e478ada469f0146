"""`flask prove` and `flask ledger verify`: exit 0 when every proof holds, 1 when one is broken, 2 for a wrong word."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click
from flask import Flask
from flask.cli import AppGroup, with_appcontext

from jobs.proofs import BOOKS, Finding, Proof, proofs, prove

ledger = AppGroup("ledger", help="The books.")


def register(app: Flask) -> None:
    """Put the commands on the application."""
    app.cli.add_command(prove_command)
    app.cli.add_command(ledger)


@click.command("prove")
@click.argument("ids", nargs=-1)
@click.option("--light", is_flag=True, help="Only those that are cheap enough for every five minutes.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array instead of a table.")
@with_appcontext
def prove_command(ids: tuple[str, ...], light: bool, as_json: bool) -> None:
    """Prove the invariants on the stored data; IDS narrow it, as in `prove LED BUD-1`."""
    _report(proofs(light=light, ids=ids), as_json=as_json)


@ledger.command("verify")
@click.option("--json", "as_json", is_flag=True, help="One JSON array instead of a table.")
def verify(as_json: bool) -> None:
    """Prove the books: ledger, budgets, awards, wallets, keys."""
    _report(proofs(ids=BOOKS), as_json=as_json)


def _report(chosen: Sequence[Proof], *, as_json: bool) -> None:
    if not chosen:
        raise click.UsageError("no such proof; `flask prove --json` names them all")
    findings = []
    for finding in prove(chosen):
        findings.append(finding)
        if not as_json:
            _line(finding)
    broken = [finding for finding in findings if not finding.held]
    if as_json:
        click.echo(json.dumps([_as_json(finding) for finding in findings], ensure_ascii=False, default=str))
    else:
        seconds = sum(finding.seconds for finding in findings)
        verdict = f"{len(broken)} BROKEN: {', '.join(finding.proof.id for finding in broken)}" if broken else "all hold"
        click.echo(f"{len(findings)} proofs in {seconds:.1f} s: {verdict}")
    if broken:
        raise click.exceptions.Exit(1)


def _line(finding: Finding) -> None:
    sign = "holds " if finding.held else "BROKEN"
    proof = finding.proof
    click.echo(f"{sign} {proof.id:6} {finding.rows:>6} rows {finding.seconds:7.2f} s  {proof.sentence}")
    for row in finding.first:
        click.echo("              " + ", ".join(f"{name}={value}" for name, value in row.items()))


def _as_json(finding: Finding) -> dict[str, object]:
    return {
        "id": finding.proof.id,
        "sentence": finding.proof.sentence,
        "light": finding.proof.light,
        "rows": finding.rows,
        "first": finding.first,
        "seconds": round(finding.seconds, 3),
    }
