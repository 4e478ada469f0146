"""Ask, approve, reject, execute."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from app import audit
from app.approvals.models import Approval
from app.db import session
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, declare

VALID_FOR = timedelta(hours=72)

MAKER_IS_CHECKER = declare(
    "maker_is_checker",
    Kind.NOT_ALLOWED,
    zh="申请人不能审批自己的申请，请由另一位同事审批。",
    en="Whoever asked cannot approve. Let another person decide.",
)
APPROVAL_EXPIRED = declare(
    "approval_expired",
    Kind.CONFLICT,
    zh="该申请已超过 72 小时有效期，请重新提交。",
    en="This request is older than 72 hours. Ask again.",
)
APPROVAL_CHANGED = declare(
    "approval_changed",
    Kind.CONFLICT,
    zh="内容在审批后被修改，审批已失效，请重新提交。",
    en="The content changed after approval, which voids it. Ask again.",
)


def ask(
    *, action: str, payload: dict[str, Any], reason: str, maker: str, at: datetime, program_id: int | None = None
) -> Approval:
    """Ask for a second person. ``payload`` is kept with its hash; nothing happens until somebody else approves."""
    request = Approval(
        program_id=program_id,
        action=action,
        payload=payload,
        payload_hash=audit.digest(payload),
        reason=reason,
        maker=maker,
        asked_at=at,
        state="pending",
    )
    session().add(request)
    session().flush()
    audit.write(
        actor=maker,
        action=f"ask:{action}",
        object_type="approval",
        object_id=request.id,
        at=at,
        program_id=program_id,
        after=payload,
        reason=reason,
    )
    return request


def approve(*, approval_id: int, checker: str, at: datetime) -> Approval:
    """Approve as another person. Raises MAKER_IS_CHECKER, APPROVAL_EXPIRED, STATE_CONFLICT, NOT_FOUND."""
    request = _pending(approval_id, checker, at)
    request.checker, request.state, request.decided_at = checker, "approved", at
    _audit(request, checker, "approve", at)
    return request


def reject(*, approval_id: int, checker: str, text: str, at: datetime) -> Approval:
    """Reject with words for the maker, also when its time is over: what waits for it must end. Raises as
    :func:`approve`, but for that."""
    request = _pending(approval_id, checker, at, also_expired=True)
    request.checker, request.state, request.decided_at, request.decision_text = checker, "rejected", at, text
    _audit(request, checker, "reject", at)
    return request


def execute(*, approval_id: int, action: str, payload: dict[str, Any], at: datetime) -> Approval:
    """Mark an approved request as executed, inside the transaction that does the work.

    Raises APPROVAL_CHANGED when ``payload`` is not what was approved, STATE_CONFLICT when it is not approved or ran
    before.
    """
    request = session().get(Approval, approval_id, with_for_update=True)
    if request is None or request.action != action:
        raise NOT_FOUND(approval=str(approval_id))
    if request.state != "approved":
        raise STATE_CONFLICT(state=request.state)
    if request.payload_hash != audit.digest(payload):
        raise APPROVAL_CHANGED()
    if at - request.asked_at > VALID_FOR:
        raise APPROVAL_EXPIRED()
    request.state, request.executed_at, request.executed_hash = "executed", at, audit.digest(payload)
    _audit(request, request.checker or "", "execute", at)
    return request


def _pending(approval_id: int, checker: str, at: datetime, *, also_expired: bool = False) -> Approval:
    request = session().get(Approval, approval_id, with_for_update=True)
    if request is None:
        raise NOT_FOUND(approval=str(approval_id))
    if request.maker == checker:
        raise MAKER_IS_CHECKER()
    if request.state != "pending":
        raise STATE_CONFLICT(state=request.state)
    if at - request.asked_at > VALID_FOR and not also_expired:
        raise APPROVAL_EXPIRED()
    return request


def _audit(request: Approval, actor: str, verb: str, at: datetime) -> None:
    audit.write(
        actor=actor,
        action=f"{verb}:{request.action}",
        object_type="approval",
        object_id=request.id,
        at=at,
        program_id=request.program_id,
        after=request.payload,
        reason=request.reason,
    )
