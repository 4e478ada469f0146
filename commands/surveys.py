"""``flask surveys``: making an anonymous survey from a file, and its results, which never show a group under five."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup

from app import programs, surveys
from app.clock import now
from app.db import transaction
from commands.shared import actor, actor_option, dry, dry_option, json_option, program_option, refused_with_words, show

group = AppGroup("surveys", help="Anonymous surveys of org-units.")


@group.command("make")
@program_option
@click.option("--file", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@dry_option
@actor_option
def make(code: str, path: Path, dry_run: bool, handle: str) -> None:
    """Make a survey from a TOML file (docs/community.md has one); before it opens, the same code replaces it."""
    with refused_with_words(), dry(dry_run) as run, transaction():
        program = programs.by_code(code)
        made = surveys.make(program_id=program.id, definition=_read(path), by=actor(handle), at=now())
        click.echo(f"survey {made.code}: {len(made.questions)} questions, {made.opens_at} to {made.closes_at}")
        run.done()


@group.command("list")
@program_option
@json_option
def listed(code: str, as_json: bool) -> None:
    """The surveys of a program."""
    with refused_with_words():
        rows = surveys.listed(programs.by_code(code).id)
        show((row._asdict() for row in rows), as_json=as_json, empty="no surveys")


@group.command("results")
@program_option
@click.argument("survey_code")
@json_option
def results(code: str, survey_code: str, as_json: bool) -> None:
    """What was answered, in all and by org-unit, when the survey is over; groups under five are hidden."""
    with refused_with_words():
        survey = surveys.by_code(programs.by_code(code).id, survey_code)
        rows = [
            {"org-unit": one.unit or "(all)", "name": one.name,
             "answers": "hidden" if one.answers is None else one.answers,
             "counts": None if one.questions is None else json.dumps(one.questions)}
            for one in surveys.results(survey, now())
        ]  # fmt: skip
        show(rows, as_json=as_json)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise click.UsageError(f"{path.name}: {error}") from error
