"""``flask community``: what was reported or is held, and deciding about it."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from app import community, programs
from app.clock import now
from app.db import transaction
from commands.shared import actor, actor_option, dry, dry_option, json_option, program_option, refused_with_words, show

group = AppGroup("community", help="Reports about posts and comments, and moderation.")
kind_argument = click.argument("kind", type=click.Choice(["post", "comment"]))
id_argument = click.argument("object_id", type=int)


@group.command("waiting")
@program_option
@json_option
def waiting(code: str, as_json: bool) -> None:
    """What is held or was reported, the most reported first; names nobody."""
    with refused_with_words():
        rows = community.waiting(programs.by_code(code).id)
        show((row._asdict() for row in rows), as_json=as_json, empty="nothing is reported")


@group.command("hide")
@kind_argument
@id_argument
@click.option("--reason", type=click.Choice(community.REASONS), required=True)
@click.option("--words", required=True, help="for the author")
@dry_option
@actor_option
def hide(kind: str, object_id: int, reason: str, words: str, dry_run: bool, handle: str) -> None:
    """Show it no longer, with a reason that the author reads and can appeal against."""
    with refused_with_words(), dry(dry_run) as run, transaction():
        community.hide(kind=kind, object_id=object_id, reason=reason, words=words, by=actor(handle), at=now())
        click.echo(f"{kind} {object_id}: hidden")
        run.done()


@group.command("show")
@kind_argument
@id_argument
@dry_option
@actor_option
def show_again(kind: str, object_id: int, dry_run: bool, handle: str) -> None:
    """Show what was held or hidden; open reports are dismissed."""
    with refused_with_words(), dry(dry_run) as run, transaction():
        community.show_again(kind=kind, object_id=object_id, by=actor(handle), at=now())
        click.echo(f"{kind} {object_id}: shown")
        run.done()


@group.command("dismiss")
@kind_argument
@id_argument
@dry_option
@actor_option
def dismiss(kind: str, object_id: int, dry_run: bool, handle: str) -> None:
    """The reports don't matter; what was held is shown again."""
    with refused_with_words(), dry(dry_run) as run, transaction():
        community.dismiss(kind=kind, object_id=object_id, by=actor(handle), at=now())
        click.echo(f"{kind} {object_id}: reports dismissed")
        run.done()
