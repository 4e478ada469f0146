"""Add a picture, have it checked, hear the verdict, show or remove it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from app import later, notices, people
from app.db import connection, session
from app.errors import NOT_FOUND, Kind, declare
from app.media.files import CONTENT_TYPE, Picture
from app.media.models import MediaVerdict, Medium

VERDICT_WITHIN = timedelta(minutes=35)
"""WeChat tells its verdict within 30 minutes; whoever has heard nothing asks again."""
SWEPT_AFTER = timedelta(minutes=2)
MOST_TIMES = 5
MOST_PENDING = 10

MEDIUM_LIMIT = declare(
    "medium_limit",
    Kind.CONFLICT,
    zh="您有多张图片正在审核中，请等待审核完成后再上传。",
    en="Several of your pictures are still being checked. Wait for that before sending more.",
)


def add(*, person_id: int, purpose: str, picture: Picture, at: datetime) -> Medium:
    """Keep the row of a picture whose file is saved, and have it checked. Raises MEDIUM_LIMIT."""
    mine = (Medium.person_id == person_id, Medium.state == "pending", Medium.removed_at.is_(None))
    if (session().scalar(select(func.count()).select_from(Medium).where(*mine)) or 0) >= MOST_PENDING:
        raise MEDIUM_LIMIT()
    found = Medium(
        name=picture.name,
        person_id=person_id,
        purpose=purpose,
        content_type=CONTENT_TYPE,
        size_bytes=len(picture.body),
        width=picture.width,
        height=picture.height,
        sha256=picture.sha256,
        look_at=at + SWEPT_AFTER,
        uploaded_at=at,
        state="pending",
    )
    session().add(found)
    session().flush()
    later.defer(later.CHECK_MEDIUM, key=f"medium:{found.id}", medium_id=found.id)
    return found


def asked(*, medium_id: int, trace_id: str, at: datetime) -> None:
    """WeChat is at it. A verdict that came before this answer is applied now."""
    _lock_trace(trace_id)
    found = _locked(medium_id)
    if found.state != "pending":
        return
    found.trace_id, found.look_at, found.attempts = trace_id, at + VERDICT_WITHIN, found.attempts + 1
    session().flush()
    early = session().get(MediaVerdict, trace_id)
    if early is not None:
        _apply(found, early.suggest, early.label, early.errcode, at)


def asking_failed(*, medium_id: int, until: datetime | None, at: datetime) -> None:
    """WeChat could not be asked: again at ``until``; None gives up, and a person of ours looks."""
    found = _locked(medium_id)
    if found.state == "pending":
        found.attempts += 1
        found.look_at = until
        if until is None:
            found.state = "review"


def heard(*, trace_id: str, suggest: str, label: int, errcode: int, at: datetime) -> bool:
    """A pushed verdict; kept also when nobody knows the trace yet. Answers whether it was about a picture we know."""
    _lock_trace(trace_id)
    row = {"trace_id": trace_id, "suggest": suggest, "label": label, "errcode": errcode, "received_at": at}
    connection().execute(insert(MediaVerdict).values(row).on_conflict_do_nothing())
    found = session().scalars(select(Medium).where(Medium.trace_id == trace_id).with_for_update()).first()
    if found is None:
        return False
    _apply(found, suggest, label, errcode, at)
    return True


def decide(*, medium_id: int, passed: bool, by: str, at: datetime) -> Medium:
    """A person of ours decides what is under review. Raises NOT_FOUND."""
    found = session().get(Medium, medium_id, with_for_update=True)
    if found is None or found.state not in ("pending", "review", "failed"):
        raise NOT_FOUND(medium=str(medium_id))
    _decided(found, "pass" if passed else "risky", by, at)
    return found


def remove(*, medium_id: int, person_id: int, at: datetime) -> None:
    """The owner takes a picture away; its file goes within the hour. Raises NOT_FOUND."""
    found = session().get(Medium, medium_id, with_for_update=True)
    if found is None or found.person_id != person_id or found.removed_at is not None:
        raise NOT_FOUND(medium=str(medium_id))
    found.removed_at, found.look_at = at, None
    if people.get(person_id).avatar_url == shown_path(found.name):
        people.set_avatar(person_id, None)


def take_back_avatar(*, person_id: int, at: datetime) -> None:
    """The person takes the avatar back, ours or WeChat's."""
    mine = (Medium.person_id == person_id, Medium.purpose == "avatar", Medium.removed_at.is_(None))
    session().execute(update(Medium).where(*mine).values(removed_at=at, look_at=None))
    people.set_avatar(person_id, None)


def shown_path(name: str) -> str:
    """The path under which a picture is served."""
    return f"/media/{name}"


def _apply(found: Medium, suggest: str, label: int, errcode: int, at: datetime) -> None:
    if found.state != "pending":
        return
    found.label = label
    if errcode != 0:  # it could not be fetched: once more, then a person looks
        found.look_at = at if found.attempts < 2 else None
        if found.attempts >= 2:
            found.state = "review"
        return
    _decided(found, suggest, "wechat", at)


def _decided(found: Medium, state: str, by: str, at: datetime) -> None:
    found.state, found.look_at, found.decided_by = state, None, by
    found.decided_at = None if state == "review" else at
    session().flush()
    if state == "pass" and found.purpose == "avatar" and found.removed_at is None and _is_newest(found):
        people.set_avatar(found.person_id, shown_path(found.name))
    if state == "risky":
        notices.tell(
            key=f"medium:{found.id}:risky",
            person_id=found.person_id,
            kind="picture.refused",
            zh="您上传的图片未通过内容安全检查，未对外展示。请更换后重新上传。",
            en="Your picture did not pass the content check and is not shown to others. Choose another one.",
            at=at,
        )


def _is_newest(found: Medium) -> bool:
    """Two avatars in a row: the later upload wins, whatever verdict comes first."""
    newer = select(Medium.id).where(
        Medium.person_id == found.person_id, Medium.purpose == "avatar", Medium.id > found.id, Medium.state == "pass"
    )
    return session().scalars(newer.limit(1)).first() is None


def _locked(medium_id: int) -> Medium:
    return session().scalars(select(Medium).where(Medium.id == medium_id).with_for_update()).one()


def _lock_trace(trace_id: str) -> None:
    """Verdict and answer meet here: whoever comes second sees what the first has written."""
    connection().execute(text("select pg_advisory_xact_lock(hashtextextended(:key, 3))"), {"key": f"trace/{trace_id}"})
