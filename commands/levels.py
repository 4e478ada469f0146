"""``flask levels``: a program's levels and badges from a file, set with a second person; who stands where; a review."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup

from app import approvals, levels, programs
from app.approvals.models import Approval
from app.clock import now
from app.db import read, transaction
from commands.shared import actor, actor_option, dry, dry_option, json_option, program_option, refused_with_words, show

group = AppGroup("levels", help="Levels over twelve months, badges: rules from a file, who stands where.")
PUT = "levels.put"
TOML = click.Path(exists=True, dir_okay=False, path_type=Path)


@group.command("put")
@program_option
@click.argument("file", type=TOML)
@click.option("--reason", required=True, help="why, for the second person and the audit")
@dry_option
@actor_option
def put(code: str, file: Path, reason: str, dry_run: bool, handle: str) -> None:
    """Ask to set levels and badges from a TOML FILE; approved by another person, they hold from then on.

    A dry run sets them, says how many people each level would have, and takes it back.
    """
    with refused_with_words(), dry(dry_run) as trial, transaction():
        program_id = programs.by_code(code).id
        payload = {"program_id": program_id, "content": levels.parse(file.read_text("utf-8"))}
        if dry_run:
            levels.put(program_id=program_id, content=payload["content"], actor=actor(handle), at=now())
            show(_expected(program_id, payload["content"]["levels"]), as_json=False)
        else:
            asked = approvals.ask(
                action=PUT, payload=payload, reason=reason, maker=actor(handle), at=now(), program_id=program_id
            )
            click.echo(f"approval {asked.id} waits for a second person")
        trial.done()


@group.command("show")
@program_option
@json_option
def show_all(code: str, as_json: bool) -> None:
    """The levels in force and how many people stand on each; badges and how many have them."""
    with refused_with_words():
        program_id = programs.by_code(code).id
        found = levels.in_force(program_id)
        people = _count("select level::text as key, count(*) as n from person_levels", program_id)
        badges = _count("select badge as key, count(*) as n from person_badges", program_id)
        rows = [] if found is None else found.levels
        show(
            ({"level": one["level"], "code": one["code"], "from g": one["mg"] // 1000, "boost": one["boost_bps"],
              "bonus": one["bonus"], "people": people.get(str(one["level"]), 0)} for one in rows),
            as_json=as_json, empty="this program has no levels",
        )  # fmt: skip
        if found is not None and not as_json:
            show(
                ({"badge": one["code"], "rule": one["rule"], "least": one["least"],
                  "people": badges.get(one["code"], 0)}
                 for one in found.badges),
                as_json=False, empty="no badges",
            )  # fmt: skip


@group.command("review")
def review() -> None:
    """Bring every level to the twelve months up to now, down too: what the clock does on the first of a month."""
    changed = 0
    for program_id in levels.programs_with_levels():
        after = 0
        while True:
            with transaction():
                after, moved = levels.review(program_id=program_id, after=after, at=now())
            changed += moved
            if after == 0:
                break
    click.echo(f"{changed} levels changed")


def _count(query: str, program_id: int) -> dict[str, int]:
    rows = read(query + " where program_id = %(program)s group by 1", {"program": program_id})
    return {row.key: row.n for row in rows}


def _expected(program_id: int, wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many people the grams of twelve months would put on each level today."""
    query = """
        select x.number, (select count(*) from grams_of_year(%(p)s, null, (%(at)s at time zone 'Asia/Shanghai')::date) g
                          where g.mg >= x.mg and (x.above is null or g.mg < x.above)) as people
        from unnest(%(numbers)s::bigint[], %(mg)s::bigint[], %(above)s::bigint[]) as x (number, mg, above) order by 1
    """
    grams: list[int | None] = [one["mg"] for one in wanted]
    values = {
        "p": program_id, "at": now(), "numbers": [one["level"] for one in wanted], "mg": grams,
        "above": [*grams[1:], None],
    }  # fmt: skip
    return [{"level": row.number, "people": row.people} for row in read(query, values)]


def _put(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    made = levels.put(
        program_id=payload["program_id"], content=payload["content"], actor=approval.maker, at=at,
        approval_id=approval.id,
    )  # fmt: skip
    return f"levels of version {made.version}: {len(made.levels)} levels, {len(made.badges)} badges"


EXECUTORS: dict[str, Callable[[dict[str, Any], Approval, datetime], str]] = {PUT: _put}
