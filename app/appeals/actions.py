"""Ask for another look, answer, tell who waits too long."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Select, select

from app import audit, notices
from app.appeals.models import Appeal
from app.appeals.subjects import SUBJECTS, Decision
from app.db import connection, session
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, Refusal, declare

ANSWER_WITHIN = timedelta(days=10)
APPEAL_WITHIN = timedelta(days=60)
ROUNDS = 2

APPEAL_TOO_LATE = declare(
    "appeal_too_late",
    Kind.CONFLICT,
    zh="已超过 60 天的申诉期限。如有特殊情况，请联系客服。",
    en="The 60 days for an appeal are over. Contact support if there is a special reason.",
)
APPEAL_DECIDED = declare(
    "appeal_decided",
    Kind.CONFLICT,
    zh="该决定已经两次复核，结论是最终的。如有新的证据，请联系客服。",
    en="Two people have looked at this decision, which is final. Contact support if you have new evidence.",
)
APPEAL_OWN_DECISION = declare(
    "appeal_own_decision",
    Kind.NOT_ALLOWED,
    zh="作出原决定或第一次答复的人不能答复申诉，请由另一位同事处理。",
    en="Whoever made the decision, or answered the first time, can't answer this appeal. Let somebody else do it.",
)


def ask(*, kind: str = "record", object_id: int, person_id: int, words: str, at: datetime) -> tuple[int, bool]:
    """Open an appeal; answers its id and whether it is new (an open one is answered again).

    A refused one may be asked once more; somebody else looks then. The 60 days run from when the person was told of
    the decision, or of the first answer. Raises NOT_FOUND for what is not the person's, NOTHING_TO_APPEAL,
    APPEAL_TOO_LATE, APPEAL_DECIDED.
    """
    standing = session().scalars(_of(kind, object_id).where(Appeal.person_id == person_id)).first()
    if standing is not None and standing.state == "open":
        return standing.id, False
    decision = SUBJECTS[kind].decision(object_id, person_id)
    before = session().scalars(_of(kind, object_id).with_for_update()).first()
    if before is not None and before.state == "open":
        return before.id, False
    if before is not None and before.round >= ROUNDS:
        raise APPEAL_DECIDED(appeal=str(before.id))
    since = max(decision.told_at, before.answered_at or decision.told_at) if before else decision.told_at
    if at - since > APPEAL_WITHIN:
        raise APPEAL_TOO_LATE(until=(since + APPEAL_WITHIN).isoformat())
    return _open(kind, object_id, decision, before, person_id, words, at).id, True


def _open(
    kind: str, object_id: int, decision: Decision, before: Appeal | None, person_id: int, words: str, at: datetime
) -> Appeal:
    made = Appeal(
        kind=kind,
        object_id=object_id,
        record_id=object_id if kind == "record" else None,
        program_id=decision.program_id,
        person_id=person_id,
        round=1 if before is None else before.round + 1,
        words=words,
        asked_at=at,
        answer_due_at=at + ANSWER_WITHIN,
    )
    session().add(made)
    session().flush()
    notices.tell(
        key=f"appeal:{made.id}:received", person_id=person_id, program_id=decision.program_id, kind="appeal.received",
        zh="已收到您的申诉，10 天内答复。", en="We have your appeal; you get an answer within ten days.",
        details=_details(made), at=at,
    )  # fmt: skip
    return made


def answer(*, appeal_id: int, granted: bool, words: str, by: str, at: datetime) -> Appeal:
    """Answer an appeal, and tell the person. Granted, what was decided is taken back as of its day; boards follow.
    Refused, what was only held is decided too.

    Raises NOT_FOUND, STATE_CONFLICT when it is answered, APPEAL_OWN_DECISION, APPEAL_CANNOT_COUNT.
    """
    found = session().get(Appeal, appeal_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NOT_FOUND(appeal=str(appeal_id))
    if found.state != "open":
        raise STATE_CONFLICT(state=found.state)
    _somebody_else(found, by)
    subject = SUBJECTS[found.kind]
    if granted:
        subject.restore(found.object_id, by, at)
    else:
        subject.uphold(found.object_id, words, by, at)
    found.state = "granted" if granted else "refused"
    found.answer, found.answered_at, found.answered_by = words, at, by
    session().flush()
    audit.write(
        actor=by, action=f"appeal.{found.state}", object_type="appeal", object_id=appeal_id, at=at,
        program_id=found.program_id, reason=words,
    )  # fmt: skip
    notices.tell(
        key=f"appeal:{appeal_id}:{found.state}",
        person_id=found.person_id,
        program_id=found.program_id,
        kind=f"appeal.{found.state}",
        zh=(f"申诉已通过。{subject.done_zh}" if granted else "申诉未通过：") + words,
        en=(f"Your appeal was granted. {subject.done_en} " if granted else "Your appeal was refused: ") + words,
        details=_details(found),
        at=at,
    )
    return found


def tell_late(*, at: datetime) -> int:
    """Tell everybody whose answer is overdue that it is, once; answers how many."""
    late = (Appeal.state == "open", Appeal.answer_due_at < at, Appeal.late_told_at.is_(None))
    found = list(session().scalars(select(Appeal).where(*late).order_by(Appeal.id).limit(200).with_for_update()))
    for one in found:
        one.late_told_at = at
        notices.tell(
            key=f"appeal:{one.id}:late", person_id=one.person_id, program_id=one.program_id, kind="appeal.late",
            zh="很抱歉，您的申诉未能在 10 天内答复，已加急处理，您的权利不受影响。",
            en="We are sorry: your appeal was not answered within ten days. It comes first now; no right is lost.",
            details=_details(one), at=at,
        )  # fmt: skip
    session().flush()
    return len(found)


def _somebody_else(found: Appeal, by: str) -> None:
    """Not who decided, and for the second look not who answered the first time."""
    barred = set(_deciders(found))
    first = select(Appeal.answered_by).where(
        Appeal.kind == found.kind, Appeal.object_id == found.object_id, Appeal.round < found.round
    )
    barred |= {str(name) for name in connection().execute(first).scalars()}
    if by in barred:
        raise APPEAL_OWN_DECISION()


def _deciders(found: Appeal) -> tuple[str, ...]:
    try:
        return SUBJECTS[found.kind].decision(found.object_id, found.person_id).decided_by
    except Refusal:  # meanwhile it counts, or is gone: nobody's decision is left
        return ()


def _of(kind: str, object_id: int) -> Select[Appeal]:
    return select(Appeal).where(Appeal.kind == kind, Appeal.object_id == object_id).order_by(Appeal.round.desc())


def _details(found: Appeal) -> dict[str, str]:
    named = {"record_id": str(found.record_id)} if found.record_id is not None else {}
    return {"appeal_id": str(found.id), **named, "kind": found.kind, "object_id": str(found.object_id)}
