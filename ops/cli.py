"""`flask backup FILE`, `flask restore FILE`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from ops import backup as archive


def register(app: Flask) -> None:
    """Put the commands of this edge on the application."""
    app.cli.add_command(backup)
    app.cli.add_command(restore)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a sentence.")
@with_appcontext
def backup(file: Path, as_json: bool) -> None:
    """Write the whole database as of one instant and all files into FILE, with a manifest of what is in it."""
    with _spoken():
        manifest = archive.backup(current_app.config["SETTINGS"].database_url, file, _folders())
    rows = sum(manifest.tables.values())
    if as_json:
        click.echo(json.dumps({"file": str(file), "rows": rows, **manifest.plain()}))
    else:
        held = f"{rows} rows in {len(manifest.tables)} tables, {_files(manifest)} files"
        click.echo(f"{file}: {held}, migration {manifest.migration}")
    if manifest.missing:
        click.echo(
            f"warning: {len(manifest.missing)} pictures have no file, for example {manifest.missing[0]}", err=True
        )


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a sentence.")
@with_appcontext
def restore(file: Path, as_json: bool) -> None:
    """Bring back FILE into an empty database and empty folders; count every table against the manifest."""
    with _spoken():
        manifest = archive.restore(current_app.config["SETTINGS"].database_url, file, _folders())
    rows = sum(manifest.tables.values())
    if as_json:
        click.echo(json.dumps({"file": str(file), "rows": rows, **manifest.plain()}))
    else:
        held = f"{rows} rows in {len(manifest.tables)} tables and {_files(manifest)} files"
        click.echo(f"restored {held}, as of {manifest.taken_at}")
        click.echo("next: `flask boards rebuild`, then start web and worker")


def _folders() -> dict[str, Path]:
    """What lies in files, by the name that a backup knows it by."""
    settings = current_app.config["SETTINGS"]
    return {"media": settings.media_folder, "bills": settings.bills_folder}


def _files(manifest: archive.Manifest) -> int:
    return sum(len(listed) for listed in manifest.files.values())


class _spoken:  # noqa: N801 - reads as a word in `with`
    """Turn a failure into one sentence on standard error and exit code 1."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, archive.BackupError):
            click.echo(f"error: {error}", err=True)
            sys.exit(1)
