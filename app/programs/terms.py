"""Terms: versions of a program's promise. The first comes with the program, each later one needs a second person."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from app import approvals, audit, memo
from app.approvals import Approval
from app.db import session
from app.errors import INVALID_FIELD, STATE_CONFLICT
from app.programs.models import Program, Terms
from app.programs.templates import TermsDraft

ACTION = "terms.publish"
SHORTEST_NOTICE = timedelta(minutes=1)


def first(*, program: Program, draft: TermsDraft, at: datetime) -> Terms:
    """The terms that a program starts with."""
    return _add(program.id, 1, draft, at)


def propose(
    *, program: Program, draft: TermsDraft, effective_at: datetime, reason: str, maker: str, at: datetime
) -> Approval:
    """Ask for a new version. It takes effect only when somebody else approves it. Raises INVALID_FIELD."""
    if effective_at < at + SHORTEST_NOTICE:
        expected = "至少在一分钟之后生效|takes effect at least a minute from now"
        raise INVALID_FIELD(fields=[{"field": "effective_at", "expected": expected}])
    payload = _payload(program, draft, effective_at)
    return approvals.ask(action=ACTION, payload=payload, reason=reason, maker=maker, at=at, program_id=program.id)


def approve_and_publish(*, approval_id: int, checker: str, at: datetime) -> Terms:
    """Approve as another person and publish. Raises what ``approvals.approve`` raises, STATE_CONFLICT when too late."""
    request = approvals.approve(approval_id=approval_id, checker=checker, at=at)
    payload = request.payload
    effective_at = datetime.fromisoformat(payload["effective_at"])
    if effective_at < at + SHORTEST_NOTICE:
        raise STATE_CONFLICT(state="effective_at has passed; propose again", effective_at=payload["effective_at"])
    approvals.execute(approval_id=approval_id, action=ACTION, payload=payload, at=at)
    program = session().get_one(Program, payload["program_id"], with_for_update=True)
    latest = session().scalar(select(func.max(Terms.version)).where(Terms.program_id == program.id)) or 0
    published = _add(program.id, latest + 1, TermsDraft(**payload["terms"]), effective_at)
    audit.write(
        actor=checker,
        action=ACTION,
        object_type="terms",
        object_id=published.id,
        at=at,
        program_id=program.id,
        after=payload,
        reason=request.reason,
    )
    return published


def versions(program_id: int) -> list[Terms]:
    """All versions, newest first."""
    return list(session().scalars(select(Terms).where(Terms.program_id == program_id).order_by(Terms.version.desc())))


def in_force(program_id: int, at: datetime) -> Terms:
    """The version in force at an instant; the first one for times before it (an act older than the program's start).

    Asked for every award, so each process remembers a program's versions for a moment: a version is published at least
    a minute before it takes effect, so none is missed.
    """
    known = memo.remember(("terms", program_id), lambda: _loaded(program_id))
    return next((one for one in known if one.effective_at <= at), known[-1])


def draft_of(terms: Terms) -> TermsDraft:
    """A version's content, to copy or change."""
    return TermsDraft(
        credits_per_kg=terms.credits_per_kg,
        price_fen=terms.price_fen,
        tier_bps={str(tier): int(share) for tier, share in terms.tier_bps.items()},
        multiplier_cap_bps=terms.multiplier_cap_bps,
        lot_months=terms.lot_months,
        daily_credits_cap=terms.daily_credits_cap,
        floor_fen=terms.floor_fen,
        lot_rule=terms.lot_rule,
        text_zh=terms.text_zh,
        text_en=terms.text_en,
    )


def _loaded(program_id: int) -> list[Terms]:
    found = versions(program_id)
    for one in found:
        session().expunge(one)
    return found


def _add(program_id: int, version: int, draft: TermsDraft, effective_at: datetime) -> Terms:
    content = asdict(draft)
    words = hashlib.sha256(f"{version}\n{draft.text_zh}\n{draft.text_en}".encode()).digest()
    added = Terms(program_id=program_id, version=version, effective_at=effective_at, text_hash=words, **content)
    session().add(added)
    session().flush()
    return added


def _payload(program: Program, draft: TermsDraft, effective_at: datetime) -> dict[str, Any]:
    return {"program_id": program.id, "effective_at": effective_at.isoformat(), "terms": asdict(draft)}
