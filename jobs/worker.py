"""The worker process: runs queued jobs and cron in threads, and the relay beside them."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import procrastinate
import structlog
from procrastinate import RetryStrategy
from sqlalchemy.engine import make_url

from app.db import db
from app.errors import Refusal
from jobs import metrics, tasks
from jobs.relay import Relay
from jobs.rescue import BEAT_SECONDS, DEAD_AFTER_SECONDS, MOST_ATTEMPTS

log = structlog.get_logger("worker")
CONCURRENCY = 4
POLL_SECONDS, GRACE_SECONDS = 5.0, 20.0


class Patience(RetryStrategy):
    """Try again after 2, 4, 8 ... seconds; a refusal is an answer, and asking again would not change it."""

    def get_retry_decision(self, *, exception: BaseException, job: Any) -> Any:
        if isinstance(exception, Refusal):
            return None
        return super().get_retry_decision(exception=exception, job=job)


def build(app: Any) -> procrastinate.App:
    """The queue of this application's database with all tasks of `jobs/tasks.py` in it."""
    queue = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=conninfo(app), min_size=1, max_size=6))
    for name, function in tasks.TASKS.items():
        queue.task(name=name, retry=Patience(max_attempts=MOST_ATTEMPTS, exponential_wait=2))(
            wrapped(app, name, function)
        )
    for cron in tasks.CRON:
        task = queue.task(name=cron.name, queueing_lock=cron.name, lock=cron.name)(wrapped(app, cron.name, cron.run))
        queue.periodic(cron=cron.schedule)(task)
    return queue


def conninfo(app: Any) -> str:
    """The same database in libpq's words."""
    url = make_url(app.config["SQLALCHEMY_DATABASE_URI"]).set(drivername="postgresql")
    return url.render_as_string(hide_password=False)


def wrapped(app: Any, name: str, function: Callable[..., Any]) -> Callable[..., None]:
    """A task as the queue calls it: in an application context, counted, logged without its arguments."""

    @functools.wraps(function)
    def run(*, timestamp: int | None = None, **arguments: Any) -> None:
        started = time.perf_counter()
        outcome = "failed"
        try:
            with app.app_context(), structlog.contextvars.bound_contextvars(task=name):
                function(**arguments)
            outcome = "done"
        except Refusal as refusal:
            outcome = "refused"
            log.warning("job_refused", task=name, code=refusal.code)
            raise
        except Exception as error:
            log.error("job_failed", task=name, error=type(error).__name__, exc_info=error)
            raise
        finally:
            metrics.JOBS.labels(name, outcome).inc()
            metrics.JOB_SECONDS.labels(name).observe(time.perf_counter() - started)

    return run


def work(app: Any) -> None:
    """Run until SIGTERM or SIGINT; running jobs and the relay's batch get time to finish."""
    relay = Relay(app)
    relay.start()
    try:
        build(app).run_worker(
            name="worker",
            concurrency=CONCURRENCY,
            fetch_job_polling_interval=POLL_SECONDS,
            shutdown_graceful_timeout=GRACE_SECONDS,
            update_heartbeat_interval=BEAT_SECONDS,
            stalled_worker_timeout=DEAD_AFTER_SECONDS,
        )
    finally:
        relay.stop()
        with app.app_context():
            db.engine.dispose()
