"""``flask programs …`` and ``flask operators …``: programs made and changed from the command line, without a developer.

Exit 0 done, 1 refused (with the reason), 2 wrong usage. Each command names who acts with ``--as``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
from flask import Flask
from flask.cli import AppGroup

from app import operators, programs
from app.clock import now
from app.db import transaction
from app.errors import Refusal
from app.programs import Program, ScenarioDraft, TermsDraft, templates, terms

MakeScenarios = Callable[[Program, Sequence[ScenarioDraft], datetime], Any]
CopyScenarios = Callable[[Program], Sequence[ScenarioDraft]]
programs_cli = AppGroup("programs", help="Programs: create, terms, org-units, rosters, invitations, retire.")
operators_cli = AppGroup("operators", help="Operators: who may act, by handle.")
_scenarios: dict[str, Any] = {}
actor_option = click.option("--as", "handle", required=True, help="handle of the operator who acts")


def register(app: Flask, *, make_scenarios: MakeScenarios, copy_scenarios: CopyScenarios) -> None:
    """Add the commands. Scenarios live one floor up, so the factory hands their two functions in."""
    _scenarios.update(make=make_scenarios, copy=copy_scenarios)
    app.cli.add_command(programs_cli)
    app.cli.add_command(operators_cli)


@contextmanager
def refused_with_words() -> Iterator[None]:
    """A refusal ends the command with its code, its words and exit 1."""
    try:
        yield
    except Refusal as refusal:
        details = json.dumps(refusal.details, ensure_ascii=False, default=str)
        raise click.ClickException(f"{refusal.code}: {refusal.message('en')} {details}") from None


@operators_cli.command("add")
@click.argument("handle")
@click.option("--name", required=True)
def add_operator(handle: str, name: str) -> None:
    """Add an operator, or find the one of this handle."""
    with refused_with_words(), transaction():
        found = operators.add(handle=handle, name=name, at=now())
        click.echo(f"operator {found.handle}: {found.name}")


@programs_cli.command("create")
@click.argument("code")
@click.option("--template", "template_name", type=click.Choice(templates.names()))
@click.option("--copy-from", help="code of a program to copy terms and scenarios from")
@click.option("--name", required=True)
@click.option("--name-en", default="")
@click.option("--region", required=True, help="as methods name it, for example CN-SC")
@click.option("--starts-on", type=click.DateTime(["%Y-%m-%d"]))
@click.option("--joining", type=click.Choice(["open", "invitation", "roster", "approval"]))
@actor_option
def create(
    code: str,
    template_name: str | None,
    copy_from: str | None,
    name: str,
    name_en: str,
    region: str,
    starts_on: datetime | None,
    joining: str | None,
    handle: str,
) -> None:
    """Create a program from a template or by copying another."""
    if (template_name is None) == (copy_from is None):
        raise click.UsageError("give either --template or --copy-from")
    at = now()
    with refused_with_words(), transaction():
        made = programs.create(
            code=code,
            name=name,
            name_en=name_en,
            region=region,
            template=templates.load(template_name) if template_name else _copied(copy_from or "", at),
            actor=operators.actor(handle),
            at=at,
            starts_on=starts_on.date() if starts_on else None,
            joining=joining,
        )
        _scenarios["make"](made.program, made.scenarios, at)
        click.echo(f"program {code}: {made.program.kind}, terms 1, {len(made.scenarios)} scenarios")


@programs_cli.command("list")
@click.option("--json", "as_json", is_flag=True)
def list_programs(as_json: bool) -> None:
    """List active programs."""
    rows = [_row(program) for program in programs.listed(after=None, limit=10_000)]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
    for row in rows if not as_json else []:
        click.echo(f"{row['code']:24} {row['kind']:10} {row['region']:6} {row['joining']:10} {row['name']}")


@programs_cli.command("terms")
@click.argument("code")
def show_terms(code: str) -> None:
    """Show the versions of a program's terms, newest first."""
    with refused_with_words():
        for one in terms.versions(programs.by_code(code).id):
            shares = " ".join(f"{tier}:{share}" for tier, share in sorted(one.tier_bps.items()))
            click.echo(
                f"{one.version}  from {one.effective_at.isoformat()}  {one.credits_per_kg} credits/kg  "
                f"{one.price_fen} fen per 1000  {one.lot_months} months  {shares}"
            )


@programs_cli.command("propose-terms")
@click.argument("code")
@click.option("--effective-at", required=True, help="ISO time with offset, at least a minute from now")
@click.option("--credits-per-kg", type=int)
@click.option("--price-fen", type=int)
@click.option("--lot-months", type=int)
@click.option("--lot-rule", type=click.Choice(["day", "month", "season", "year"]))
@click.option("--floor-fen", type=int, help="the least that 1,000 credits buy")
@click.option("--daily-cap", type=int)
@click.option("--text-zh", type=click.Path(exists=True, path_type=Path))
@click.option("--text-en", type=click.Path(exists=True, path_type=Path))
@click.option("--reason", required=True)
@actor_option
def propose_terms(code: str, effective_at: str, reason: str, handle: str, **changes: Any) -> None:
    """Propose a new version: what is not named stays. Another operator approves it."""
    at = now()
    with refused_with_words(), transaction():
        program = programs.by_code(code)
        draft = _changed(terms.draft_of(terms.in_force(program.id, at)), changes)
        asked = terms.propose(
            program=program,
            draft=draft,
            effective_at=_instant(effective_at),
            reason=reason,
            maker=operators.actor(handle),
            at=at,
        )
        click.echo(f"approval {asked.id} waits for another operator: flask programs approve-terms {asked.id} --as …")


@programs_cli.command("approve-terms")
@click.argument("approval_id", type=int)
@actor_option
def approve_terms(approval_id: int, handle: str) -> None:
    """Approve and publish a proposed version as a second person."""
    with refused_with_words(), transaction():
        made = terms.approve_and_publish(approval_id=approval_id, checker=operators.actor(handle), at=now())
        click.echo(f"terms {made.version}, in force from {made.effective_at.isoformat()}")


@programs_cli.command("org-units")
@click.argument("code")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
def import_org_units(code: str, file: Path) -> None:
    """Import org-units from CSV: code, name, kind, parent, name_en; parents first. Again changes nothing."""
    with refused_with_words(), transaction():
        count = programs.add_org_units(program_id=programs.by_code(code).id, rows=_rows(file, ("code", "name", "kind")))
        click.echo(f"{count} org-units")


@programs_cli.command("roster")
@click.argument("code")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
def import_roster(code: str, file: Path) -> None:
    """Import a roster from CSV: number, pin, org_unit. Numbers and PINs are kept as keyed hashes only."""
    with refused_with_words(), transaction():
        rows = list(_rows(file, ("number", "pin")))
        added = programs.add_roster(program_id=programs.by_code(code).id, rows=rows)
        click.echo(f"{len(rows)} lines read, {added} new")


@programs_cli.command("invite")
@click.argument("code")
@click.option("--uses", type=click.IntRange(1, 100_000), default=100)
@click.option("--days", type=click.IntRange(1, 366), default=30)
@click.option("--org-unit")
def invite(code: str, uses: int, days: int, org_unit: str | None) -> None:
    """Make an invitation code."""
    with refused_with_words(), transaction():
        made = programs.invite(
            program_id=programs.by_code(code).id, at=now(), uses=uses, valid_for=timedelta(days=days), org_unit=org_unit
        )
        click.echo(made.code)


@programs_cli.command("admit")
@click.argument("code")
@click.argument("person_id", type=int)
@click.option("--refuse", is_flag=True, help="refuse instead")
@actor_option
def admit(code: str, person_id: int, refuse: bool, handle: str) -> None:
    """Answer a request to join."""
    with refused_with_words(), transaction():
        member = programs.decide(
            program=programs.by_code(code),
            person_id=person_id,
            admit=not refuse,
            actor=operators.actor(handle),
            at=now(),
        )
        click.echo(member.state)


@programs_cli.command("retire")
@click.argument("code")
@click.option("--reason", required=True)
@actor_option
def retire(code: str, reason: str, handle: str) -> None:
    """End a program. What people have stands."""
    with refused_with_words(), transaction():
        programs.retire(program=programs.by_code(code), actor=operators.actor(handle), reason=reason, at=now())
        click.echo(f"{code} is retired")


def _copied(code: str, at: datetime) -> templates.Template:
    source = programs.by_code(code)
    return programs.template_of(source, _scenarios["copy"](source), at)


def _changed(draft: TermsDraft, changes: dict[str, Any]) -> TermsDraft:
    named = {name: name for name in ("credits_per_kg", "price_fen", "lot_months", "lot_rule", "floor_fen")}
    values: dict[str, Any] = {field: changes[option] for field, option in named.items() if changes[option] is not None}
    if changes["daily_cap"] is not None:
        values["daily_credits_cap"] = changes["daily_cap"]
    for field in ("text_zh", "text_en"):
        if changes[field] is not None:
            values[field] = changes[field].read_text("utf-8").strip()
    kept = {name: getattr(draft, name) for name in TermsDraft.__dataclass_fields__}
    return TermsDraft(**{**kept, **values})


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = datetime.min  # noqa: DTZ901 - naive, so refused below
    if found.tzinfo is None:
        raise click.UsageError("--effective-at must be an ISO time with offset, 2026-12-01T00:00:00+08:00")
    return found


def _rows(file: Path, needed: Sequence[str]) -> Iterator[Mapping[str, str]]:
    """Rows of a CSV file. A missing column or an empty needed cell ends the command, with its line."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        missing = set(needed) - set(reader.fieldnames or [])
        if missing:
            raise click.ClickException(f"{file.name}: no column {', '.join(sorted(missing))}")
        for row in reader:
            empty = [name for name in needed if not (row[name] or "").strip()]
            if empty:
                raise click.ClickException(f"{file.name} line {reader.line_num}: {', '.join(empty)} is empty")
            yield {name: (value or "").strip() for name, value in row.items() if name is not None}


def _row(program: Program) -> dict[str, str]:
    return {
        "code": program.code,
        "kind": program.kind,
        "region": program.region,
        "joining": program.joining,
        "name": program.name,
    }
