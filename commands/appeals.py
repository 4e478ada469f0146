"""``flask appeals``: what people object to, by the day on which an answer is due, and answering it."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from app import appeals, programs
from app.clock import now
from app.db import transaction
from commands.shared import actor, actor_option, dry, dry_option, json_option, program_option, refused_with_words, show

group = AppGroup("appeals", help="Appeals against decisions about acts, posts and comments.")


@group.command("list")
@program_option
@json_option
def listed(code: str, as_json: bool) -> None:
    """The open appeals, by the day on which an answer is due."""
    with refused_with_words():
        rows = appeals.waiting(programs.by_code(code).id)
        show((row._asdict() for row in rows), as_json=as_json, empty="no open appeals")


@group.command("answer")
@click.argument("appeal_id", type=int)
@click.option("--grant/--refuse", "granted", required=True)
@click.option("--words", required=True, help="for the person")
@dry_option
@actor_option
def answer(appeal_id: int, granted: bool, words: str, dry_run: bool, handle: str) -> None:
    """Answer an appeal; granted, what was decided is taken back as of its day. Not by who decided it."""
    with refused_with_words(), dry(dry_run) as run, transaction():
        appeals.answer(appeal_id=appeal_id, granted=granted, words=words, by=actor(handle), at=now())
        click.echo(f"appeal {appeal_id} {'granted' if granted else 'refused'}")
        run.done()
