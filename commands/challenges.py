"""``flask challenges``: from a file to a published result. Launching and changing a live one needs a second person."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup
from sqlalchemy import select

from app import approvals, challenges, programs
from app.approvals.models import Approval
from app.challenges import Challenge
from app.clock import now
from app.db import retrying, session, transaction
from commands.shared import actor, actor_option, dry, dry_option, json_option, program_option, refused_with_words, show

group = AppGroup("challenges", help="Challenges: draft, launch, amend, cancel, settle, verify.")
LAUNCH, AMEND, CANCEL = "challenges.launch", "challenges.amend", "challenges.cancel"
TOML = click.Path(exists=True, dir_okay=False, path_type=Path)
reason_option = click.option("--reason", required=True, help="why, for the second person and the audit")
challenge_argument = click.argument("challenge")


@group.command("draft")
@program_option
@click.argument("file", type=TOML)
@dry_option
@actor_option
def draft(code: str, file: Path, dry_run: bool, handle: str) -> None:
    """Keep a challenge from a TOML FILE as a draft, in place of the draft of its code."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        definition = challenges.parse(file.read_text("utf-8"))
        made = challenges.draft(
            program_id=programs.by_code(code).id, definition=definition, actor=actor(handle), at=now()
        )
        click.echo(
            f"challenge {made.code}, version {made.version}: reserves {definition.worst_case()} credits at launch"
        )
        trial.done()


@group.command("launch")
@program_option
@challenge_argument
@reason_option
@dry_option
@actor_option
def launch(code: str, challenge: str, reason: str, dry_run: bool, handle: str) -> None:
    """Ask for the launch; approved by another person, it runs and its prizes are reserved.

    A dry run launches it and takes it back: it says at once when the budget is short.
    """
    with refused_with_words(), dry(dry_run) as trial, transaction():
        found = _found(code, challenge)
        payload = {"challenge_id": found.id, "version": found.version}
        if dry_run:
            click.echo(_launch(payload, None, now()))
        else:
            asked = approvals.ask(action=LAUNCH, payload=payload, reason=reason, maker=actor(handle), at=now(),
                                  program_id=found.program_id)  # fmt: skip
            click.echo(f"approval {asked.id} waits for a second person")
        trial.done()


@group.command("amend")
@program_option
@click.argument("file", type=TOML)
@reason_option
@dry_option
@actor_option
def amend(code: str, file: Path, reason: str, dry_run: bool, handle: str) -> None:
    """Ask for a change of a live challenge. Once people have enrolled, only in their favour."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        definition = challenges.parse(file.read_text("utf-8"))
        found = _found(code, definition.code)
        payload = {"challenge_id": found.id, "definition": definition.as_json()}
        if dry_run:
            changed = challenges.amend(challenge_id=found.id, definition=definition, actor=actor(handle), at=now())
            click.echo(f"challenge {changed.code}: version {changed.version}, {changed.reserved} credits reserved")
        else:
            asked = approvals.ask(action=AMEND, payload=payload, reason=reason, maker=actor(handle), at=now(),
                                  program_id=found.program_id)  # fmt: skip
            click.echo(f"approval {asked.id} waits for a second person")
        trial.done()


@group.command("cancel")
@program_option
@challenge_argument
@reason_option
@dry_option
@actor_option
def cancel(code: str, challenge: str, reason: str, dry_run: bool, handle: str) -> None:
    """Ask to cancel: no prizes, the reserve goes back, everybody who takes part reads the reason."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        found = _found(code, challenge)
        if dry_run:
            challenges.cancel(challenge_id=found.id, words=reason, actor=actor(handle), at=now())
            click.echo(f"{found.enrolled} enrolled would be told")
        else:
            asked = approvals.ask(action=CANCEL, payload={"challenge_id": found.id, "words": reason}, reason=reason,
                                  maker=actor(handle), at=now(), program_id=found.program_id)  # fmt: skip
            click.echo(f"approval {asked.id} waits for a second person")
        trial.done()


@group.command("list")
@program_option
@json_option
def list_all(code: str, as_json: bool) -> None:
    """A program's challenges, drafts too."""
    with refused_with_words():
        query = select(Challenge).where(Challenge.program_id == programs.by_code(code).id).order_by(Challenge.id)
        show(
            ({"code": one.code, "kind": one.kind, "state": one.state, "version": one.version, "starts": one.starts_at,
              "ends": one.ends_at, "enrolled": one.enrolled, "capacity": one.capacity, "reserved": one.reserved}
             for one in session().scalars(query)),
            as_json=as_json, empty="no challenges",
        )  # fmt: skip


@group.command("settle")
@program_option
@challenge_argument
@dry_option
def settle(code: str, challenge: str, dry_run: bool) -> None:
    """Settle now what the clock would settle; a second run changes nothing. A dry run shows the result, keeps none."""
    with refused_with_words():
        if dry_run:
            with dry(True) as trial, transaction():
                found = _found(code, challenge)
                challenges.settle(challenge_id=found.id, at=now())
                _report(found)
                trial.done()
            return
        found_id, state = _found(code, challenge).id, ""
        session().rollback()
        while state != "settled":
            state = retrying(lambda: _step(found_id)).state
        _report(_found(code, challenge))


@group.command("verify")
@program_option
@challenge_argument
def verify(code: str, challenge: str) -> None:
    """Compute a published result again from the records. Exit 1 when it differs."""
    with refused_with_words():
        same, differing = challenges.verify(_found(code, challenge).id)
    show((row._asdict() for row in differing), as_json=False, empty="every line agrees" if same else "the hash differs")
    if not same:
        raise SystemExit(1)


@group.command("results")
@program_option
@challenge_argument
@click.option("--top", type=click.IntRange(1, 1000), default=20)
@json_option
def results(code: str, challenge: str, top: int, as_json: bool) -> None:
    """The published list; persons by id, since operators see no names here."""
    with refused_with_words():
        found = _found(code, challenge)
        rows = challenges.results(found.id, after=0, limit=top)
        show((row._asdict() for row in rows), as_json=as_json, empty="no result yet")


@group.command("recount")
@program_option
@challenge_argument
def recount(code: str, challenge: str) -> None:
    """Compute a live challenge's standing anew from the records, and its ranks."""
    with refused_with_words(), transaction():
        found = _found(code, challenge)
        challenges.refresh(found.id)
        click.echo(f"{challenges.rebuild(found.id)} ranked")


def _step(challenge_id: int) -> challenges.Step:
    with transaction():
        return challenges.settle(challenge_id=challenge_id, at=now())


def _report(found: Challenge) -> None:
    row = challenges.report(found.id)
    click.echo(
        f"{found.code}: {found.state}, {row.ranked} ranked, {row.winners} winners, {row.paid + row.due} credits, "
        f"{row.to_the_first_ten} of them paid to the first ten, result {found.result_hash}"
    )


def _found(code: str, challenge: str) -> Challenge:
    return challenges.by_code(programs.by_code(code).id, challenge)


def _launch(payload: dict[str, Any], approval: Approval | None, at: datetime) -> str:
    made = challenges.launch(
        challenge_id=payload["challenge_id"], version=payload["version"],
        approval_id=approval.id if approval else None, at=at,
    )  # fmt: skip
    return f"challenge {made.code} is live, {made.reserved} credits reserved"


def _amend(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    definition = challenges.from_json(payload["definition"])
    made = challenges.amend(challenge_id=payload["challenge_id"], definition=definition, actor=approval.maker, at=at)
    return f"challenge {made.code}: version {made.version}, {made.reserved} credits reserved"


def _cancel(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    made = challenges.cancel(challenge_id=payload["challenge_id"], words=payload["words"], actor=approval.maker, at=at)
    return f"challenge {made.code} is cancelled"


EXECUTORS: dict[str, Callable[[dict[str, Any], Approval, datetime], str]] = {
    LAUNCH: _launch,
    AMEND: _amend,
    CANCEL: _cancel,
}
