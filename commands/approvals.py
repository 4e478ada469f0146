"""``flask approvals``: what waits for a second person, and what runs when one approves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import click
from flask.cli import AppGroup
from sqlalchemy import select

from app import approvals, funding, notices, programs, records
from app.approvals.models import Approval
from app.clock import now
from app.db import session, transaction
from app.errors import NOT_FOUND
from app.funding import AwardRequest
from app.funding.models import Budget
from commands import business, challenges, levels, orders, payments, settlement, support, welfare, windup
from commands.shared import actor, actor_option, json_option, refused_with_words, show

group = AppGroup("approvals", help="What waits for a second person.")

DEPOSIT = "funding.deposit"
GRANT = "funding.grant"
GRANT_UNIT = "funding.grant_unit"
REVERSE = "records.reverse"


def _deposit(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    budget = session().get_one(Budget, payload["budget_id"])
    deposit, fresh = funding.receive_deposit(
        budget=budget, fen=payload["fen"], reference=payload["reference"], at=at, approval_id=approval.id
    )
    return f"deposit {deposit.id}: {deposit.fen} fen, {deposit.credits} credits" + ("" if fresh else " (known already)")


def _grant(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    request = AwardRequest(
        program_id=payload["program_id"],
        person_id=payload["person_id"],
        reason="manual",
        source_ref=f"approval:{approval.id}",
        occurred_at=at,
        base_micro=payload["credits"] * 1_000_000,
    )
    done = funding.award([request], at=at)[0]
    notices.tell(
        key=f"manual:{approval.id}",
        person_id=payload["person_id"],
        program_id=payload["program_id"],
        kind="award.manual",
        zh=f"人工补发 {payload['credits']} 积分：{approval.reason}",
        en=f"{payload['credits']} credits were granted by hand: {approval.reason}",
        at=at,
    )
    return f"award {done.award_id}: {done.credits} credits, {done.state}"


def _grant_unit(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    """Grant to whoever is in the org-unit now, each once for this approval, each told."""
    people = programs.members_of_unit(payload["program_id"], payload["unit"])
    requests = [
        AwardRequest(
            program_id=payload["program_id"],
            person_id=person_id,
            reason="benefit",
            source_ref=f"approval:{approval.id}:{person_id}",
            occurred_at=at,
            base_micro=payload["credits"] * 1_000_000,
            budget_id=payload["budget_id"],
        )
        for person_id in people
    ]
    done = funding.award(requests, at=at)
    for person_id in people:
        notices.tell(
            key=f"benefit:{approval.id}:{person_id}",
            person_id=person_id,
            program_id=payload["program_id"],
            kind="award.manual",
            zh=f"您所在的部门发放福利 {payload['credits']} 积分：{approval.reason}",
            en=f"A benefit of {payload['credits']} credits for your org-unit: {approval.reason}",
            at=at,
        )
    return f"{len(done)} people, {sum(one.credits for one in done)} credits"


def _reverse(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    records.reverse(
        record_id=payload["record_id"], code=payload["code"], words=payload["words"], by=approval.checker or "", at=at
    )
    return f"record {payload['record_id']} reversed"


# What an approval runs, by the action it names. Terms and methodologies have commands of their own.
EXECUTORS: dict[str, Callable[[dict[str, Any], Approval, datetime], str]] = {
    DEPOSIT: _deposit,
    GRANT: _grant,
    GRANT_UNIT: _grant_unit,
    REVERSE: _reverse,
    **business.EXECUTORS,
    **challenges.EXECUTORS,
    **levels.EXECUTORS,
    **payments.EXECUTORS,
    **orders.EXECUTORS,
    **settlement.EXECUTORS,
    **welfare.EXECUTORS,
    **windup.EXECUTORS,
    **support.EXECUTORS,
}


@group.command("list")
@json_option
def list_waiting(as_json: bool) -> None:
    """What waits for a decision, oldest first."""
    query = select(Approval).where(Approval.state == "pending").order_by(Approval.id)
    show(
        (
            {"id": one.id, "action": one.action, "asked by": one.maker, "at": one.asked_at, "reason": one.reason,
             "what": one.payload}
            for one in session().scalars(query)
        ),
        as_json=as_json,
        empty="nothing waits",
    )  # fmt: skip


@group.command("approve")
@click.argument("approval_id", type=int)
@actor_option
def approve(approval_id: int, handle: str) -> None:
    """Approve as another person than the one who asked; what was asked runs in the same transaction."""
    at = now()
    with refused_with_words(), transaction():
        waiting = session().get(Approval, approval_id)
        if waiting is None or waiting.action not in EXECUTORS:
            raise NOT_FOUND(approval=str(approval_id))
        approved = approvals.approve(approval_id=approval_id, checker=actor(handle), at=at)
        approvals.execute(approval_id=approval_id, action=approved.action, payload=approved.payload, at=at)
        click.echo(EXECUTORS[approved.action](approved.payload, approved, at))


@group.command("reject")
@click.argument("approval_id", type=int)
@click.option("--words", required=True, help="why, for the person who asked")
@actor_option
def reject(approval_id: int, words: str, handle: str) -> None:
    """Reject with words for the person who asked."""
    with refused_with_words(), transaction():
        rejected = approvals.reject(approval_id=approval_id, checker=actor(handle), text=words, at=now())
        if rejected.action in settlement.REJECTED:
            settlement.REJECTED[rejected.action](rejected.payload, now())
        click.echo(f"approval {approval_id} rejected")
