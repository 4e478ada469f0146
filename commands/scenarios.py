"""``flask scenarios``: what a program offers; offered from a file, retired; no code."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import AppGroup

from app import programs, scenarios
from app.clock import now
from app.db import transaction
from app.programs.templates import scenario_drafts
from commands.shared import actor, actor_option, json_option, program_option, refused_with_words, show

group = AppGroup("scenarios", help="What a program offers.")


@group.command("list")
@program_option
@click.option("--retired", is_flag=True, help="Also those that are offered no longer.")
@json_option
def list_scenarios(code: str, retired: bool, as_json: bool) -> None:
    """The scenarios of a program."""
    with refused_with_words():
        found = scenarios.listing(programs.by_code(code).id, retired=retired)
        show(
            (
                {"code": one.code, "methodology": one.methodology, "sources": dict(one.source_kinds),
                 "caps": dict(one.caps), "claim": one.claim, "state": one.state, "name": one.name}
                for one in found
            ),
            as_json=as_json,
            empty="no scenarios",
        )  # fmt: skip


@group.command("offer")
@program_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@actor_option
def offer(code: str, file: Path, handle: str) -> None:
    """Offer the [[scenarios]] of a TOML FILE, written as in app/programs/templates; a known code is changed."""
    try:
        drafts = scenario_drafts(file.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError) as error:
        raise click.ClickException(f"{file.name}: {type(error).__name__}: {error}") from None
    with refused_with_words(), transaction():
        actor(handle)
        program = programs.by_code(code)
        for draft in drafts:
            scenarios.offer(program_id=program.id, definition=draft)
        click.echo(f"{len(drafts)} scenarios offered in {code}")


@group.command("retire")
@program_option
@click.argument("scenario_code")
@actor_option
def retire(code: str, scenario_code: str, handle: str) -> None:
    """Offer it no longer; what was recorded stays."""
    with refused_with_words(), transaction():
        actor(handle)
        scenarios.retire(program_id=programs.by_code(code).id, code=scenario_code, at=now())
        click.echo(f"scenario {scenario_code} is retired")
