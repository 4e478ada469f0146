"""What the commands share: words for refusals, who acts, tables and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import click

from app import operators
from app.operators.cli import actor_option, refused_with_words

json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout instead of a table.")
program_option = click.option("--program", "code", required=True, help="code of the program")


def actor(handle: str) -> str:
    """The audit name of the operator who acts. Raises UNKNOWN_OPERATOR."""
    return operators.actor(handle)


def show(rows: Iterable[Mapping[str, Any]], *, as_json: bool, empty: str = "nothing") -> None:
    """Print rows as a table with aligned columns, or as JSON."""
    found = [dict(row) for row in rows]
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, default=str))
        return
    if not found:
        click.echo(empty)
        return
    names = list(found[0])
    cells = [[("" if row[name] is None else str(row[name])) for name in names] for row in found]
    widths = [max(len(name), *(len(line[column]) for line in cells)) for column, name in enumerate(names)]
    for line in [names, *cells]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


__all__ = ["actor", "actor_option", "json_option", "program_option", "refused_with_words", "show"]
