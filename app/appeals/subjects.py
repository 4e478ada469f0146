"""What can be appealed: acts here, and what features above register (a post, a comment). One entry a kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from app.db import read
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, Refusal, declare
from app.records import reviews

APPEALABLE = ("held", "rejected", "reversed", "duplicate")
COUNTS = ("counted", "mirrored")

NOTHING_TO_APPEAL = declare(
    "nothing_to_appeal",
    Kind.CONFLICT,
    zh="这条内容没有受到限制，无需申诉。",
    en="Nothing was decided against this; there is nothing to appeal.",
)
APPEAL_CANNOT_COUNT = declare(
    "appeal_cannot_count",
    Kind.CONFLICT,
    zh="这条记录目前无法计入（见 details），请先处理冲突的记录，或驳回申诉并说明原因。",
    en="The record can't count as things stand (see `details`). Settle the other record first, or refuse and say why.",
)


@dataclass(frozen=True, slots=True)
class Decision:
    """What an appeal is against: whose it is, in which program, when the person was told, and who decided."""

    program_id: int
    told_at: datetime
    decided_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """A kind of object. ``decision`` raises NOT_FOUND or NOTHING_TO_APPEAL; ``restore`` takes the decision
    back; ``uphold`` decides what was only held, with the words of the answer, so that nothing is held for ever;
    ``done_zh`` and ``done_en`` say what a granted appeal means."""

    decision: Callable[[int, int], Decision]
    restore: Callable[[int, str, datetime], None]
    uphold: Callable[[int, str, str, datetime], None]
    done_zh: str
    done_en: str


_RECORD = """
    select r.id, r.person_id, r.program_id, r.state, r.received_at,
           coalesce((select max(n.created_at) from notices n where n.notice_key in
             ('record:' || r.id || ':held', 'record:' || r.id || ':' || r.state || ':' || coalesce(r.reason_code, ''))),
             r.received_at) as told_at,
           array(select a.actor from audit a where a.object_type = 'record' and a.object_id = r.id::text
                   and a.action in ('record.reject', 'record.reverse')
                 union select p.maker from approvals p where p.action = 'records.reverse' and p.state = 'executed'
                   and p.payload->>'record_id' = r.id::text) as deciders,
           exists (select from records s where s.supersedes_id = r.id
                   and s.state in ('counted', 'mirrored')) as restored
    from records r where r.id = %(id)s and (%(person)s = 0 or r.person_id = %(person)s)
"""


def _decision(record_id: int, person_id: int) -> Decision:
    """What stands against a record. It isn't locked here: wallets are locked before records, everywhere."""
    rows = read(_RECORD, {"id": record_id, "person": person_id})
    if not rows:
        raise NOT_FOUND(record=str(record_id))
    found = rows[0]
    if found.state not in APPEALABLE or found.restored:
        raise NOTHING_TO_APPEAL(state=found.state)
    return Decision(found.program_id, found.told_at, tuple(found.deciders))


def _restore(record_id: int, by: str, at: datetime) -> None:
    """Count the record as of the day of the act. Raises APPEAL_CANNOT_COUNT; what counts already is no error."""
    (found,) = read(_RECORD, {"id": record_id, "person": 0})
    if found.state in COUNTS or found.restored:
        return
    try:
        taken = reviews.restore(record_id=record_id, by=by, at=at)
    except Refusal as refusal:
        if refusal.code != STATE_CONFLICT.code:
            raise
        raise APPEAL_CANNOT_COUNT(**refusal.details) from refusal
    if taken.state not in COUNTS:
        raise APPEAL_CANNOT_COUNT(state=taken.state, reason=taken.reason.code if taken.reason else None)


def _uphold(record_id: int, words: str, by: str, at: datetime) -> None:
    (found,) = read(_RECORD, {"id": record_id, "person": 0})
    if found.state == "held":
        reviews.reject(record_id=record_id, code="evidence_missing", words=words, by=by, at=at)


SUBJECTS: dict[str, Subject] = {
    "record": Subject(
        _decision, _restore, _uphold, "记录已恢复，积分、连续打卡、挑战与榜单按行为发生当天计算。",
        "The record counts again: credits, streaks, challenges and boards as of the day of the act.",
    )
}  # fmt: skip


def register(kind: str, subject: Subject) -> None:
    """Let a kind of object be appealed. Raises ValueError when the kind is taken."""
    if kind in SUBJECTS:
        raise ValueError(f"{kind!r} can be appealed already")
    SUBJECTS[kind] = subject
