"""``flask demo seed``, ``flask demo month`` and ``flask demo logins``."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import click
from flask import Flask, current_app
from flask.cli import AppGroup
from rich.console import Console
from rich.progress import Progress, TaskID

from app import clock
from app.config import Settings
from demo import month as life
from demo.places import DEMO_VIN, OPERATORS, PARTNER_KEY, PEOPLE, PLACES
from demo.seed import seed

group = AppGroup("demo", help="The demonstration programs.")


@group.command("seed")
def seed_command() -> None:
    """Make the demo programs, or bring them up to date; a second run changes nothing."""
    settings = _settings()
    seed(settings, at=clock.now())
    click.echo(f"demo: {len(PLACES)} programs, {len(PEOPLE)} people, {len(OPERATORS)} operators")


@group.command("logins")
def logins_command() -> None:
    """Who one can be in the demo, and how."""
    settings = _settings()
    click.echo("demo programs: " + ", ".join(f"{place.code} ({place.name_en})" for place in PLACES))
    click.echo("sign in as one of: " + ", ".join(PEOPLE))
    click.echo(f'  1. a login code:  curl -s {settings.wechat_api_base}/_sandbox/codes -d \'{{"user":"alice"}}\'')
    address = f"{settings.public_base_url}/api/v1/sign-in"
    body = '{"code":"…","of_age":true}'
    click.echo(f"  2. a session:     curl -s {address} -H 'Content-Type: application/json' -d '{body}'")
    click.echo(f"operators for commands: {', '.join(handle for handle, _ in OPERATORS)} (--as; a second one approves)")
    click.echo(
        f"partner keys: app ids demo-metro, demo-bus, demo-bike, demo-ev; key {PARTNER_KEY[0]}, {PARTNER_KEY[1]}"
    )
    click.echo(f"alice's car: {DEMO_VIN}")


@group.command("month")
@click.option("--people", "count", type=click.IntRange(10, 100_000), default=2_000, show_default=True)
@click.option("--month", type=click.DateTime(["%Y-%m"]), default="2026-10", show_default=True)
@click.option("--days", type=click.IntRange(1, 31), help="Only so many days of it.")
@click.option("--seed", "number", type=int, default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="All figures, person by person.")
def month_command(count: int, month: datetime, days: int | None, number: int, as_json: bool) -> None:
    """Live a month: people, acts, contests. A second run changes nothing; equal seeds give equal months."""
    settings = _settings()
    first = month.date()
    last = (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    if days:
        last = min(last, first + timedelta(days=days - 1))
    with Progress(console=Console(stderr=True)) as bar:
        tasks: dict[str, TaskID] = {}

        def told(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=of)
            bar.update(tasks[what], completed=done)

        everybody = life.live(settings, seed=number, count=count, first=first, last=last, told=told)
    found = life.figures(everybody, first=first, last=last)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, default=str))
        return
    for name, rows in found.items():
        click.echo(f"{name}: {len(rows)} rows")
    click.echo(f"digest {life.digest(found)}")


def register(app: Flask) -> None:
    app.cli.add_command(group)


def _settings() -> Settings:
    settings: Settings = current_app.config["SETTINGS"]
    if settings.production:
        raise click.ClickException("the demo is not for production")
    return settings
