"""What the commands share: words for refusals, who acts, tables and JSON."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import click

from app import operators
from app.clock import SHANGHAI
from app.operators.cli import actor_option, refused_with_words

json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout instead of a table.")
program_option = click.option("--program", "code", required=True, help="code of the program")


dry_option = click.option("--dry-run", is_flag=True, help="say what would happen, change nothing")


class DryRun(Exception):
    """Raised inside the transaction of a dry run, so that nothing stays."""


class Moment(click.ParamType[datetime]):
    """A time as an operator writes it, in Shanghai: ``2026-12-01`` or ``2026-12-01T10:00``."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail("write it like 2026-12-01T10:00", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=SHANGHAI)


class dry:  # noqa: N801 - reads as a statement
    """``with dry(flag), transaction():`` does all the work and takes it back."""

    def __init__(self, dry_run: bool) -> None:
        self.dry_run = dry_run

    def __enter__(self) -> dry:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if isinstance(error, DryRun):
            click.echo("dry run: nothing was changed")
            return True
        return False

    def done(self) -> None:
        """The last line of the work: a dry run ends here."""
        if self.dry_run:
            raise DryRun


def actor(handle: str) -> str:
    """The audit name of the operator who acts. Raises UNKNOWN_OPERATOR."""
    return operators.actor(handle)


def show(rows: Iterable[Mapping[str, Any]], *, as_json: bool, empty: str = "nothing") -> None:
    """Print rows as a table with aligned columns, times in Shanghai's, or as JSON with times as they are kept."""
    found = [dict(row) for row in rows]
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, default=str))
        return
    if not found:
        click.echo(empty)
        return
    names = list(found[0])
    cells = [[spoken(row[name]) for name in names] for row in found]
    widths = [max(len(name), *(_wide(line[column]) for line in cells)) for column, name in enumerate(names)]
    for line in [names, *cells]:
        padded = [cell + " " * (width - _wide(cell)) for cell, width in zip(line, widths, strict=True)]
        click.echo("  ".join(padded).rstrip())


def spoken(value: Any) -> str:
    """How a value reads to an operator: a time is Shanghai's, to the second; nothing is an empty cell."""
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
    return "" if value is None else str(value)


def _wide(text: str) -> int:
    """Columns of a terminal that a text takes: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


__all__ = [
    "Moment",
    "actor",
    "actor_option",
    "dry",
    "dry_option",
    "json_option",
    "program_option",
    "refused_with_words",
    "show",
    "spoken",
]
