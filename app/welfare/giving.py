"""Give credits to a project: they are spent, and each lot's sponsor pays its whole fen; other sponsors may match it.

What goes over a project's target follows its declared rule: ``open`` takes it, ``cap`` takes what is missing to the fen
and no more, ``overflow`` passes the rest to another project as a gift of its own.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update

from app import funding, ledger
from app.db import connection, session
from app.errors import IDEMPOTENCY_CONFLICT, NOT_FOUND, Kind, declare
from app.funding.models import Budget, Wallet
from app.funding.spending import worth_fen
from app.ledger import Draft
from app.units import BPS, CREDITS
from app.welfare.models import Gift, GiftMatch, Match, WelfareProject

REST = "~"
"""Marks the part of a gift that went on to the overflow project; no caller's reference can hold it."""

PROJECT_CLOSED = declare(
    "project_closed",
    Kind.CONFLICT,
    zh="该公益项目已结束，感谢您的心意。请看看其他项目。",
    en="This project is closed; thank you for the thought. See the other projects.",
)
PROJECT_FULL = declare(
    "project_full",
    Kind.CONFLICT,
    zh="该公益项目已达成目标，不再接受更多捐赠，感谢您的心意。剩余额度见 details。",
    en="This project has what it needs and takes no more; thank you. `details` says how much it could still take.",
)


@dataclass(frozen=True, slots=True)
class Given:
    """A gift, and whether this call made it. ``overflow`` is the part that another project got."""

    gift: Gift
    fresh: bool
    overflow: Gift | None = None


def give(
    *,
    person_id: int,
    program_id: int,
    project_id: int,
    credits: int,
    client_ref: str,
    at: datetime,
    show_name: bool = False,
    whole: bool = False,
) -> Given:
    """Give credits to a project. ``whole``: all to one project or nothing (for an order, which names one price).

    The same ``client_ref`` with the same content is answered with the first gift. Raises IDEMPOTENCY_CONFLICT,
    NOT_FOUND, PROJECT_CLOSED, PROJECT_FULL, INSUFFICIENT. Locks: wallet, projects by id, matches, ledger accounts.
    """
    body_hash = hashlib.sha256(f"{project_id}:{credits}".encode()).digest()
    wallet = funding.lock_wallet(person_id=person_id, program_id=program_id, at=at)
    first = _known(person_id, client_ref)
    if first is not None:
        if bytes(first.body_hash) != body_hash:
            raise IDEMPOTENCY_CONFLICT(client_ref=client_ref)
        return Given(first, False, _known(person_id, client_ref + REST))
    shares = _shares(program_id, project_id, credits, whole)
    made = [
        _give(wallet, project, part, client_ref + (REST if number else ""), body_hash, show_name, at)
        for number, (project, part) in enumerate(shares)
    ]
    return Given(made[0], True, made[1] if len(made) > 1 else None)


def _known(person_id: int, client_ref: str) -> Gift | None:
    return session().scalars(select(Gift).where(Gift.person_id == person_id, Gift.client_ref == client_ref)).first()


def _shares(program_id: int, project_id: int, credits: int, whole: bool) -> list[tuple[WelfareProject, int]]:
    """Which project gets how much, by the rule; the projects' rows are locked in order of id."""
    project = session().get(WelfareProject, project_id)
    if project is None or project.program_id != program_id:
        raise NOT_FOUND(project=str(project_id))
    ids = sorted(one for one in (project.id, project.overflow_project_id) if one is not None)
    query = select(WelfareProject).where(WelfareProject.id.in_(ids)).order_by(WelfareProject.id)
    locked = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    rows = {row.id: row for row in session().scalars(locked)}
    project = rows[project_id]
    if project.state != "open":
        raise PROJECT_CLOSED()
    room = max(project.target_credits - project.given_credits, 0)
    if project.over_rule == "open" or credits <= room:
        return [(project, credits)]
    if project.over_rule == "cap":
        if room == 0 or whole:
            raise PROJECT_FULL(room=str(room))
        return [(project, room)]
    other = rows[project.overflow_project_id or 0]
    if other.state != "open":
        raise PROJECT_FULL(room=str(room))
    if room == 0 or whole:
        return [(other, credits)]
    return [(project, room), (other, credits - room)]


def _give(
    wallet: Wallet,
    project: WelfareProject,
    credits: int,
    client_ref: str,
    body_hash: bytes,
    show_name: bool,
    at: datetime,
) -> Gift:
    spent_account = ledger.account(program_id=project.program_id, asset=CREDITS, kind="spent")
    source_ref = f"person:{wallet.person_id}:{client_ref}"
    spent = funding.spend(
        wallet=wallet, credits=credits, to_account_id=spent_account, reason="gift", source_ref=source_ref, at=at
    )
    fen = _pay_project(project, spent.parts, source_ref, at)
    project.given_credits += credits
    gift = Gift(
        program_id=project.program_id,
        project_id=project.id,
        person_id=wallet.person_id,
        client_ref=client_ref,
        body_hash=body_hash,
        credits=credits,
        fen=fen,
        transfer_id=spent.transfer_id,
        certificate_no=f"G{at:%Y%m%d}-{secrets.token_hex(5).upper()}",
        show_name=show_name,
        given_at=at,
    )
    session().add(gift)
    session().flush()
    gift.matched_fen = _match(project, gift, at)
    session().flush()
    return gift


def _pay_project(project: WelfareProject, parts: Sequence[ledger.LotPart], source_ref: str, at: datetime) -> int:
    """Move what the credits are worth from their budgets' money to the project; answers the fen."""
    worth = worth_fen(parts)
    total = sum(worth)
    if total == 0:
        return 0
    wanted = select(Budget.id, Budget.money_account_id).where(Budget.id.in_({part.budget_id for part in parts}))
    money = {row.id: row.money_account_id for row in connection().execute(wanted)}
    legs = [(money[part.budget_id], -fen) for part, fen in zip(parts, worth, strict=True) if fen]
    legs.append((project.money_account_id, total))
    ledger.post([Draft(project.program_id, "gift.pay", source_ref, legs)], at=at)
    return total


def _match(project: WelfareProject, gift: Gift, at: datetime) -> int:
    """What matching sponsors add to a gift, each by its rate while its reserve lasts; answers the fen."""
    query = select(Match).where(Match.project_id == project.id).order_by(Match.id)
    total = 0
    for match in session().scalars(query.with_for_update(key_share=True).execution_options(populate_existing=True)):
        left = match.reserved_fen - match.used_fen - match.returned_fen
        fen = min(gift.fen * match.rate_bps // BPS, left)
        if fen <= 0:
            continue
        legs = [(match.account_id, -fen), (project.money_account_id, fen)]
        draft = Draft(project.program_id, "gift.match", f"gift:{gift.id}:{match.id}", legs)
        done = ledger.post([draft], at=at)[0]
        used = update(Match).where(Match.id == match.id).values(used_fen=Match.used_fen + fen)
        connection().execute(used)
        session().add(GiftMatch(gift_id=gift.id, match_id=match.id, fen=fen, transfer_id=done.transfer_id))
        total += fen
    return total
