"""``flask gatherings``: set up from a file, call off, name hosts, look, settle; the webhook of Tencent Meeting."""

from __future__ import annotations

import sys
import tomllib
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup

from app import clock, gatherings, programs
from app.clock import SHANGHAI, now
from app.db import retrying, transaction
from app.gatherings import queries
from commands.shared import actor, actor_option, dry, dry_option, json_option, program_option, refused_with_words, show

group = AppGroup("gatherings", help="Events, stations, meetings: set up, look, call off, settle.")


@group.command("launch")
@program_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@dry_option
@actor_option
def launch(code: str, file: Path, dry_run: bool, handle: str) -> None:
    """Launch the [[gatherings]] of a TOML FILE; one of a known code is brought to the file.

    Keys: code, kind (on-site, online), name, name_en, text_zh, text_en, scenario, starts_at, ends_at, attend_by (code,
    minutes), least_minutes, repeats (once, daily), needs_sign_up, opens_at, closes_at, capacity, audience_units,
    audience_tags, facts, hosts (ids of persons), [[gatherings.places]] with code, name, name_en, lat_e6, lng_e6,
    radius_m. Times without an offset are Shanghai's.
    """
    try:
        listed = tomllib.loads(file.read_text("utf-8"))["gatherings"]
        wishes = [(_definition(dict(one)), [int(host) for host in one.get("hosts", [])]) for one in listed]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise click.ClickException(f"{file.name}: {type(error).__name__}: {error}") from None
    with refused_with_words(), dry(dry_run) as trial, transaction():
        program_id, by, at = programs.by_code(code).id, actor(handle), now()
        for definition, hosts in wishes:
            made = gatherings.launch(program_id=program_id, definition=definition, by=by, at=at)
            for person in hosts:
                gatherings.add_host(gathering_id=made.id, person_id=person, at=at)
            click.echo(f"gathering {made.id} {made.code}: {made.starts_at.astimezone(SHANGHAI):%Y-%m-%d %H:%M}")
        trial.done()


def _definition(content: dict[str, Any]) -> gatherings.Definition:
    content.pop("hosts", None)
    places = tuple(gatherings.Place(**place) for place in content.pop("places", []))
    for name in ("starts_at", "ends_at", "opens_at", "closes_at"):
        if name in content:
            content[name] = _moment(content[name])
    for name in ("audience_units", "audience_tags"):
        if name in content:
            content[name] = tuple(content[name])
    return gatherings.Definition(**content, places=places)


def _moment(value: Any) -> datetime:
    found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return found if found.tzinfo else found.replace(tzinfo=SHANGHAI)


@group.command("host")
@program_option
@click.argument("gathering_code")
@click.argument("person_id", type=int)
@dry_option
@actor_option
def host(code: str, gathering_code: str, person_id: int, dry_run: bool, handle: str) -> None:
    """Let a member open the organiser's screen."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        actor(handle)
        found = gatherings.by_code(programs.by_code(code).id, gathering_code)
        gatherings.add_host(gathering_id=found.id, person_id=person_id, at=now())
        click.echo(f"person {person_id} hosts {gathering_code}")
        trial.done()


@group.command("list")
@program_option
@json_option
def list_gatherings(code: str, as_json: bool) -> None:
    """A program's gatherings in numbers."""
    with refused_with_words():
        rows = queries.report(programs.by_code(code).id)
        show((row._asdict() for row in rows), as_json=as_json, empty="no gatherings")


@group.command("cancel")
@program_option
@click.argument("gathering_code")
@click.option("--reason", required=True, help="everybody who signed up reads it")
@dry_option
@actor_option
def cancel(code: str, gathering_code: str, reason: str, dry_run: bool, handle: str) -> None:
    """Call a gathering off; who has a place or waits is told."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        found = gatherings.by_code(programs.by_code(code).id, gathering_code)
        gatherings.cancel(gathering_id=found.id, by=actor(handle), reason=reason, at=now())
        click.echo(f"{gathering_code} is called off")
        trial.done()


@group.command("settle")
def settle() -> None:
    """Settle now what is over, instead of by the worker within minutes."""
    with refused_with_words():
        done = 0
        for gathering_id in gatherings.due(at=now()):

            def command(one: int = gathering_id) -> int:
                with transaction():
                    return gatherings.settle(gathering_id=one, at=now())

            click.echo(f"gathering {gathering_id}: {retrying(command)} attended")
            done += 1
        click.echo(f"{done} settled")


@group.command("report")
@program_option
@click.argument("gathering_code")
@json_option
def report(code: str, gathering_code: str, as_json: bool) -> None:
    """What a gathering came to; grams and credits only from five attendees on."""
    with refused_with_words(), transaction():
        found = gatherings.report(gathering_id=gatherings.by_code(programs.by_code(code).id, gathering_code).id)
        if not as_json:
            click.echo(f"{found.attended} attended of {found.signed}, {found.person_minutes} person-minutes")
        show(found.acts, as_json=as_json, empty="nothing earned yet")


@group.command("office")
@program_option
@click.option("--month", help="for example 2026-11; this month without it")
@json_option
def office(code: str, month: str | None, as_json: bool) -> None:
    """Office acts by department; below five persons there is no figure."""
    with refused_with_words():
        try:
            key = month or clock.period("month", clock.business_day(now())).key
            found = clock.period_by_key("month", key)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        last = (found.end_day or date.max) - timedelta(days=1)
        rows = gatherings.office_by_unit(program_id=programs.by_code(code).id, first=found.first_day, last=last)
        show(rows, as_json=as_json, empty="no office acts")


@group.command("tencent")
@program_option
@click.option(
    "--encrypted", is_flag=True, help="an EncodingAESKey is set at Tencent Meeting; it comes as a second line"
)
@dry_option
@actor_option
def tencent(code: str, encrypted: bool, dry_run: bool, handle: str) -> None:
    """Set the webhook's token of a program; read from standard input, so that it stands in no history.

    At Tencent Meeting the address is HOST/meetings/tencent/PROGRAM.
    """
    lines = [line.strip() for line in sys.stdin.read().splitlines() if line.strip()]
    if len(lines) != 1 + int(encrypted):
        raise click.UsageError("the token as one line of standard input (and the key as a second, with --encrypted)")
    with refused_with_words(), dry(dry_run) as trial, transaction():
        gatherings.link(
            program_id=programs.by_code(code).id, token=lines[0], aes_key=lines[1] if encrypted else None,
            by=actor(handle), at=now(),
        )  # fmt: skip
        click.echo(f"Tencent Meeting may call /meetings/tencent/{code}")
        trial.done()
