"""``flask learning``: questions from a file, courses, articles and quizzes from a file, numbers."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click
import openpyxl
from flask.cli import AppGroup

from app import learning, programs
from app.clock import SHANGHAI, now
from app.db import transaction
from commands.shared import actor, actor_option, dry, dry_option, json_option, program_option, refused_with_words, show

group = AppGroup("learning", help="Green education: question banks, courses, articles, quizzes.")
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
LARGEST_BYTES, MOST_ROWS = 20 * 1024 * 1024, 10_000


@group.command("import")
@program_option
@click.option("--bank", required=True, help="code of the bank, for example daily")
@click.argument("file", type=FILE)
@dry_option
@json_option
@actor_option
def import_questions(code: str, bank: str, file: Path, dry_run: bool, as_json: bool, handle: str) -> None:
    """Import questions from a CSV (UTF-8, GBK) or XLSX FILE. Exit 1 when a row failed; the others are kept.

    Columns: ref, question, A to F, right (letters, for example A or AC), explanation, source; and question_en, A_en to
    F_en, explanation_en. The same file again changes nothing; a changed question becomes a new version.
    """
    rows = list(_rows(file))
    with refused_with_words(), dry(dry_run) as trial, transaction():
        reports = learning.import_questions(
            program_id=programs.by_code(code).id, bank=bank, rows=rows, by=actor(handle), at=now()
        )
        told = [one for one in reports if as_json or one.outcome != "unchanged"]
        show(
            ({"row": one.number, "ref": one.ref, "outcome": one.outcome, "problems": "; ".join(one.problems)}
             for one in told),
            as_json=as_json, empty="nothing new",
        )  # fmt: skip
        if not as_json:
            counts = {
                what: sum(one.outcome == what for one in reports) for what in ("new", "changed", "unchanged", "failed")
            }
            click.echo(f"read {len(reports)}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
        failed = any(one.outcome == "failed" for one in reports)
        trial.done()
    if failed:
        raise SystemExit(1)


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and cells of each row, by the header's names. Raises ClickException for what is no such table."""
    if file.stat().st_size > LARGEST_BYTES:
        raise click.ClickException(f"{file.name}: larger than {LARGEST_BYTES} bytes")
    with file.open("rb") as content:
        is_book = content.read(2) == b"PK"
    table = _xlsx(file) if is_book else _csv(file)
    header = [cell.strip() for cell in next(table, [])]
    missing = {"ref", "question", "A", "B", "right", "explanation"} - set(header)
    doubled = {name for name in header if name and header.count(name) > 1}
    unknown = set(header) - set(learning.COLUMNS) - {""}
    if missing or doubled or unknown:
        words = [f"{what}: {', '.join(sorted(names))}" for what, names in
                 (("missing", missing), ("twice", doubled), ("unknown", unknown)) if names]  # fmt: skip
        raise click.ClickException(f"{file.name}: columns {'; '.join(words)}")
    for number, cells in enumerate(table, start=2):
        if number > MOST_ROWS + 1:
            raise click.ClickException(f"{file.name}: more than {MOST_ROWS} rows")
        if any(cell.strip() for cell in cells):
            yield number, dict(zip(header, cells, strict=False))


def _csv(file: Path) -> Iterator[list[str]]:
    raw = file.read_bytes()
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        yield from csv.reader(text.splitlines(keepends=True))
        return
    raise click.ClickException(f"{file.name}: neither UTF-8 nor GBK")


def _xlsx(file: Path) -> Iterator[list[str]]:
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=False, keep_links=False)
    except Exception as error:  # noqa: BLE001 - a foreign parser; any failure of it means that the file is no workbook
        raise click.ClickException(f"{file.name}: no workbook ({type(error).__name__})") from None
    try:
        for row in book.worksheets[0].values:
            yield ["" if cell is None else str(cell) for cell in row]
    finally:
        book.close()


@group.command("publish")
@program_option
@click.argument("file", type=FILE)
@dry_option
@actor_option
def publish(code: str, file: Path, dry_run: bool, handle: str) -> None:
    """Publish the [[courses]], [[articles]] and [[quizzes]] of a TOML FILE; known codes are brought to it.

    A course: code, title, text_zh. An article: code, title, body_zh, source, minutes, and course, position. A quiz:
    code, kind (daily, open, course), title, bank, draws, passes, seconds, attempts, course. English beside it with _en.
    """
    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise click.ClickException(f"{file.name}: {error}") from None
    unknown = set(content) - {"courses", "articles", "quizzes"}
    if unknown or not all(isinstance(part, list) for part in content.values()):
        raise click.ClickException(f"{file.name}: [[courses]], [[articles]], [[quizzes]] and nothing else")
    for quiz in content.get("quizzes", []):
        for name in ("opens_at", "closes_at"):
            if isinstance(quiz.get(name), datetime) and quiz[name].tzinfo is None:
                quiz[name] = quiz[name].replace(tzinfo=SHANGHAI)
    with refused_with_words(), dry(dry_run) as trial, transaction():
        counts = learning.publish(program_id=programs.by_code(code).id, **content, by=actor(handle), at=now())
        click.echo(", ".join(f"{count} {what}" for what, count in counts.items()))
        trial.done()


@group.command("retire-question")
@program_option
@click.option("--bank", required=True)
@click.argument("ref")
@dry_option
@actor_option
def retire_question(code: str, bank: str, ref: str, dry_run: bool, handle: str) -> None:
    """Draw a question no longer; attempts that hold it keep it."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        done = learning.retire(program_id=programs.by_code(code).id, bank=bank, ref=ref, by=actor(handle), at=now())
        click.echo(f"{ref} is drawn no longer" if done else f"no active question {ref} in {bank}")
        trial.done()


@group.command("numbers")
@program_option
@json_option
def numbers(code: str, as_json: bool) -> None:
    """Quizzes and question banks in numbers."""
    with refused_with_words():
        program_id = programs.by_code(code).id
        show((row._asdict() for row in learning.report(program_id)), as_json=as_json, empty="no quizzes")
        if not as_json:
            show((row._asdict() for row in learning.banks(program_id)), as_json=False, empty="no questions")
