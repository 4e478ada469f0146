"""``flask welfare``: projects, milestones with photos, matches, payouts, what goes back; neutral events."""

from __future__ import annotations

import hashlib
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup

from app import approvals, programs, welfare
from app.approvals.models import Approval
from app.clock import now
from app.db import retrying, session, transaction
from app.errors import NOT_FOUND
from app.welfare.models import Gift, Match, Milestone, WelfareProject
from commands.shared import actor, actor_option, dry, dry_option, json_option, program_option, refused_with_words, show

group = AppGroup("welfare", help="Welfare projects: milestones, evidence, matches, payouts, returns; neutral events.")
DAY = click.DateTime(["%Y-%m-%d"])
MATCH_RETURN = "welfare.match_return"
FILE = click.Path(exists=True, dir_okay=False)


@group.command("open")
@program_option
@click.argument("project_code")
@click.option("--name", required=True)
@click.option("--name-en", default="")
@click.option("--text", "text_zh", default="")
@click.option("--text-en", default="")
@click.option("--target", type=click.IntRange(1, 10**9), required=True, help="credits wanted")
@click.option("--kind", type=click.Choice(welfare.KINDS), default="other")
@click.option("--over", "over_rule", type=click.Choice(welfare.RULES), default="open",
              help="what goes over the target: taken (open), refused (cap), or given to --overflow")  # fmt: skip
@click.option("--overflow", help="code of the project that gets the rest")
@dry_option
@actor_option
def open_project(
    code: str, project_code: str, name: str, name_en: str, target: int, dry_run: bool, handle: str, **more: Any
) -> None:
    """Open a welfare project, or find the one of this code."""
    if (more["over_rule"] == "overflow") != (more["overflow"] is not None):
        raise click.UsageError("--over overflow and --overflow CODE belong together")
    with refused_with_words(), dry(dry_run) as trial, transaction():
        actor(handle)
        found = welfare.open_project(
            program_id=programs.by_code(code).id, code=project_code, name=name, name_en=name_en or name,
            target_credits=target, **more,
        )  # fmt: skip
        click.echo(f"project {found.code}: {found.given_credits} of {found.target_credits} credits given")
        trial.done()


@group.command("show")
@program_option
@click.argument("project_code")
@json_option
def show_project(code: str, project_code: str, as_json: bool) -> None:
    """A project's milestones and money. Exit 1 when its sums don't meet."""
    with refused_with_words():
        found = welfare.trail(_project(code, project_code).id)
        sums = ("given_credits", "gifts_fen", "matched_fen", "paid_fen", "returned_fen", "held_fen", "agrees", "state")
        if as_json:
            show([found], as_json=True)
        else:
            show([{name: found[name] for name in sums}], as_json=False)
            for part in ("milestones", "plots", "matches", "payouts"):
                show(found[part], as_json=False, empty=f"no {part}")
    if not found["agrees"]:
        raise SystemExit(1)


@group.command("plan")
@program_option
@click.argument("project_code")
@click.argument("position", type=click.IntRange(1, 1000))
@click.option("--title", required=True)
@click.option("--title-en", default="")
@click.option("--fen", "planned_fen", type=click.IntRange(0, 10**12), default=0, help="its planned money")
@click.option("--due", type=DAY)
@dry_option
@actor_option
def plan(
    code: str,
    project_code: str,
    position: int,
    title: str,
    title_en: str,
    planned_fen: int,
    due: datetime | None,
    dry_run: bool,
    handle: str,
) -> None:
    """Plan a milestone, or change a planned one."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        actor(handle)
        made = welfare.plan(
            project_id=_project(code, project_code).id, position=position, title=title, title_en=title_en,
            planned_fen=planned_fen, due_on=due.date() if due else None,
        )  # fmt: skip
        click.echo(f"milestone {made.id} ({made.position}): {made.title}")
        trial.done()


@group.command("plot")
@program_option
@click.argument("project_code")
@click.argument("plot_code")
@click.option("--place", required=True)
@click.option("--households", type=click.IntRange(1), required=True)
@click.option("--carbon-kg", type=click.IntRange(1), required=True)
@click.option("--price-fen", type=click.IntRange(1), required=True, help="a tonne")
@dry_option
@actor_option
def plot(code: str, project_code: str, plot_code: str, dry_run: bool, handle: str, **facts: Any) -> None:
    """Name a plot of a carbon-sink project."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        actor(handle)
        made = welfare.plot(project_id=_project(code, project_code).id, code=plot_code, **facts)
        click.echo(f"plot {made.code}: {made.households} households, {made.carbon_kg} kg")
        trial.done()


@group.command("evidence")
@click.argument("milestone_id", type=int)
@click.argument("photo", type=FILE)
@click.option("--site", required=True)
@click.option("--taken-on", type=DAY, required=True)
@dry_option
@actor_option
def evidence(milestone_id: int, photo: str, site: str, taken_on: datetime, dry_run: bool, handle: str) -> None:
    """Add a photo to a milestone. One that proves another milestone is refused."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        made = welfare.add_evidence(
            milestone_id=milestone_id, sent=Path(photo).read_bytes(), site=site, taken_on=taken_on.date(),
            actor=actor(handle), at=now(),
        )  # fmt: skip
        click.echo(f"photo {made.id} belongs to milestone {milestone_id}")
        trial.done()


@group.command("photo")
@click.argument("photo_id", type=int)
@click.option("--out", type=click.Path(dir_okay=False, writable=True), required=True)
def photo(photo_id: int, out: str) -> None:
    """Write a photo to a file, to look at it before approving its milestone."""
    with refused_with_words():
        Path(out).write_bytes(welfare.photo_for_operators(photo_id))
        click.echo(f"photo {photo_id} is in {out}")


@group.command("reach")
@click.argument("milestone_id", type=int)
@click.option("--on", "day", type=DAY, required=True)
@click.option("--site", required=True)
@click.option("--payee", required=True)
@click.option("--reason", required=True)
@dry_option
@actor_option
def reach(milestone_id: int, day: datetime, site: str, payee: str, reason: str, dry_run: bool, handle: str) -> None:
    """Ask to confirm that a milestone is reached; a second operator looks at the photos and approves."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        project = session().get_one(WelfareProject, welfare.provable(milestone_id).project_id)
        payload = {"milestone_id": milestone_id, "on": day.date().isoformat(), "site": site, "payee": payee}
        _ask(welfare.REACH, payload, reason, handle, project.program_id)
        trial.done()


@group.command("pay")
@click.argument("milestone_id", type=int)
@click.argument("fen", type=click.IntRange(1, 10**12))
@click.option("--reference", required=True, help="the bank's own; once, for ever")
@click.option("--paid-on", type=DAY, required=True)
@click.option("--evidence", "receipt", type=FILE, required=True, help="the bank's receipt")
@click.option("--plot", help="code of the plot whose households got it")
@click.option("--reason", required=True)
@dry_option
@actor_option
def pay(
    milestone_id: int,
    fen: int,
    reference: str,
    paid_on: datetime,
    receipt: str,
    plot: str | None,
    reason: str,
    dry_run: bool,
    handle: str,
) -> None:
    """Ask to book money that a project paid for a reached milestone; a second operator approves."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        milestone = _milestone(milestone_id)
        payload = {"milestone_id": milestone_id, "fen": fen, "reference": reference, "evidence": _digest(receipt),
                   "paid_on": paid_on.date().isoformat(), "plot": plot}  # fmt: skip
        _ask(welfare.PAY, payload, reason, handle, session().get_one(WelfareProject, milestone.project_id).program_id)
        trial.done()


@group.command("match")
@program_option
@click.argument("project_code")
@click.option("--sponsor", required=True)
@click.option("--percent", type=click.IntRange(1, 10_000), required=True, help="of what gifts are worth: 100 is 1:1")
@click.option("--fen", type=click.IntRange(1, 10**12), required=True, help="what it has paid in for that")
@click.option("--reference", required=True, help="the bank's own")
@click.option("--reason", required=True)
@dry_option
@actor_option
def match(
    code: str,
    project_code: str,
    sponsor: str,
    percent: int,
    fen: int,
    reference: str,
    reason: str,
    dry_run: bool,
    handle: str,
) -> None:
    """Ask to let a sponsor match gifts; a second operator approves."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        project = _project(code, project_code)
        payload = {"project_id": project.id, "sponsor": sponsor, "rate_bps": percent * 100, "fen": fen,
                   "reference": reference}  # fmt: skip
        _ask(welfare.MATCH, payload, reason, handle, project.program_id)
        trial.done()


@group.command("fail")
@program_option
@click.argument("project_code")
@click.option("--milestone", type=int, help="only this milestone (its id): its planned money goes back")
@click.option("--reason", required=True, help="everybody reads it")
@dry_option
@actor_option
def fail(code: str, project_code: str, milestone: int | None, reason: str, dry_run: bool, handle: str) -> None:
    """Ask to end a project (or a milestone) that fails: what is unspent goes back pro rata; a second one approves."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        project = _project(code, project_code)
        if milestone is not None:
            _ask(welfare.FAIL_MILESTONE, {"milestone_id": milestone}, reason, handle, project.program_id)
        else:
            _ask(welfare.FAIL, {"project_id": project.id}, reason, handle, project.program_id)
        trial.done()


@group.command("take-back")
@click.argument("gift_id", type=int)
@click.option("--reason", required=True, help="the giver reads it")
@dry_option
@actor_option
def take_back(gift_id: int, reason: str, dry_run: bool, handle: str) -> None:
    """Ask to correct a gift of credits that fraud had earned; a second operator approves."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        gift = session().get(Gift, gift_id)
        if gift is None:
            raise NOT_FOUND(gift=str(gift_id))
        _ask(welfare.TAKE_BACK, {"gift_id": gift_id}, reason, handle, gift.program_id)
        trial.done()


@group.command("match-return")
@click.argument("match_id", type=int)
@click.option("--reference", required=True, help="the bank's own")
@click.option("--evidence", "receipt", type=FILE, required=True, help="the bank's receipt")
@click.option("--reason", required=True)
@actor_option
def match_return(match_id: int, reference: str, receipt: str, reason: str, handle: str) -> None:
    """Ask to book what a sponsor got back of a match when its project is over; a second operator approves."""
    with refused_with_words(), transaction():
        match = session().get(Match, match_id)
        if match is None:
            raise NOT_FOUND(match=str(match_id))
        payload = {"match_id": match_id, "reference": reference, "evidence": _digest(receipt)}
        _ask(MATCH_RETURN, payload, reason, handle, session().get_one(WelfareProject, match.project_id).program_id)


@group.command("return-due")
def return_due() -> None:
    """Give back now what is planned, instead of by the worker within ten minutes."""
    total = 0

    def batch() -> int:
        with transaction():
            return welfare.return_due(at=now())

    with refused_with_words():
        while done := retrying(batch):
            total += done
    click.echo(f"{total} gifts got something back")


@group.command("event")
@program_option
@click.argument("event_code")
@click.option("--name", required=True)
@click.option("--name-en", default="")
@click.option("--held-on", type=DAY, required=True)
@click.option("--footprint-kg", type=click.IntRange(1, 10**9), required=True, help="kg CO2e")
@dry_option
@actor_option
def event(
    code: str,
    event_code: str,
    name: str,
    name_en: str,
    held_on: datetime,
    footprint_kg: int,
    dry_run: bool,
    handle: str,
) -> None:
    """Open an event that wants to be neutral, or find the one of this code."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        actor(handle)
        made = welfare.open_event(
            program_id=programs.by_code(code).id, code=event_code, name=name, name_en=name_en or name,
            held_on=held_on.date(), footprint_mg=footprint_kg * 1_000_000,
        )  # fmt: skip
        click.echo(f"event {made.id} {made.code}: {made.footprint_mg} mg")
        trial.done()


def _project(code: str, project_code: str) -> WelfareProject:
    return welfare.by_code(programs.by_code(code).id, project_code)


def _milestone(milestone_id: int) -> Milestone:
    found = session().get(Milestone, milestone_id)
    if found is None:
        raise NOT_FOUND(milestone=str(milestone_id))
    return found


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _ask(action: str, payload: dict[str, Any], reason: str, handle: str, program_id: int) -> None:
    asked = approvals.ask(
        action=action, payload=payload, reason=reason, maker=actor(handle), at=now(), program_id=program_id
    )
    click.echo(f"approval {asked.id} waits for a second person: flask approvals approve {asked.id} --as …")


# What an approval runs (see commands/approvals.py).


def run_reach(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    """Confirm a milestone."""
    found = welfare.reach(
        milestone_id=payload["milestone_id"], reached_on=date.fromisoformat(payload["on"]), site=payload["site"],
        payee=payload["payee"], approval_id=approval.id, actor=approval.checker or "", at=at,
    )  # fmt: skip
    return f"milestone {found.id} is reached"


def run_pay(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    """Book what was paid out."""
    made = welfare.pay_out(
        milestone_id=payload["milestone_id"], fen=payload["fen"], bank_reference=payload["reference"],
        paid_on=date.fromisoformat(payload["paid_on"]), evidence_hash=bytes.fromhex(payload["evidence"]),
        plot_code=payload["plot"], approval_id=approval.id, actor=approval.checker or "", at=at,
    )  # fmt: skip
    return f"{made.fen} fen were paid to {made.payee}"


def run_match(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    """Reserve a sponsor's match."""
    made = welfare.reserve_match(
        project_id=payload["project_id"], sponsor_code=payload["sponsor"], rate_bps=payload["rate_bps"],
        fen=payload["fen"], bank_reference=payload["reference"], approval_id=approval.id,
        actor=approval.checker or "", at=at,
    )  # fmt: skip
    return f"match {made.id}: {made.reserved_fen} fen"


def run_fail(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    """End a project."""
    count = welfare.fail(project_id=payload["project_id"], reason=approval.reason, approval_id=approval.id,
                         actor=approval.checker or "", at=at)  # fmt: skip
    return f"{count} gifts get something back"


def run_fail_milestone(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    """End a milestone."""
    count = welfare.fail_milestone(milestone_id=payload["milestone_id"], reason=approval.reason,
                                   approval_id=approval.id, actor=approval.checker or "", at=at)  # fmt: skip
    return f"{count} gifts get something back"


def run_take_back(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    """Correct a gift."""
    fen = welfare.take_back(gift_id=payload["gift_id"], reason=approval.reason, approval_id=approval.id,
                            actor=approval.checker or "", at=at)  # fmt: skip
    return f"{fen} fen go back to the sponsors"


def run_match_return(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    """Book what a sponsor got back."""
    fen = welfare.release_match(
        match_id=payload["match_id"], bank_reference=payload["reference"], actor=approval.checker or "", at=at,
        evidence_hash=bytes.fromhex(payload["evidence"]),
    )  # fmt: skip
    return f"{fen} fen went back to the sponsor"


EXECUTORS = {
    MATCH_RETURN: run_match_return,
    welfare.REACH: run_reach,
    welfare.PAY: run_pay,
    welfare.MATCH: run_match,
    welfare.FAIL: run_fail,
    welfare.FAIL_MILESTONE: run_fail_milestone,
    welfare.TAKE_BACK: run_take_back,
}
