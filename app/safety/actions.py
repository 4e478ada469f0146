"""Ask for a check, put it off, decide it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select, text, update

from app import later, notices
from app.db import connection, run, session
from app.errors import Kind, declare
from app.safety.models import TextCheck

# The job comes at once; the sweep of every minute finds what the queue has lost.
SWEPT_AFTER = timedelta(minutes=2)
OPEN = ("pending", "review")

CHECKED_TWICE = declare(
    "checked_twice",
    Kind.CONFLICT,
    zh="该内容已有结论，无需再次处理。",
    en="This content is decided already.",
)


def ask(*, kind: str, object_id: int, person_id: int, body: str, at: datetime) -> int:
    """Queue a text for its check; answers the check's id. The same text again is the same check, another replaces."""
    connection().execute(
        text("select pg_advisory_xact_lock(hashtextextended(:key, 2))"), {"key": f"text/{kind}/{object_id}"}
    )
    found = _open(kind, object_id)
    if found is not None:
        if found.body == body:
            return found.id
        found.state, found.decided_at, found.look_at = "replaced", at, None
        session().flush()
    check = TextCheck(
        kind=kind, object_id=object_id, person_id=person_id, body=body, asked_at=at, look_at=at + SWEPT_AFTER
    )
    session().add(check)
    session().flush()
    later.defer(later.CHECK_TEXT, key=f"text:{check.id}", check_id=check.id)
    return check.id


def withdraw(*, kind: str, object_id: int, at: datetime) -> None:
    """The author has thought better of it: nothing is to be checked any more."""
    found = _open(kind, object_id)
    if found is not None:
        found.state, found.decided_at, found.look_at = "replaced", at, None
        session().flush()


def put_off(*, check_id: int, until: datetime | None) -> None:
    """WeChat could not be asked: again at ``until``, or, with None, when the author is back."""
    statement = update(TextCheck).where(TextCheck.id == check_id, TextCheck.state == "pending")
    session().execute(statement.values(look_at=until, attempts=TextCheck.attempts + 1))


_BACK = """
    update text_checks set look_at = %(at)s where person_id = %(person)s and state = 'pending' and look_at is null
"""


def author_is_back(*, person_id: int, at: datetime) -> None:
    """WeChat checks only what people write who were here within two hours (61010): look again now."""
    run(_BACK, {"person": person_id, "at": at})


def decide(
    *, check_id: int, verdict: str, by: str, at: datetime, label: int | None = None, trace_id: str | None = None
) -> TextCheck | None:
    """Write a verdict down: pass, risky, or review (a person looks). None when there is nothing left to decide.

    The author is told of a refusal; of nothing else. A person of ours decides what is under review.
    """
    found = session().scalars(select(TextCheck).where(TextCheck.id == check_id).with_for_update()).one()
    if found.state not in OPEN:
        return None
    found.state, found.decided_by, found.look_at = verdict, by, None
    found.label = label if label is not None else found.label
    found.trace_id = trace_id or found.trace_id
    found.decided_at = None if verdict == "review" else at
    session().flush()
    if verdict == "risky":
        notices.tell(
            key=f"text:{check_id}:risky",
            person_id=found.person_id,
            kind="text.refused",
            zh="您提交的文字未通过内容安全检查，未对外展示。请修改后重新提交。",
            en="Your text did not pass the content check and is not shown to others. Change it and send it again.",
            at=at,
        )
    return found


def _open(kind: str, object_id: int) -> TextCheck | None:
    query = select(TextCheck).where(TextCheck.kind == kind, TextCheck.object_id == object_id, TextCheck.state.in_(OPEN))
    return session().scalars(query.with_for_update()).first()
