"""``flask snapshots``: photos that wait for a person, and deciding about them."""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import AppGroup

from app import programs, snapshots
from app.clock import now
from app.db import transaction
from app.records.reasons import REVIEW_CODES
from commands.shared import actor, actor_option, dry, dry_option, json_option, program_option, refused_with_words, show
from courier import safety

group = AppGroup("snapshots", help="Photos that wait for a person.")
id_argument = click.argument("snapshot_id", type=int)


@group.command("waiting")
@program_option
@click.option("--after", type=int, default=0, help="cursor: the last id seen")
@click.option("--limit", type=click.IntRange(1, 200), default=50)
@json_option
def waiting(code: str, after: int, limit: int, as_json: bool) -> None:
    """What waits, the longest first, with an address that opens the photo for an hour, and the one it looks like."""
    with refused_with_words():
        base = current_app.config["SETTINGS"].public_base_url
        rows = [row._asdict() for row in snapshots.waiting(programs.by_code(code).id, after=after, limit=limit)]
        for row in rows:
            row["photo"] = base + safety.signed_path(row.pop("name"), now())
        show(rows, as_json=as_json, empty="nothing waits")


@group.command("accept")
@id_argument
@dry_option
@actor_option
def accept(snapshot_id: int, dry_run: bool, handle: str) -> None:
    """It shows what it should: its act counts as of the day the photo was taken."""
    with refused_with_words(), dry(dry_run) as run, transaction():
        done = snapshots.accept(snapshot_id=snapshot_id, by=actor(handle), at=now())
        click.echo(f"snapshot {snapshot_id}: {done.state}, {done.credits} credits")
        run.done()


@group.command("refuse")
@id_argument
@click.option("--code", "reason_code", type=click.Choice(REVIEW_CODES), required=True)
@click.option("--words", required=True, help="for the person")
@dry_option
@actor_option
def refuse(snapshot_id: int, reason_code: str, words: str, dry_run: bool, handle: str) -> None:
    """It doesn't, or shows a face or a number plate; the person reads why and can appeal."""
    with refused_with_words(), dry(dry_run) as run, transaction():
        snapshots.refuse(snapshot_id=snapshot_id, code=reason_code, words=words, by=actor(handle), at=now())
        click.echo(f"snapshot {snapshot_id}: refused")
        run.done()
