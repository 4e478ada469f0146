"""``flask checkins``: rules from a file, frozen days, a look at the days, streaks counted anew."""

from __future__ import annotations

import tomllib
from datetime import datetime, timedelta
from pathlib import Path

import click
from flask.cli import AppGroup

from app import checkins, programs
from app.clock import SHANGHAI, now
from app.db import retrying, transaction
from commands.shared import actor, actor_option, dry, dry_option, json_option, program_option, refused_with_words, show

group = AppGroup("checkins", help="Daily check-in: rules, frozen days, streaks.")
DAY = click.DateTime(["%Y-%m-%d"])


@group.command("rules")
@program_option
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@dry_option
@click.option("--as", "handle", help="who does it; with FILE")
def rules(code: str, file: Path | None, dry_run: bool, handle: str | None) -> None:
    """Show the rules in force, or set new ones from a TOML FILE; they hold from the next Shanghai day on.

    Keys: card_every, cards_most, makeup_month, makeup_days, and [[milestones]] with name, days, credits, zh, en.
    """
    with refused_with_words():
        program_id = programs.by_code(code).id
        if file is None:
            found = checkins.in_force(program_id, now())
        else:
            found = _set(program_id, file, handle, dry_run)
        show([{"version": found.version, "from": found.effective_at, "card_every": found.card_every,
               "cards_most": found.cards_most, "makeup_month": found.makeup_month,
               "makeup_days": found.makeup_days}], as_json=False)  # fmt: skip
        show(({"name": one.name, "days": one.days, "credits": one.credits} for one in found.milestones), as_json=False)


def _set(program_id: int, file: Path, handle: str | None, dry_run: bool) -> checkins.Rules:
    if handle is None:
        raise click.UsageError("--as says who does it")
    try:
        definition = tomllib.loads(file.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise click.ClickException(f"{file.name}: {error}") from None
    made = checkins.in_force(program_id, now())
    with dry(dry_run) as trial, transaction():
        made = checkins.set_rules(program_id=program_id, definition=definition, by=actor(handle), at=now())
        trial.done()
    return made


@group.command("freeze")
@click.argument("day", type=DAY)
@click.option("--program", "code", help="only this program; without it all of them")
@click.option("--reason", required=True, help="everybody may read it")
@dry_option
@actor_option
def freeze(day: datetime, code: str | None, reason: str, dry_run: bool, handle: str) -> None:
    """Freeze a Shanghai day of an outage that the worker did not see: whoever missed it loses no streak."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        program_id = programs.by_code(code).id if code else None
        new = checkins.freeze_day(program_id=program_id, day=day.date(), reason=reason, by=actor(handle), at=now())
        touched = checkins.affected(day.date(), program_id)
        for program, person in touched:
            checkins.recount(person_id=person, program_id=program, at=now())
        click.echo(f"{day.date()} is frozen{'' if new else ' already'}; {len(touched)} streaks counted anew")
        trial.done()


@group.command("outage")
@click.argument("began", type=click.DateTime(["%Y-%m-%dT%H:%M"]))
@click.argument("minutes", type=click.IntRange(10, 14 * 1440))
@click.option("--reason", required=True)
@dry_option
@actor_option
def outage(began: datetime, minutes: int, reason: str, dry_run: bool, handle: str) -> None:
    """Freeze the days of an outage that BEGAN (Shanghai time) and took MINUTES, where at least ten fall on a day."""
    start = began.replace(tzinfo=SHANGHAI)
    with refused_with_words(), dry(dry_run) as trial, transaction():
        frozen = checkins.freeze_outage(
            began=start, ended=start + timedelta(minutes=minutes), reason=reason, by=actor(handle), at=now()
        )
        for day in frozen:
            for program, person in checkins.affected(day, None):
                checkins.recount(person_id=person, program_id=program, at=now())
        click.echo(f"frozen: {', '.join(day.isoformat() for day in frozen) or 'nothing new'}")
        trial.done()


@group.command("days")
@program_option
@click.option("--last", "days", type=click.IntRange(1, 366), default=14)
@json_option
def days(code: str, days: int, as_json: bool) -> None:
    """Check-ins by day: numbers, no persons."""
    with refused_with_words():
        found = checkins.report(program_id=programs.by_code(code).id, at=now(), days=days)
        show((row._asdict() for row in found), as_json=as_json, empty="no check-ins yet")


@group.command("recount")
@program_option
@click.argument("person_id", type=int)
def recount(code: str, person_id: int) -> None:
    """Count a person's streak anew from the days; a second run changes nothing."""
    with refused_with_words():
        program_id = programs.by_code(code).id

        def command() -> int:
            with transaction():
                return len(checkins.recount(person_id=person_id, program_id=program_id, at=now()))

        click.echo(f"counted anew; {retrying(command)} milestones paid")
