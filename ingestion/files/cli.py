"""``flask import FILE --preset NAME --program CODE``, and the report of a run."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import click
from flask import Flask
from flask.cli import with_appcontext
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from sqlalchemy import select

from app.db import connection
from app.errors import Refusal
from app.imports.models import ImportRow
from ingestion.files import preset as presets
from ingestion.files.importing import Report, import_file


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--preset", "preset_name", required=True, help="A shipped preset, or the path of your own .toml.")
@click.option("--program", required=True, help="Code of the program.")
@click.option("--dry-run", is_flag=True, help="Do everything, keep nothing, say what would become of each row.")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
@click.option("--report", type=click.Path(path_type=Path), help="Write what became of the other rows to this CSV.")
@click.option("--as", "handle", default="cli", help="Who imports; kept with the run.")
@with_appcontext
def import_command(
    file: Path, preset_name: str, program: str, dry_run: bool, as_json: bool, report: Path | None, handle: str
) -> None:
    """Import a CSV or XLSX FILE of acts. Resumable; a second run changes nothing.

    Exit 0: done, every row accounted for. 1: refused rows were among them. 2: nothing could be imported.
    """
    try:
        found = _run(file, preset_name, program, dry_run, handle)
    except Refusal as refusal:
        click.echo(
            f"{refusal.code}: {refusal.message('en')} {json.dumps(refusal.details, ensure_ascii=False)}", err=True
        )
        sys.exit(2)
    if report is not None and found.import_id is not None:
        _write_report(report, found.import_id)
    click.echo(json.dumps(found.as_json(), ensure_ascii=False) if as_json else _table(found, dry_run))
    bad = found.outcomes["rejected"] + found.outcomes["conflict"]
    sys.exit(1 if bad else 0)


@click.command("import-report")
@click.argument("import_id", type=int)
@click.argument("target", type=click.Path(path_type=Path))
@with_appcontext
def report_command(import_id: int, target: Path) -> None:
    """Write what became of the rows of a run that were not simply accepted to a CSV file."""
    click.echo(f"{_write_report(target, import_id)} rows written")


def register(app: Flask) -> None:
    app.cli.add_command(import_command)
    app.cli.add_command(report_command)


def _run(file: Path, preset_name: str, program: str, dry_run: bool, handle: str) -> Report:
    preset = presets.load(preset_name)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(file.name, total=_rough_rows(file))
        return import_file(
            file,
            preset=preset,
            program_code=program,
            by=handle,
            dry_run=dry_run,
            progress=lambda rows: bar.update(task, completed=rows),
        )


def _rough_rows(file: Path) -> int | None:
    """About how many rows a text file has, for the bar only."""
    if not file.is_file():
        return None
    with file.open("rb") as content:
        head = content.read(1 << 16)
    if head[:2] == b"PK" or not head:
        return None
    return max(1, file.stat().st_size * max(head.count(b"\n"), 1) // len(head) - 1)


def _write_report(target: Path, import_id: int) -> int:
    query = select(ImportRow).where(ImportRow.import_id == import_id).order_by(ImportRow.row_no)
    count = 0
    with target.open("w", encoding="utf-8-sig", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["row", "outcome", "code", "原因", "reason", "reference", "record_id"])
        for row in connection().execute(query):
            cells = [row.row_no, row.outcome, row.code, row.words_zh, row.words_en, row.reference, row.record_id]
            writer.writerow([_harmless(cell) for cell in cells])
            count += 1
    return count


def _harmless(cell: object) -> object:
    """A cell that a spreadsheet must not take for a formula (security.md 9)."""
    if isinstance(cell, str) and cell.lstrip(" \"'").startswith(("=", "+", "-", "@", "\t", "\r", "＝")):
        return "'" + cell
    return "" if cell is None else cell


def _table(report: Report, dry_run: bool) -> str:
    lines = ["dry run: nothing was kept" if dry_run else f"import {report.import_id}"]
    if report.already_done:
        lines.append("this file was imported before; nothing changed")
    lines.append(f"  {'rows read':24} {report.rows:>9}")
    for outcome, count in sorted(report.outcomes.items()):
        lines.append(f"  {outcome:24} {count:>9}")
        for reason, some in sorted(report.reasons.items()):
            if reason.startswith(outcome + "/"):
                lines.append(f"    {reason.partition('/')[2]:22} {some:>9}")
    lines.append(f"  {'milligrams':24} {report.mg:>20,}")
    lines.append(f"  {'credits paid':24} {report.credits:>20,}")
    lines.append(f"  {'credits waiting':24} {report.pending_credits:>20,}")
    return "\n".join(lines)
