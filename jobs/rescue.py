"""Jobs whose worker died (kill -9, power) stay "doing" for ever; every minute they are given back to the queue.

A worker beats every few seconds. A job is stalled when its worker's last beat is too old, or when the worker's row is
gone. And old rows go: finished jobs, published outbox rows, deliveries, so that the hot tables stay small.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from sqlalchemy import text

from app.db import connection, transaction
from jobs import metrics

log = structlog.get_logger("rescue")
BEAT_SECONDS = 5.0
DEAD_AFTER_SECONDS = 30.0
MOST_ATTEMPTS = 8
KEEP_FINISHED_DAYS, KEEP_FAILED_DAYS, KEEP_OUTBOX_DAYS = 3, 90, 30

_STALLED = text(
    """
    select job.id, job.task_name, job.attempts from procrastinate_jobs job
    left join procrastinate_workers worker on worker.id = job.worker_id
    where job.status = 'doing'
      and (worker.id is null or worker.last_heartbeat < clock_timestamp() - interval '1 second' * :dead_after)
    order by job.id for update of job skip locked
    """
)
_GIVE_BACK = text("select procrastinate_retry_job_v2(:id, null, null, null, null)")
_GIVE_UP = text("select procrastinate_finish_job_v1(:id, 'failed', false)")
_PURGE_JOBS = text(
    """
    delete from procrastinate_jobs job
    where job.status = any(cast(:statuses as procrastinate_job_status[]))
      and not exists (
        select from procrastinate_events event
        where event.job_id = job.id and event.at > clock_timestamp() - interval '1 day' * :days)
    """
)
_PURGE_OUTBOX = text("delete from outbox where published_at < clock_timestamp() - interval '1 day' * :days")
_PURGE_DELIVERIES = text(
    """
    delete from inbox_deliveries delivery
    where delivered_at < clock_timestamp() - interval '1 day' * :days
      and not exists (select from outbox where outbox.id = delivery.event_id and published_at is null)
    """
)


@dataclass(frozen=True, slots=True)
class Rescued:
    """How many stalled jobs went back to the queue, and how many had been tried too often."""

    given_back: int
    given_up: int


def rescue_stalled(*, dead_after_seconds: float = DEAD_AFTER_SECONDS) -> Rescued:
    """Give stalled jobs back to the queue; one that stalled too often fails, lest it kill worker after worker."""
    back = up = 0
    with transaction():
        for job_id, task, attempts in connection().execute(_STALLED, {"dead_after": dead_after_seconds}).all():
            hopeless = attempts + 1 >= MOST_ATTEMPTS
            connection().execute(_GIVE_UP if hopeless else _GIVE_BACK, {"id": job_id})
            log.warning(
                "job_stalled", job_id=job_id, task=task, attempts=attempts, outcome="failed" if hopeless else "queued"
            )
            back, up = back + (not hopeless), up + hopeless
    metrics.RESCUED.labels("queued").inc(back)
    metrics.RESCUED.labels("failed").inc(up)
    return Rescued(back, up)


def purge() -> None:
    """Delete what is over: finished jobs, failed jobs after a quarter, published events and their deliveries."""
    with transaction():
        connection().execute(_PURGE_JOBS, {"statuses": ["succeeded", "cancelled"], "days": KEEP_FINISHED_DAYS})
        connection().execute(_PURGE_JOBS, {"statuses": ["failed", "aborted"], "days": KEEP_FAILED_DAYS})
    with transaction():
        connection().execute(_PURGE_OUTBOX, {"days": KEEP_OUTBOX_DAYS})
        connection().execute(_PURGE_DELIVERIES, {"days": KEEP_OUTBOX_DAYS})
