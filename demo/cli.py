"""``flask demo seed`` and ``flask demo logins``."""

from __future__ import annotations

import click
from flask import Flask, current_app
from flask.cli import AppGroup

from app import clock
from app.config import Settings
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


def register(app: Flask) -> None:
    app.cli.add_command(group)


def _settings() -> Settings:
    settings: Settings = current_app.config["SETTINGS"]
    if settings.production:
        raise click.ClickException("the demo is not for production")
    return settings
