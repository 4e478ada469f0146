"""What a person decides about a record: release, reject, reverse; and how a source corrects or cancels."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select

from app import audit, clock, funding, notices
from app.db import connection
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.records import claims, counting, mirrors, reversal
from app.records.acts import Act, Taken, Work
from app.records.catalog import Catalog
from app.records.checks import MAX_REFERENCE
from app.records.intake import look
from app.records.models import Record, Reduction
from app.records.reasons import REVIEW_CODES, reason
from app.records.writing import write
from app.scenarios.models import Scenario

REASON_UNKNOWN = declare(
    "reason_unknown",
    Kind.INVALID,
    zh="原因代码无效，请从 details.codes 中选择。",
    en="No such reason code; choose one of `details.codes`.",
)


def release(*, record_id: int, by: str, at: datetime, tell: bool = True) -> Taken:
    """Count a held record after all, by the methodology version of its day. The person is told, unless the caller says
    it in words of its own. Raises STATE_CONFLICT unless it is held."""
    record = _locked(record_id, "held")
    work = _work_of(record, at)
    counting.calculate([work])
    claims.settle([work])
    if work.state == "held":
        raise STATE_CONFLICT(state="held", reason=work.reason.code if work.reason else None)
    for overtaken in work.overtaken:
        reversal.collapse_onto(record_id=overtaken, better_id=record_id, at=at)
    reversal.mark(record_id, work.state, work.reason)
    wallets = funding.lock_wallets([(record.person_id, record.program_id)], at=at)
    mirrors.store([work], at)
    write(at=at, claim=[work], count=[work], wallets=wallets)
    _audit(record, "release", by, at, None)
    done = counting.taken(work)
    if tell:
        _tell_released(record, done, at)
    return done


def reject(*, record_id: int, code: str, words: str, by: str, at: datetime) -> None:
    """Reject a held record with a reason that the person reads. Raises STATE_CONFLICT, REASON_UNKNOWN."""
    _known_reason(code)
    record = _locked(record_id, "held")
    reversal.take_back(record_id=record_id, state="rejected", why=reason(code, words), at=at)
    _audit(record, "reject", by, at, words)


def reverse(*, record_id: int, code: str, words: str, by: str, at: datetime) -> None:
    """Reverse a counted record: exact opposite entries; what was spent becomes a debt. The person is told and can
    appeal. Raises STATE_CONFLICT, REASON_UNKNOWN."""
    _known_reason(code)
    record = _locked(record_id, "counted")
    reversal.take_back(record_id=record_id, state="reversed", why=reason(code, words), at=at)
    _audit(record, "reverse", by, at, words)


def restore(*, record_id: int, by: str, at: datetime) -> Taken:
    """Count a rejected, reversed or collapsed record as of the day of the act: what a granted appeal does."""
    record = reversal.lock(record_id)
    if record.state not in ("held", "rejected", "reversed", "duplicate"):
        raise STATE_CONFLICT(state=record.state)
    if _was_counted(record_id):
        return _again(record, by, at)
    reversal.mark(record_id, "held", reason("error", ""))
    return release(record_id=record_id, by=by, at=at, tell=False)


def supersede(*, record_id: int, by_reference: str, at: datetime) -> None:
    """A source corrects or cancels: the old record is reversed and names what replaces it."""
    record = reversal.lock(record_id)
    if record.state in ("superseded", "rejected"):
        return
    why = reason("source_correction", by_reference) if by_reference else reason("source_cancelled")
    reversal.take_back(record_id=record_id, state="superseded", why=why, at=at)


def _tell_released(record: Any, done: Taken, at: datetime) -> None:
    if done.state != "counted":
        return
    notices.tell(
        key=f"record:{record.id}:released",
        person_id=record.person_id,
        program_id=record.program_id,
        kind="record.counted",
        zh=f"您的记录已通过核实并计入，获得 {done.credits} 积分。",
        en=f"A person has looked at your record and it counts: {done.credits} credits.",
        details={"record_id": str(record.id)},
        at=at,
    )


def _was_counted(record_id: int) -> bool:
    return connection().execute(select(Reduction.id).where(Reduction.record_id == record_id)).first() is not None


def _again(record: Any, by: str, at: datetime) -> Taken:
    """A reversed record has its one reduction and its reversed awards: it counts again as a new one that supersedes.

    A person has decided, so nothing is judged anew (ranges, risks, consents, whether the scenario is still offered);
    only one act, one claim still holds. Restored already, it is answered with the standing one.
    """
    act = _act_of(record)
    act.reference, act.supersedes_id = _restored(record), record.id
    looked = look([act])
    standing = looked.known.get(act.key)
    if standing is not None:
        return Taken("duplicate", standing["id"], standing["state"])
    work = _as_work(act, record, Catalog([act], at, looked.belongings))
    work.record_id = looked.ids[0]
    counting.calculate([work])
    claims.settle([work])
    if work.state != "counted":
        raise STATE_CONFLICT(state=work.state, reason=work.reason.code if work.reason else None)
    _audit(record, "restore", by, at, None)
    write(at=at, store=[work])
    for overtaken in work.overtaken:
        reversal.collapse_onto(record_id=overtaken, better_id=work.record_id, at=at)
    wallets = funding.lock_wallets([(record.person_id, record.program_id)], at=at)
    mirrors.store([work], at)
    write(at=at, claim=[work], count=[work], wallets=wallets)
    return counting.taken(work)


def _restored(record: Any) -> str:
    """The reference of the record that stands for a reversed one; a long one is cut and told apart by its id."""
    whole = f"{record.reference}#restored"
    return whole if len(whole) <= MAX_REFERENCE else f"{record.reference[:90]}#restored-{record.id}"


def _locked(record_id: int, state: str) -> Any:
    found = connection().execute(select(Record.id).where(Record.id == record_id)).first()
    if found is None:
        raise NOT_FOUND(record=str(record_id))
    record = reversal.lock(record_id)
    if record.state != state:
        raise STATE_CONFLICT(state=record.state)
    return record


def _act_of(record: Any) -> Act:
    scenario = connection().execute(select(Scenario.code).where(Scenario.id == record.scenario_id)).scalar_one()
    return Act(
        program_id=record.program_id,
        scenario=scenario,
        person_id=record.person_id,
        source_id=record.source_id,
        reference=record.reference,
        facts=record.facts,
        occurred_at=record.occurred_at,
        ended_at=record.ended_at,
        subject=record.subject,
    )


def _work_of(record: Any, at: datetime) -> Work:
    """A stored record as work again, with today's memberships and the version of its own day."""
    act = _act_of(record)
    return _as_work(act, record, Catalog([act], at, look([act]).belongings))


def _as_work(act: Act, record: Any, catalog: Catalog) -> Work:
    work = Work(act, 0, bytes(record.facts_hash))
    work.program = catalog.programs[record.program_id]
    work.scenario = next(row for row in catalog.scenarios.values() if row.id == record.scenario_id)
    work.source = catalog.sources[record.source_id]
    work.tier, work.org_unit_id, work.record_id = record.tier, record.org_unit_id, record.id
    work.region = work.program.region
    mirrors.note_showings(work, catalog)
    work.version = catalog.book.in_force(work.scenario.methodology, clock.business_day(act.occurred_at))
    if work.version is None:
        raise STATE_CONFLICT(state="held", reason="no_method_in_force")
    return work


def _known_reason(code: str) -> None:
    if code not in REVIEW_CODES:
        raise REASON_UNKNOWN(codes=list(REVIEW_CODES))


def _audit(record: Any, verb: str, by: str, at: datetime, words: str | None) -> None:
    audit.write(
        actor=by,
        action=f"record.{verb}",
        object_type="record",
        object_id=record.id,
        program_id=record.program_id,
        before={"state": record.state},
        reason=words,
        at=at,
    )
