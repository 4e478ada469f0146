"""``flask sources``: where acts come from, partner keys, how late each source is."""

from __future__ import annotations

import click
from flask.cli import AppGroup
from sqlalchemy import select

from app import programs, sources
from app.clock import now
from app.db import session, transaction
from app.errors import NOT_FOUND
from app.sources.models import KINDS, Source
from commands.shared import actor, actor_option, json_option, program_option, refused_with_words, show

group = AppGroup("sources", help="Data sources and partner keys.")


@group.command("list")
@program_option
@json_option
def list_sources(code: str, as_json: bool) -> None:
    """The sources of a program and how late each is."""
    with refused_with_words():
        rows = sources.freshness(programs.by_code(code).id, at=now())
        wanted = ("code", "kind", "state", "records", "held", "newest_act_at", "lag_hours", "late")
        show(({name: row[name] for name in wanted} for row in rows), as_json=as_json, empty="no sources")


@group.command("add")
@program_option
@click.argument("source_code")
@click.option("--kind", type=click.Choice(KINDS), required=True)
@click.option("--name", required=True)
@click.option("--test-mode", is_flag=True, help="Calls are judged and answered, and nothing is kept.")
@actor_option
def add(code: str, source_code: str, kind: str, name: str, test_mode: bool, handle: str) -> None:
    """Register a source, or find the one of this code."""
    with refused_with_words(), transaction():
        actor(handle)
        found = sources.register(
            program_id=programs.by_code(code).id, code=source_code, kind=kind, name=name, test_mode=test_mode
        )
        click.echo(f"source {found.code} ({found.kind})" + (f", app id {found.app_id}" if found.app_id else ""))


@group.command("key")
@program_option
@click.argument("source_code")
@actor_option
def key(code: str, source_code: str, handle: str) -> None:
    """Issue a signing key; the secret is shown this once. Older keys stay valid until revoked."""
    with refused_with_words(), transaction():
        actor(handle)
        issued = sources.issue_key(source=_found(code, source_code), at=now())
        click.echo(f"X-App-Id {issued.app_id}\nX-Key-Id {issued.key_id}\nsecret   {issued.secret}")


@group.command("revoke-key")
@program_option
@click.argument("source_code")
@click.argument("key_id")
@actor_option
def revoke_key(code: str, source_code: str, key_id: str, handle: str) -> None:
    """End a key now."""
    with refused_with_words(), transaction():
        actor(handle)
        sources.revoke_key(source=_found(code, source_code), key_id=key_id, at=now())
        click.echo(f"key {key_id} revoked")


@group.command("state")
@program_option
@click.argument("source_code")
@click.argument("state", type=click.Choice(["active", "paused"]))
@actor_option
def change_state(code: str, source_code: str, state: str, handle: str) -> None:
    """Pause a source, or let it go on."""
    with refused_with_words(), transaction():
        actor(handle)
        _found(code, source_code).state = state
        click.echo(f"source {source_code}: {state}")


def _found(code: str, source_code: str) -> Source:
    query = select(Source).where(Source.program_id == programs.by_code(code).id, Source.code == source_code)
    found = session().scalars(query).first()
    if found is None:
        raise NOT_FOUND(source=source_code)
    return found
