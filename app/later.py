"""Work for later: a job in the queue that is a row of the running transaction, so a rollback takes it along.

The names stand here, the functions in ``jobs/tasks.py``; the domain does not know who works on them.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, cast

from sqlalchemy import text

from app.db import connection

# A name per kind of work: NAME = "feature.verb", listed here and in the table of jobs/tasks.py.
PAY_PENDING = "funding.pay_pending"
PAYMENT_LOOK = "payments.look"
REFUND_LOOK = "payments.refund"
ORDER_END = "orders.end_unpaid"
CHECK_TEXT = "safety.text"
CHECK_MEDIUM = "safety.medium"
MESSAGE = "messages.send"
HEARD = "wechat.heard"
REVIVE = "records.revive"
GREEN = "green.earn"
WAITLIST = "mall.waitlist"
STOCK_LOW = "mall.stock_low"
EXPIRED_MONEY = "orders.expired_money"
CHALLENGE_CORRECT = "challenges.correct"
LEVEL_REWARDS = "levels.reward"

ALL: tuple[str, ...] = (
    *(PAY_PENDING, PAYMENT_LOOK, REFUND_LOOK, ORDER_END, CHECK_TEXT, CHECK_MEDIUM, MESSAGE, HEARD, REVIVE, GREEN),
    *(CHALLENGE_CORRECT, LEVEL_REWARDS),
    *(WAITLIST, STOCK_LOW, EXPIRED_MONEY),
)

_INSERT = text(
    """
    insert into procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, scheduled_at)
    values ('default', :task, :lock, :key, cast(:args as jsonb), :at)
    on conflict (queueing_lock) where status = 'todo' do nothing
    returning id
    """
)


def defer(
    task: str, *, key: str | None = None, lock: str | None = None, at: datetime | None = None, **args: Any
) -> int | None:
    """Queue one job in this transaction; answers its id, or None when a job with the same ``key`` waits already.

    ``key`` keeps a job from being queued twice while it waits; jobs with the same ``lock`` run one after the other.
    A job may run twice (its worker can die after the work and before saying so), so it must not mind.
    Arguments are plain JSON and hold ids, never personal data. Raises ValueError for a name that is not in ``ALL``.
    """
    if task not in ALL:
        raise ValueError(f"unknown task {task!r}")
    values = {"task": task, "lock": lock, "key": key, "args": json.dumps(args), "at": at}
    return cast("int | None", connection().execute(_INSERT, values).scalar_one_or_none())
