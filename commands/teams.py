"""``flask teams``: which teams there are, and dissolving one."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from app import programs, teams
from app.clock import now
from app.db import transaction
from commands.shared import actor, actor_option, dry, dry_option, json_option, program_option, refused_with_words, show

group = AppGroup("teams", help="Teams and friends' groups.")


@group.command("list")
@program_option
@click.option("--kind", type=click.Choice(teams.KINDS))
@click.option("--after", type=int, default=0, help="cursor: the last id seen")
@click.option("--limit", type=click.IntRange(1, 1000), default=100)
@json_option
def listed(code: str, kind: str | None, after: int, limit: int, as_json: bool) -> None:
    """The teams of a program, by id; captains by pseudonym."""
    with refused_with_words():
        rows = teams.listed(programs.by_code(code).id, kind=kind, after=after, limit=limit)
        show((row._asdict() for row in rows), as_json=as_json, empty="no teams")


@group.command("close")
@click.argument("team_id", type=int)
@click.option("--reason", required=True, help="its members read it")
@dry_option
@actor_option
def close(team_id: int, reason: str, dry_run: bool, handle: str) -> None:
    """Dissolve a team, for example for its name; everybody in it is told."""
    with refused_with_words(), dry(dry_run) as run, transaction():
        teams.close_by_operator(team_id=team_id, reason=reason, by=actor(handle), at=now())
        click.echo(f"team {team_id}: closed")
        run.done()
