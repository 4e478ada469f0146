"""``flask wechat``: codes and links, WeChat's sessions, what was charged for, sealing with a new secret."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup

import courier
from app import phones, programs, resealing, scenes
from app.clock import now
from app.db import transaction
from app.programs import Program
from commands.shared import actor, actor_option, json_option, program_option, refused_with_words, show
from courier import codes, sessions
from wechat.errors import WeChatError

group = AppGroup("wechat", help="Mini-programs: codes, links, sessions, costs, sealed secrets.")
uses_option = click.option("--uses", type=click.IntRange(1, 1_000_000), required=True, help="how many may join by it")
unit_option = click.option("--org-unit", help="code of the org-unit that they join")
days_option = click.option("--days", type=click.IntRange(1, 366), default=30, help="how long it works")


@group.command("apps")
@json_option
def list_apps(as_json: bool) -> None:
    """The mini-programs of this installation."""
    show(
        (
            {"app": one.appid, "push": one.push is not None, "templates": ", ".join(sorted(one.templates))}
            for one in courier.apps().every
        ),
        as_json=as_json,
    )


@group.command("assign")
@program_option
@click.option("--app", "appid", help="app id; left out: the main mini-program")
@actor_option
def assign(code: str, appid: str | None, handle: str) -> None:
    """Say which mini-program a program lives in: its codes and links lead there."""
    if courier.find(appid) is None:
        raise click.UsageError("no such mini-program in the settings (WECHAT_APPID, WECHAT_MORE_APPS)")
    with refused_with_words(), transaction():
        programs.assign_app(program=programs.by_code(code), appid=appid, actor=actor(handle), at=now())
    click.echo(f"{code}: {appid or 'the main mini-program'}")


@group.command("code")
@program_option
@uses_option
@unit_option
@days_option
@click.option("--width", type=click.IntRange(280, 1280), default=430)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="the image's file")
@actor_option
def make_code(code: str, uses: int, org_unit: str | None, days: int, width: int, out: Path, handle: str) -> None:
    """A code to scan that invites into a program; the image goes into a file."""
    with refused_with_words():
        program, app, made = _invite(code, uses, org_unit, days, handle)
        image = _wechat(lambda: codes.code_image(app, page=made.page, scene=made.token, width=width))
    out.write_bytes(image)
    click.echo(f"scene {made.scene_id} of {program.code}, until {made.expires_at:%Y-%m-%d %H:%M} UTC: {out}")


@group.command("link")
@program_option
@uses_option
@unit_option
@click.option("--days", type=click.IntRange(1, 30), default=30, help="how long it works; WeChat allows 30 days")
@actor_option
def make_link(code: str, uses: int, org_unit: str | None, days: int, handle: str) -> None:
    """A https link that invites into a program, for SMS, e-mail and web pages."""
    with refused_with_words():
        _, app, made = _invite(code, uses, org_unit, days, handle)
        url = _wechat(lambda: codes.link(app, page=made.page, scene=made.token, expires_at=made.expires_at))
    click.echo(url)


@group.command("link-info")
@click.argument("link")
@click.option("--app", "appid", help="app id; left out: the main mini-program")
@json_option
def link_info(link: str, appid: str | None, as_json: bool) -> None:
    """Where a link (https or weixin://) leads, and until when, by WeChat's own word."""
    app = courier.find(appid)
    if app is None:
        raise click.UsageError("no such mini-program in the settings (WECHAT_APPID, WECHAT_MORE_APPS)")
    found = _wechat(lambda: codes.known(app, link))
    line = {"app": found.appid, "page": found.page, "query": found.query, "version": found.version}
    show([{**line, "made": found.made_at, "ends": found.expires_at or "never"}], as_json=as_json)


@group.command("revoke")
@click.argument("scene_id", type=int)
@actor_option
def revoke(scene_id: int, handle: str) -> None:
    """End a code or link now."""
    with refused_with_words(), transaction():
        scenes.revoke(scene_id=scene_id, by=actor(handle), at=now())
    click.echo(f"scene {scene_id} ended")


@group.command("session")
@click.argument("person_id", type=int)
@click.option("--reset", is_flag=True, help="a new session key in the place of one that still holds")
@json_option
def session(person_id: int, reset: bool, as_json: bool) -> None:
    """Whether WeChat's session of a person still holds, by mini-program. Never shows the key."""
    found: dict[str, str] = _wechat(lambda: sessions.reset(person_id) if reset else sessions.check(person_id))
    show(({"app": appid, "session": state} for appid, state in found.items()), as_json=as_json, empty="no identity")


@group.command("costs")
@json_option
def costs(as_json: bool) -> None:
    """What was used that WeChat charges for, by day."""
    show(
        ({"day": one.day, "app": one.appid, "what": one.what, "calls": one.calls} for one in phones.costs()),
        as_json=as_json,
        empty="nothing was used",
    )


@group.command("reseal")
@click.option("--dry-run", is_flag=True, help="Count, write nothing.")
@json_option
def reseal(dry_run: bool, as_json: bool) -> None:
    """Seal session keys, phone numbers, partner keys and codes with the present secret, and hash them anew.

    May be stopped and repeated; says on standard error how far it is. Exit 1 when something can't be opened with any
    secret that is set.
    """
    lines = []
    for column in resealing.COLUMNS:
        done, last = resealing.Resealed(), 0
        while True:
            with transaction():
                found = resealing.reseal(column, after=last, into=done, dry_run=dry_run)
            if found is None:
                break
            last = found
            if not as_json and done.read % 10_000 == 0:
                click.echo(f"{column.table}.{column.column}: {done.read} read, {done.changed} changed", err=True)
        lines.append({"what": f"{column.table}.{column.column}", "read": done.read, "changed": done.changed,
                      "skipped": done.read - done.changed - done.lost, "failed": done.lost})  # fmt: skip
    show(lines, as_json=as_json)
    if any(line["failed"] for line in lines):
        raise SystemExit(1)


def _invite(
    code: str, uses: int, org_unit: str | None, days: int, handle: str
) -> tuple[Program, courier.App, scenes.Made]:
    """An invitation and the scene that carries it. A link lives 30 days at most, so a minute is left for the call."""
    at, valid_for = now(), timedelta(days=days) - timedelta(minutes=1)
    with transaction():
        program = programs.by_code(code)
        made = programs.invite(program_id=program.id, at=at, uses=uses, valid_for=valid_for, org_unit=org_unit)
        scene = scenes.make(
            purpose=scenes.INVITATION,
            payload={"program": code, "invitation": made.code},
            program_id=program.id,
            uses=None,
            expires_at=at + valid_for,
            by=actor(handle),
            at=at,
        )
        app = courier.find(program.wechat_appid)
    if app is None:
        raise click.ClickException(f"{code} names a mini-program that the settings don't have")
    return program, app, scene


def _wechat(call: Any) -> Any:
    try:
        return call()
    except WeChatError as error:
        raise click.ClickException(f"WeChat: {error}") from None
