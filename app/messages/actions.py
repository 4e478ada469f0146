"""Queue, begin, end, repeat; what people allow."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert

from app import audit, later, notices
from app.db import connection, run, session
from app.errors import NOT_FOUND, STATE_CONFLICT
from app.messages.models import Delivery, Quota, Stop
from app.messages.templates import data_of, template_for
from app.notices import Notice

LOST_AFTER = timedelta(minutes=5)
MOST_TIMES = 8
TOLD_WITHIN = timedelta(days=1)


def queue(*, notice_id: int, at: datetime) -> int | None:
    """Make the delivery of a notice, once; answers its id. None for one that stays in the inbox or is queued."""
    notice = session().get(Notice, notice_id)
    template = None if notice is None else template_for(notice.kind)
    if notice is None or template is None:
        return None
    choice = notices.choice(notice.person_id)
    if not choice.wants(notice.kind):
        return None
    row = {
        "notice_id": notice_id,
        "person_id": notice.person_id,
        "template": template.name,
        "data": data_of(template, kind=notice.kind, zh=notice.zh, at=notice.created_at),
        "page": template.page,
        "created_at": at,
        "send_at": choice.after_quiet(at),
    }
    statement = insert(Delivery).values(row).on_conflict_do_nothing(index_elements=["notice_id"])
    return connection().execute(statement.returning(Delivery.id)).scalar_one_or_none()


_IN_BULK = """
    select n.id from notices n
    where n.kind = 'challenge.prize' and n.created_at > %(since)s
      and not exists (select from message_deliveries d where d.notice_id = n.id)
      and exists (select from message_quotas q where q.person_id = n.person_id and q.remaining > 0)
      and not exists (select from notice_settings s where s.person_id = n.person_id and %(topic)s = any (s.muted))
    order by n.id limit %(limit)s
"""


def queue_bulk(*, at: datetime, limit: int = 500) -> int:
    """Make the messages of notices that were told to many at once, for who allows messages; answers how many."""
    values = {"since": at - TOLD_WITHIN, "topic": notices.topic_of("challenge.prize"), "limit": limit}
    return sum(queue(notice_id=row.id, at=at) is not None for row in run(_IN_BULK, values))


def after_quiet(at: datetime, person_id: int) -> datetime:
    """The moment itself, or the end of the person's quiet hours."""
    return notices.choice(person_id).after_quiet(at)


def begin(*, delivery_id: int, appid: str, template_id: str, at: datetime) -> Delivery | None:
    """Take a waiting delivery in hand: from here until its end nobody else sends it, also after a crash.

    None when somebody else has it, it is over, or it is not its time. Without a subscription left it ends here.
    """
    found = session().scalars(
        select(Delivery).where(Delivery.id == delivery_id).with_for_update(skip_locked=True)
    ).first()  # fmt: skip
    if found is None or found.state != "waiting" or found.send_at > at:
        return None
    found.appid, found.template_id = appid, template_id
    left = session().get(Quota, (found.person_id, appid, template_id))
    if left is None or left.remaining < 1:
        found.state, found.ended_at, found.problem = "not_subscribed", at, "no subscription left"
        return None
    found.state, found.begun_at, found.attempts = "sending", at, found.attempts + 1
    session().flush()
    return found


def end(
    *, delivery_id: int, state: str, at: datetime, errcode: int | None = None, problem: str | None = None,
    message_id: str | None = None,
) -> None:  # fmt: skip
    """How sending ended: sent, not_subscribed, failed or unknown. Sent uses one subscription up."""
    found = session().get_one(Delivery, delivery_id, with_for_update=True)
    found.state, found.ended_at, found.errcode, found.problem = state, at, errcode, problem
    found.message_id = message_id or None
    if state == "sent":
        _change(found, "greatest(remaining - 1, 0)", at)
    elif state == "not_subscribed":
        _change(found, "0", at)


def later_again(*, delivery_id: int, until: datetime, errcode: int | None, problem: str, at: datetime) -> None:
    """It was not sent for sure and may be later; after the eighth time it has failed."""
    found = session().get_one(Delivery, delivery_id, with_for_update=True)
    found.errcode, found.problem = errcode, problem
    if found.attempts >= MOST_TIMES:
        found.state, found.ended_at = "failed", at
    else:
        found.state, found.send_at = "waiting", after_quiet(until, found.person_id)


def give_up_on_lost(*, at: datetime) -> int:
    """Deliveries whose sender died in the middle: nobody knows whether they went out, so nobody sends them again."""
    lost = (Delivery.state == "sending", Delivery.begun_at < at - LOST_AFTER)
    values = {"state": "unknown", "ended_at": at, "problem": "the sender ended in the middle"}
    done = session().execute(update(Delivery).where(*lost).values(**values).returning(Delivery.id))
    return len(done.all())


def resend(*, delivery_id: int, by: str, at: datetime) -> Delivery:
    """Send a message that failed, was not allowed or got lost once more. Raises NOT_FOUND, STATE_CONFLICT."""
    found = session().get(Delivery, delivery_id, with_for_update=True)
    if found is None:
        raise NOT_FOUND(delivery=str(delivery_id))
    if found.state not in ("failed", "not_subscribed", "unknown"):
        raise STATE_CONFLICT(state=found.state)
    found.state, found.send_at, found.ended_at, found.attempts = "waiting", after_quiet(at, found.person_id), None, 0
    audit.write(actor=by, action="message.resend", object_type="delivery", object_id=delivery_id, at=at)
    later.defer(later.MESSAGE, lock=f"message:{found.person_id}", notice_id=found.notice_id)
    return found


def delivered(*, message_id: str, word: str) -> bool:
    """WeChat's later word about a message. Answers whether it was one of ours."""
    statement = update(Delivery).where(Delivery.message_id == message_id).values(delivered=word[:100])
    return session().execute(statement.returning(Delivery.id)).first() is not None


def allow(*, person_id: int, appid: str, template_id: str, at: datetime) -> None:
    """The person accepted a popup: one more message of this template."""
    row = {"person_id": person_id, "appid": appid, "template_id": template_id, "remaining": 1, "changed_at": at}
    raised = {"remaining": Quota.remaining + 1, "changed_at": at}
    statement = insert(Quota).values(row)
    connection().execute(
        statement.on_conflict_do_update(index_elements=["person_id", "appid", "template_id"], set_=raised)
    )


def refuse(*, person_id: int, appid: str, template_id: str, at: datetime) -> None:
    """The person switched a template off: nothing is left."""
    mine = (Quota.person_id == person_id, Quota.appid == appid, Quota.template_id == template_id)
    session().execute(update(Quota).where(*mine).values(remaining=0, changed_at=at))


def stop(*, appid: str, template_id: str, until: datetime | None, problem: str) -> None:
    """Use a template no longer: until a moment, or (None) until somebody has looked and removed the stop."""
    row = {"appid": appid, "template_id": template_id, "until": until, "problem": problem}
    statement = insert(Stop).values(row)
    connection().execute(
        statement.on_conflict_do_update(
            index_elements=["appid", "template_id"], set_={"until": until, "problem": problem}
        )
    )


def _change(found: Delivery, remaining: str, at: datetime) -> None:
    values: dict[str, Any] = {"person": found.person_id, "app": found.appid, "template": found.template_id, "at": at}
    statement = text(
        f"update message_quotas set remaining = {remaining}, changed_at = :at"  # noqa: S608 - two constants of ours
        " where person_id = :person and appid = :app and template_id = :template"
    )
    connection().execute(statement, values)
