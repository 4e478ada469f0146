"""``flask grove``: what a program's green game offers, from a file; how it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup

from app import grove, programs
from app.clock import now
from app.db import read, transaction
from commands.shared import actor, actor_option, dry, dry_option, json_option, program_option, refused_with_words, show

group = AppGroup("grove", help="The green game: shapes and gifts from a file, how it goes.")

_COUNTS = """
    select t.shape, t.season, count(*) as planted, count(t.full_at) as full_grown, count(t.gift_id) as given
    from trees t where t.program_id = %(program)s group by 1, 2 order by 2, 1
"""


@group.command("put")
@program_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@dry_option
@actor_option
def put(code: str, file: Path, dry_run: bool, handle: str) -> None:
    """Open a program's grove from a TOML FILE, or change it. Trees that are planted keep what they need.

    It moves no credits: a gift is paid by the budget that the file names, as far as that has money.
    """
    with refused_with_words(), dry(dry_run) as trial, transaction():
        content = grove.parse(file.read_text("utf-8"))
        made = grove.put(program_id=programs.by_code(code).id, content=content, actor=actor(handle), at=now())
        click.echo(f"{len(made.shapes)} shapes; a full-grown one gives {made.gift_credits} credits")
        trial.done()


@group.command("show")
@program_option
@json_option
def show_all(code: str, as_json: bool) -> None:
    """How many were planted, full-grown and given, by season and shape."""
    with refused_with_words():
        rows: list[Any] = read(_COUNTS, {"program": programs.by_code(code).id})
        show((row._asdict() for row in rows), as_json=as_json, empty="nothing planted yet")
