"""Send a snapshot, look at it, let old photos go."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from app import media, notices, records, scenarios, sources
from app.db import run, session
from app.errors import IDEMPOTENCY_CONFLICT, INVALID_FIELD, NOT_FOUND, TOO_MANY, Kind, declare
from app.records import Act, Taken
from app.snapshots.fingerprint import ALIKE
from app.snapshots.models import Snapshot

CAPTURED_WITHIN = timedelta(hours=48)
KEPT_FOR = timedelta(days=90)
"""After the decision: the sixty days of an appeal and its answer. Then the photo goes, the record stays."""
REMEMBERED = timedelta(days=400)
A_DAY = 20

SNAPSHOT_TOO_OLD = declare(
    "snapshot_too_old",
    Kind.INVALID,
    zh="照片须在拍摄后 48 小时内提交。",
    en="A photo has to be sent within 48 hours of being taken.",
)
SNAPSHOT_UNCHECKED = declare(
    "snapshot_unchecked",
    Kind.CONFLICT,
    zh="照片尚未通过内容安全检查，暂不能审核。",
    en="The photo has not passed its content check yet, so nobody can decide about it.",
)
NO_PHOTO_SCENARIO = declare(
    "no_photo_scenario",
    Kind.INVALID,
    zh="该场景不接受照片，请在项目的场景列表中选择“随手拍”类场景。",
    en="This scenario takes no photos. Choose one of the program's photo scenarios.",
)


def send(
    *, program_id: int, scenario: str, person_id: int, client_ref: str, medium_id: int, fingerprint: int, note: str,
    taken_at: datetime, at: datetime,
) -> tuple[Snapshot, Taken | None]:  # fmt: skip
    """Send a photo of a green moment; its record is held until somebody has looked. The same again is the first.

    Raises NO_PHOTO_SCENARIO, SNAPSHOT_TOO_OLD, INVALID_FIELD for a photo that is not the person's,
    IDEMPOTENCY_CONFLICT, TOO_MANY, and what ``records.take`` refuses with.
    """
    before = session().scalars(
        select(Snapshot).where(Snapshot.person_id == person_id, Snapshot.client_ref == client_ref)
    ).first()  # fmt: skip
    if before is not None:
        if (before.scenario, before.medium_id, before.taken_at) != (scenario, medium_id, taken_at):
            raise IDEMPOTENCY_CONFLICT(client_ref=client_ref)
        return before, None
    offered = next((one for one in scenarios.listing(program_id) if one.code == scenario), None)
    if offered is None or offered.source_kinds.get("citizen") != "D":
        raise NO_PHOTO_SCENARIO(scenario=scenario)
    if taken_at < at - CAPTURED_WITHIN:
        raise SNAPSHOT_TOO_OLD(taken_at=taken_at.isoformat())
    _not_too_many(person_id, at)
    photo = _photo(medium_id, person_id)
    act = Act(
        program_id=program_id,
        scenario=scenario,
        person_id=person_id,
        source_id=sources.id_of(program_id, "citizen"),
        reference=f"snapshot:{person_id}:{client_ref}",
        facts={"photos": 1, "photo_hash": bytes(photo.sha256).hex()},
        occurred_at=taken_at,
    )
    taken = records.take(act, at=at)
    if taken.refusal is not None:
        raise taken.refusal
    made = _keep(act, taken, photo.id, client_ref, fingerprint, note, at)
    return made, taken


def accept(*, snapshot_id: int, by: str, at: datetime) -> Taken:
    """The photo shows what it should: its record counts by the rules of the day it was taken.

    Raises NOT_FOUND, SNAPSHOT_UNCHECKED, STATE_CONFLICT when it is decided.
    """
    found = _locked(snapshot_id)
    _checked(found)
    done = records.release(record_id=found.record_id, by=by, at=at, tell=False)
    notices.tell(
        key=f"snapshot:{found.id}:accepted", person_id=found.person_id, program_id=found.program_id,
        kind="record.counted", zh=f"您的随手拍已通过审核，获得 {done.credits} 积分。",
        en=f"Your photo was accepted: {done.credits} credits.",
        details={"record_id": str(found.record_id), "snapshot_id": str(found.id)}, at=at,
    )  # fmt: skip
    return done


def refuse(*, snapshot_id: int, code: str, words: str, by: str, at: datetime) -> None:
    """The photo does not show it; the person reads why and can appeal. Raises NOT_FOUND, SNAPSHOT_UNCHECKED,
    STATE_CONFLICT, REASON_UNKNOWN."""
    found = _locked(snapshot_id)
    _checked(found)
    records.reject(record_id=found.record_id, code=code, words=words, by=by, at=at)


_UNSAFE = """
    select s.record_id, m.id is null or m.removed_at is not null as gone
    from snapshots s join records r on r.id = s.record_id and r.state = 'held'
    left join media m on m.id = s.medium_id
    where s.sent_at > %(since)s and (m.id is null or m.removed_at is not null or m.state in ('risky', 'failed'))
    order by s.record_id limit 200
"""


def refuse_unsafe(*, at: datetime) -> int:
    """Photos that did not pass their content check, or that were taken away, need no look; answers how many."""
    found = run(_UNSAFE, {"since": at - REMEMBERED})
    for row in found:
        words = "照片已被您删除" if row.gone else "照片未通过内容安全检查"
        records.reject(record_id=row.record_id, code="evidence_missing", words=words, by="system:content-check", at=at)
    return len(found)


_OLD = """
    select s.id, s.medium_id, s.person_id from snapshots s join records r on r.id = s.record_id
    where s.thinned_at is null and s.sent_at < %(before)s and r.state <> 'held'
      and not exists (select from appeals a where a.record_id = s.record_id
                      and (a.state = 'open' or a.answered_at > %(before)s))
      and not exists (select from audit d where d.object_type = 'record' and d.object_id = s.record_id::text
                      and d.at > %(before)s)
    order by s.id limit 200
"""


def thin(*, at: datetime) -> int:
    """Let photos go whose decision is 90 days old; answers how many."""
    found = run(_OLD, {"before": at - KEPT_FOR})
    ids = [row.id for row in found]
    run("update media set removed_at = %(at)s, look_at = null where id = any (%(ids)s::bigint[])"
        " and removed_at is null",
        {"at": at, "ids": [row.medium_id for row in found if row.medium_id is not None]})  # fmt: skip
    run("update snapshots set thinned_at = %(at)s where id = any (%(ids)s::bigint[])", {"at": at, "ids": ids})
    return len(ids)


def _not_too_many(person_id: int, at: datetime) -> None:
    lately = (Snapshot.person_id == person_id, Snapshot.sent_at > at - timedelta(days=1), Snapshot.sent_at <= at)
    if (session().scalar(select(func.count()).select_from(Snapshot).where(*lately)) or 0) >= A_DAY:
        raise TOO_MANY(retry_after=3_600, limit="snapshots")


def _photo(medium_id: int, person_id: int) -> Any:
    found = session().get(media.Medium, medium_id)
    if found is None or found.person_id != person_id or found.removed_at is not None or found.purpose != "photo":
        expected = "应为您上传的照片编号|must be the id of a photo that you uploaded"
        raise INVALID_FIELD(fields=[{"field": "medium_id", "expected": expected}])
    return found


_NEAREST = """
    select id, bit_count((fingerprint # %(mark)s::bigint)::bit(64)) as distance from snapshots
    where sent_at > %(since)s and bit_count((fingerprint # %(mark)s::bigint)::bit(64)) <= %(alike)s
    order by 2, 1 limit 1
"""


def _keep(act: Act, taken: Taken, medium_id: int, client_ref: str, mark: int, note: str, at: datetime) -> Snapshot:
    """The snapshot goes with the program that pays its record, whose people look at it."""
    near = run(_NEAREST, {"mark": mark, "since": at - REMEMBERED, "alike": ALIKE})
    payer = run("select program_id from records where id = %(id)s", {"id": taken.record_id})
    made = Snapshot(
        program_id=payer[0].program_id,
        person_id=act.person_id,
        record_id=taken.record_id or 0,
        client_ref=client_ref,
        scenario=act.scenario,
        medium_id=medium_id,
        fingerprint=mark,
        similar_to=near[0].id if near else None,
        distance=near[0].distance if near else None,
        note=note,
        taken_at=act.occurred_at,
        sent_at=at,
    )
    session().add(made)
    session().flush()
    return made


def _locked(snapshot_id: int) -> Snapshot:
    found = session().get(Snapshot, snapshot_id)
    if found is None:
        raise NOT_FOUND(snapshot=str(snapshot_id))
    return found


def _checked(found: Snapshot) -> None:
    photo = None if found.medium_id is None else session().get(media.Medium, found.medium_id, populate_existing=True)
    if photo is None or photo.state != "pass" or photo.removed_at is not None:
        raise SNAPSHOT_UNCHECKED(state=photo.state if photo else "gone")
