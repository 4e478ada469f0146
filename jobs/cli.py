"""`flask worker`, `flask jobs`."""

from __future__ import annotations

import json

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from sqlalchemy import text

from app.db import connection
from jobs.proofs import cli as proofs_cli
from jobs.relay import relay_all
from jobs.rescue import rescue_stalled


def register(app: Flask) -> None:
    """Put the commands of this edge on the application."""
    app.cli.add_command(worker)
    app.cli.add_command(jobs)
    proofs_cli.register(app)


@click.command()
@with_appcontext
def worker() -> None:
    """Run queued jobs, cron and the relay of the outbox until SIGTERM."""
    from jobs.worker import work

    work(current_app._get_current_object())  # type: ignore[attr-defined]


@click.group()
def jobs() -> None:
    """Look at the queue and help it along."""


@jobs.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
@with_appcontext
def status(as_json: bool) -> None:
    """How many jobs wait, run and failed; how many events wait."""
    rows = (
        connection().execute(text("select status::text, count(*) from procrastinate_jobs group by 1 order by 1")).all()
    )
    waiting = connection().execute(text("select count(*) from outbox where published_at is null")).scalar_one()
    counts = {**{str(name): int(count) for name, count in rows}, "events_waiting": int(waiting)}
    if as_json:
        click.echo(json.dumps(counts))
        return
    for name, count in counts.items():
        click.echo(f"{name:16} {count:>8}")


@jobs.command()
@with_appcontext
def rescue() -> None:
    """Give back the jobs of workers that died, now instead of at the next full minute."""
    found = rescue_stalled()
    click.echo(f"given back {found.given_back}, given up {found.given_up}")


@jobs.command()
@with_appcontext
def drain() -> None:
    """Deliver all waiting events now, in this process."""
    click.echo(f"delivered {relay_all()}")
