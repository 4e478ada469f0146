"""``flask boards``: rebuild, check, freeze, look."""

from __future__ import annotations

import sys
import time

import click
from flask.cli import AppGroup

from app import leaderboards, programs
from app.clock import business_day, now
from app.db import transaction
from app.leaderboards import METRICS, SUBJECTS
from commands.shared import json_option, program_option, refused_with_words, show

group = AppGroup("boards", help="Leaderboards: rebuild, check, freeze, show.")
some_program = click.option("--program", "code", help="only this program")


@group.command("rebuild")
@some_program
@click.option(
    "--scores", is_flag=True, help="Compute the scores from the records first, not only the ranks from scores."
)
def rebuild(code: str | None, scores: bool) -> None:
    """Rebuild every board in Redis from PostgreSQL, while the product serves."""
    started = time.monotonic()
    with refused_with_words():
        program_id = programs.by_code(code).id if code else None
        if scores:
            with transaction():
                click.echo(f"{leaderboards.recompute_scores(program_id)} scores computed from records")
        boards = members = 0
        for _, count in leaderboards.rebuild(program_id):
            boards, members = boards + 1, members + count
    click.echo(f"{boards} boards, {members} members, {time.monotonic() - started:.1f} s")


@group.command("check")
@some_program
def check(code: str | None) -> None:
    """Compare Redis with PostgreSQL: sizes, the top 100, and a sample. Exit 1 on a difference."""
    with refused_with_words():
        found = leaderboards.check(programs.by_code(code).id if code else None)
    for problem in found:
        click.echo(problem)
    click.echo("boards differ" if found else "boards agree")
    sys.exit(1 if found else 0)


@group.command("freeze")
@some_program
@click.option("--whole-past", is_flag=True, help="Also periods of imported history, however old.")
def freeze(code: str | None, whole_past: bool) -> None:
    """Freeze the boards whose period and grace are over; a second run changes nothing."""
    with refused_with_words(), transaction():
        program_id = programs.by_code(code).id if code else None
        done = leaderboards.freeze_due(at=now(), program_id=program_id, whole_past=whole_past)
    click.echo(f"{len(done)} boards frozen")


@group.command("show")
@program_option
@click.option("--subject", type=click.Choice(SUBJECTS), default="person")
@click.option("--metric", type=click.Choice(METRICS), default="mg")
@click.option("--period", type=click.Choice(["day", "week", "month", "season", "all"]), default="month")
@click.option("--key", help="a past period, for example 2015-03-09, 2015-W10, 2015-03, 2015-Q1")
@click.option("--top", type=click.IntRange(1, 1000), default=20)
@json_option
def show_board(code: str, subject: str, metric: str, period: str, key: str | None, top: int, as_json: bool) -> None:
    """The top of a board; persons by id, since operators see no names here."""
    with refused_with_words():
        program = programs.by_code(code)
        try:
            board = leaderboards.board_of(
                program_id=program.id, subject_kind=subject, metric=metric, period_kind=period,
                day=business_day(now()), key=key,
            )  # fmt: skip
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        found = leaderboards.page(board, offset=0, limit=top, at=now())
        if not as_json:
            click.echo(f"{board.period.key}: {found.total} on the board{', frozen' if found.frozen else ''}")
        lines = ({"rank": line.rank, "id": line.subject_id, metric: line.score} for line in found.lines)
        show(lines, as_json=as_json, empty="nobody yet")
