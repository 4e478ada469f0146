"""``flask records``: what is held, decisions on it, reversals, closing days."""

from __future__ import annotations

import click
from flask.cli import AppGroup
from sqlalchemy import text

from app import approvals, programs, records
from app.clock import now
from app.db import connection, retrying, transaction
from app.records.reasons import REVIEW_CODES
from commands.approvals import REVERSE
from commands.shared import actor, actor_option, json_option, program_option, refused_with_words, show

group = AppGroup("records", help="Held records and reviews.")
code_option = click.option("--code", "reason_code", type=click.Choice(REVIEW_CODES), required=True)

_HELD = text(
    """
    select r.id, r.received_at as received, s.code as scenario, r.tier, r.reason_code as reason, r.reason_en as words,
           r.facts::text as facts
    from records r join scenarios s on s.id = r.scenario_id
    where r.program_id = :program and r.state = 'held' and r.id > :after order by r.id limit :limit
    """
)


@group.command("held")
@program_option
@click.option("--after", type=int, default=0, help="cursor: the last id seen")
@click.option("--limit", type=click.IntRange(1, 1000), default=50)
@json_option
def held(code: str, after: int, limit: int, as_json: bool) -> None:
    """The records that wait for a person, oldest first."""
    with refused_with_words():
        values = {"program": programs.by_code(code).id, "after": after, "limit": limit}
        show(connection().execute(_HELD, values).mappings(), as_json=as_json, empty="nothing is held")  # type: ignore[arg-type]


@group.command("release")
@click.argument("record_id", type=int)
@actor_option
def release(record_id: int, handle: str) -> None:
    """Count a held record after all, by the method of its day."""
    with refused_with_words(), transaction():
        done = records.release(record_id=record_id, by=actor(handle), at=now())
        click.echo(f"record {record_id}: {done.state}, {done.mg} mg, {done.credits} credits")


@group.command("reject")
@click.argument("record_id", type=int)
@code_option
@click.option("--words", required=True, help="for the person")
@actor_option
def reject(record_id: int, reason_code: str, words: str, handle: str) -> None:
    """Reject a held record with a reason that the person reads."""
    with refused_with_words(), transaction():
        records.reject(record_id=record_id, code=reason_code, words=words, by=actor(handle), at=now())
        click.echo(f"record {record_id} rejected")


@group.command("reverse")
@click.argument("record_id", type=int)
@code_option
@click.option("--words", required=True, help="for the person")
@click.option("--reason", required=True, help="for the second operator")
@actor_option
def reverse(record_id: int, reason_code: str, words: str, reason: str, handle: str) -> None:
    """Ask to reverse a counted record; a second operator approves, the person is told and can appeal."""
    payload = {"record_id": record_id, "code": reason_code, "words": words}
    with refused_with_words(), transaction():
        asked = approvals.ask(action=REVERSE, payload=payload, reason=reason, maker=actor(handle), at=now())
        click.echo(f"approval {asked.id} waits for a second person: flask approvals approve {asked.id} --as …")


@group.command("close-days")
def close_days() -> None:
    """Make records of growing days that have ended, now instead of by the worker."""
    total = 0

    def batch() -> int:
        with transaction():
            return len(records.close_days(at=now()))

    with refused_with_words():
        while closed := retrying(batch):
            total += closed
    click.echo(f"{total} days closed")
