"""Reports, and what persons of ours decide: hold, hide with a reason, show again. Nothing is deleted by anybody but its
author."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from app import audit, notices
from app.appeals import NOTHING_TO_APPEAL, Decision, Subject, register
from app.community.models import Comment, Post, Report
from app.community.writing import OWN_POST, seen_comment, seen_post
from app.db import connection, session
from app.errors import NOT_FOUND, STATE_CONFLICT

HELD_FROM = 5
"""So many persons report it: nobody sees it until a person of ours has looked (a rule of this product)."""
REASONS = ("spam", "abuse", "false", "privacy", "minors", "other")
MODELS: dict[str, Any] = {"post": Post, "comment": Comment}


def report(*, kind: str, object_id: int, person_id: int, reason: str, words: str, at: datetime) -> bool:
    """Say that it should not be there; answers whether it is new. From five persons on it is held until somebody looks.

    Raises NOT_FOUND for what the person can't see, OWN_POST.
    """
    seen = seen_post(object_id, person_id) if kind == "post" else seen_comment(object_id, person_id)
    if seen.person_id == person_id:
        raise OWN_POST()
    found = _locked(kind, object_id)
    row = {
        "kind": kind, "object_id": object_id, "program_id": found.program_id, "person_id": person_id,
        "reason": reason, "words": words, "created_at": at,
    }  # fmt: skip
    made = connection().execute(insert(Report).values(row).on_conflict_do_nothing().returning(Report.id)).first()
    if made is None:
        return False
    of_it = (Report.kind == kind, Report.object_id == object_id, Report.state == "open")
    several = connection().execute(select(func.count()).select_from(Report).where(*of_it)).scalar_one()
    if several >= HELD_FROM and found.state == "shown":
        found.state, found.reason_code, found.decided_at, found.decided_by = "held", "reported", at, "system:reports"
        session().flush()
        _tell(found, kind, "held", at, "多人举报，正在人工核实，暂不展示。", "Several persons reported it; somebody is "
              "looking at it, and until then it is not shown.")  # fmt: skip
    return True


def hide(*, kind: str, object_id: int, reason: str, words: str, by: str, at: datetime) -> None:
    """Show it no longer, with a reason that its author reads; open reports are upheld. Raises NOT_FOUND,
    STATE_CONFLICT."""
    found = _locked(kind, object_id)
    if found.state in ("hidden", "removed"):
        raise STATE_CONFLICT(state=found.state)
    before = found.state
    found.state, found.reason_code, found.reason = "hidden", reason, words
    found.decided_at, found.decided_by = at, by
    session().flush()
    _settle_reports(kind, object_id, "upheld", at)
    _audit(found, kind, "hide", by, at, words, before)
    _tell(found, kind, "hidden", at, f"已不再展示：{words}", f"It is not shown any more: {words}")


def show_again(*, kind: str, object_id: int, by: str, at: datetime) -> None:
    """Show what was held or hidden; open reports are dismissed. Raises NOT_FOUND, STATE_CONFLICT."""
    found = _locked(kind, object_id)
    if found.state not in ("held", "hidden"):
        raise STATE_CONFLICT(state=found.state)
    before, found.state, found.reason_code, found.reason = found.state, "shown", None, ""
    found.decided_at, found.decided_by = at, by
    session().flush()
    _settle_reports(kind, object_id, "dismissed", at)
    _audit(found, kind, "show", by, at, None, before)
    _tell(found, kind, "shown", at, "经核实，已恢复展示。", "We have looked at it, and it is shown again.")


def dismiss(*, kind: str, object_id: int, by: str, at: datetime) -> None:
    """The reports say nothing that matters; a held object is shown again. Raises NOT_FOUND."""
    found = _locked(kind, object_id)
    if found.state == "held":
        return show_again(kind=kind, object_id=object_id, by=by, at=at)
    _settle_reports(kind, object_id, "dismissed", at)
    return _audit(found, kind, "dismiss_reports", by, at, None, found.state)


def _locked(kind: str, object_id: int) -> Any:
    found = session().get(MODELS[kind], object_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NOT_FOUND(object=str(object_id))
    return found


def _settle_reports(kind: str, object_id: int, state: str, at: datetime) -> None:
    of_it = (Report.kind == kind, Report.object_id == object_id, Report.state == "open")
    session().execute(update(Report).where(*of_it).values(state=state, decided_at=at))


def _audit(found: Any, kind: str, verb: str, by: str, at: datetime, words: str | None, before: str) -> None:
    audit.write(
        actor=by, action=f"{kind}.{verb}", object_type=kind, object_id=found.id, at=at, program_id=found.program_id,
        before={"state": before}, reason=words,
    )  # fmt: skip


def _tell(found: Any, kind: str, state: str, at: datetime, zh: str, en: str) -> None:
    what_zh, what_en = ("帖子", "Your post") if kind == "post" else ("评论", "Your comment")
    notices.tell(
        key=f"{kind}:{found.id}:{state}:{at.isoformat()}", person_id=found.person_id, program_id=found.program_id,
        kind=f"post.{state}", zh=f"您的{what_zh}{zh}" + ("如有异议可申诉。" if state == "hidden" else ""),
        en=f"{what_en}: {en}" + (" You can appeal." if state == "hidden" else ""), at=at,
        details={f"{kind}_id": str(found.id), "reason": found.reason_code or ""},
    )  # fmt: skip


def _decision(kind: str, object_id: int, person_id: int) -> Decision:
    found = session().get(MODELS[kind], object_id, with_for_update=True, populate_existing=True)
    if found is None or found.person_id != person_id:
        raise NOT_FOUND(object=str(object_id))
    if found.state not in ("held", "hidden"):
        raise NOTHING_TO_APPEAL(state=found.state)
    return Decision(found.program_id, found.decided_at or found.created_at, (found.decided_by or "",))


def _restore(kind: str, object_id: int, by: str, at: datetime) -> None:
    if _locked(kind, object_id).state in ("held", "hidden"):
        show_again(kind=kind, object_id=object_id, by=by, at=at)


def _uphold(kind: str, object_id: int, words: str, by: str, at: datetime) -> None:
    if _locked(kind, object_id).state == "held":
        hide(kind=kind, object_id=object_id, reason="other", words=words, by=by, at=at)


for _kind in MODELS:
    _parts = (partial(_decision, _kind), partial(_restore, _kind), partial(_uphold, _kind))
    register(_kind, Subject(*_parts, "内容已恢复展示。", "It is shown again."))
