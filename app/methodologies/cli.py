"""`flask methodologies …`: check a pack line by line; list, show, draft, submit, approve; publish the library.

Exit 0 done, 1 refused or problems found, 2 wrong usage. `python -m app.methodologies.cli check FILE` needs no servers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import click
from flask import Flask
from flask.cli import with_appcontext

from app import methodologies, operators
from app.clock import now
from app.db import transaction
from app.errors import Refusal
from app.methodologies import library, queries
from app.methodologies.check import Finding, Report, check_file

P = ParamSpec("P")
json_option = click.option("--json", "as_json", is_flag=True, help="machine-readable answer on stdout")
actor_option = click.option("--as", "handle", required=True, help="handle of the operator who acts")
pack_file = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group(
    "methodologies", help="Methodologies: check a pack, list, show, draft, submit, approve, publish the library."
)
def group() -> None:
    """Holds the commands."""


def register(app: Flask) -> None:
    """Add the commands to the application."""
    app.cli.add_command(group)


@contextmanager
def refused_with_words() -> Iterator[None]:
    """A refusal ends the command with its code, its words and exit 1; findings are written line by line."""
    try:
        yield
    except Refusal as refusal:
        for finding in refusal.details.get("findings", ()):
            click.echo(f"{finding['line']}:{finding['column']} {finding['severity']} {finding['en']}", err=True)
        rest = {name: value for name, value in refusal.details.items() if name != "findings"}
        details = json.dumps(rest, ensure_ascii=False, default=str) if rest else ""
        raise click.ClickException(f"{refusal.code}: {refusal.message('en')} {details}".strip()) from None


def command(call: Callable[P, Any]) -> Callable[P, Any]:
    """A command against the database: inside the application, with refusals in words."""

    @wraps(call)
    def run(*args: P.args, **kwargs: P.kwargs) -> Any:
        with refused_with_words():
            return call(*args, **kwargs)

    return with_appcontext(run)


@group.command("check")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--library", "whole_library", is_flag=True, help="check the packs shipped with the code")
@click.option("--lang", type=click.Choice(["zh", "en", "both"]), default="both", show_default=True)
@json_option
def check(files: tuple[Path, ...], whole_library: bool, lang: str, as_json: bool) -> None:
    """Say what is wrong with pack FILES, line by line. Exit 1 when there is an error."""
    paths = [*files, *(library.pack_files() if whole_library else [])]
    if not paths:
        raise click.UsageError("give a FILE, or --library")
    reports = [(path, check_file(path.read_bytes())) for path in paths]
    if as_json:
        click.echo(json.dumps([_plain(path, report) for path, report in reports], ensure_ascii=False, indent=1))
    for path, report in reports if not as_json else []:
        for finding in report.findings:
            click.echo(f"{path.name}:{finding.line}:{finding.column}: {finding.severity}: {_words(finding, lang)}")
        click.echo(f"{path.name}: {_verdict(report)}")
    if not all(report.ok for _, report in reports):
        raise SystemExit(1)


def _words(finding: Finding, lang: str) -> str:
    words = {"zh": finding.zh, "en": finding.en, "both": f"{finding.en} · {finding.zh}"}[lang]
    only = f" [version {', '.join(finding.versions)}]" if finding.versions else ""
    return f"{words} ({finding.code}){only}"


def _verdict(report: Report) -> str:
    errors = sum(finding.severity == "error" for finding in report.findings)
    examples = sum(len(content["examples"]) for content in report.contents)
    if errors:
        return f"{errors} errors"
    return f"ok: {report.key}, {len(report.contents)} versions, {examples} worked examples reproduce exactly"


def _plain(path: Path, report: Report) -> dict[str, Any]:
    return {
        "file": path.name,
        "key": report.key,
        "ok": report.ok,
        "versions": [content["version"] for content in report.contents],
        "findings": [asdict(finding) for finding in report.findings],
    }


@group.command("list")
@json_option
@command
def list_all(as_json: bool) -> None:
    """List methodologies with all their versions."""
    rows = methodologies.listing()
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=1))
    for row in rows if not as_json else []:
        span = f"{row['in_force']['from']} … {row['in_force']['to'] or ''}"
        state = "retired" if row["retired"] else row["state"]
        click.echo(f"{row['id']:>5} {row['key']:24} {row['version']:10} {state:10} {span:26} {row['name']['zh']}")


@group.command("show")
@click.argument("key")
@click.option("--version")
@json_option
@command
def show(key: str, version: str | None, as_json: bool) -> None:
    """Show a published version as its public page does; without --version, the newest."""
    page = methodologies.public_page(key, version)
    if as_json:
        click.echo(json.dumps(page, ensure_ascii=False, indent=1))
        return
    span = f"{page['in_force']['from']} … {page['in_force']['to'] or ''}"
    click.echo(
        f"{page['key']} {page['version']}  {page['name']['zh']} · {page['name']['en']}  {page['result']}  {span}"
    )
    click.echo(f"sources: {'; '.join(page['sources'])}\n\n{page['formula'].strip()}\n")
    for entry in page["variables"]:
        limits = f"{entry.get('min', '')}–{entry.get('max', '')}" if "min" in entry else "/".join(entry["options"])
        click.echo(f"  variable  {entry['name']:20} {entry.get('unit', ''):14} {limits:14} {entry['label']['zh']}")
    for entry in page["parameters"]:
        value = entry.get("value", f"{len(entry.get('by_region', {}))} regions")
        click.echo(
            f"  parameter {entry['name']:20} {entry['unit']:14} {value:14} {entry['evidence']} {entry['source']}"
        )
    click.echo(f"\nunverified: {', '.join(page['unverified']) or 'none'}\nsha256 {page['content_hash']}")


@group.command("unverified")
@json_option
@command
def unverified(as_json: bool) -> None:
    """List the parameters that still need to be confirmed against an official text."""
    _answer(queries.unverified_parameters(), as_json)


@group.command("publish-library")
@json_option
@command
def publish_library(as_json: bool) -> None:
    """Publish the packs shipped with the code. A second run changes nothing."""
    with transaction():
        outcome = methodologies.publish_library(at=now())
    if as_json:
        click.echo(json.dumps({"published": outcome.published, "unchanged": outcome.unchanged}, ensure_ascii=False))
    else:
        click.echo(f"{len(outcome.published)} versions published, {len(outcome.unchanged)} unchanged")


@group.command("draft")
@pack_file
@actor_option
@json_option
@command
def draft(file: Path, handle: str, as_json: bool) -> None:
    """Keep the versions of a pack FILE as drafts."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise click.ClickException(f"{file.name} is not UTF-8: save it as UTF-8") from None
    with transaction():
        made = methodologies.draft(pack_text=text, author=operators.actor(handle), at=now())
        rows = [{"id": str(v.id), "version": v.version, "state": v.state, "content_hash": v.content_hash} for v in made]
    _answer(rows, as_json)


@group.command("submit")
@click.argument("version_id", type=int)
@click.option("--reason", required=True)
@actor_option
@json_option
@command
def submit(version_id: int, reason: str, handle: str, as_json: bool) -> None:
    """Ask another person to publish a draft."""
    with transaction():
        version = methodologies.submit(version_id=version_id, maker=operators.actor(handle), reason=reason, at=now())
        row = {"id": str(version.id), "version": version.version, "state": version.state}
    _answer([row], as_json)


@group.command("approve")
@click.argument("version_id", type=int)
@actor_option
@json_option
@command
def approve(version_id: int, handle: str, as_json: bool) -> None:
    """Approve a pending version as another person than its author, and publish it."""
    with transaction():
        approver = operators.actor(handle)
        version = methodologies.approve_and_publish(version_id=version_id, approver=approver, at=now())
        row = {"id": str(version.id), "version": version.version, "state": version.state}
    _answer([row], as_json)


@group.command("send-back")
@click.argument("version_id", type=int)
@click.option("--words", required=True, help="what should change")
@actor_option
@json_option
@command
def send_back(version_id: int, words: str, handle: str, as_json: bool) -> None:
    """Give a pending version back to its author, with words."""
    with transaction():
        checker = operators.actor(handle)
        version = methodologies.send_back(version_id=version_id, checker=checker, words=words, at=now())
        row = {"id": str(version.id), "version": version.version, "state": version.state}
    _answer([row], as_json)


@group.command("retire")
@click.argument("key")
@click.option("--reason", required=True)
@actor_option
@json_option
@command
def retire(key: str, reason: str, handle: str, as_json: bool) -> None:
    """Offer a methodology to no new scenario any more."""
    with transaction():
        found = methodologies.retire(key=key, by=operators.actor(handle), reason=reason, at=now())
        row = {"id": str(found.id), "key": found.key, "state": "retired"}
    _answer([row], as_json)


def _answer(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
    for row in rows if not as_json else []:
        click.echo("  ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    group()
