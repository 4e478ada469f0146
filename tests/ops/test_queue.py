"""The queue: a job lives and dies with the transaction that deferred it, and outlives the worker that took it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import later
from app.db import connection, transaction
from devkit import ROOT
from jobs import rescue, tasks
from jobs.worker import build

TASK = "test.note"


@pytest.fixture(autouse=True)
def task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(later, "ALL", (TASK,))
    monkeypatch.setattr(tasks, "TASKS", {TASK: note})
    monkeypatch.setattr(tasks, "CRON", ())


def note(*, word: str) -> None:
    with transaction():
        connection().execute(text("insert into noted (word) values (:word)"), {"word": word})


def jobs() -> list[tuple[str, int]]:
    rows = connection().execute(text("select status::text, attempts from procrastinate_jobs order by id")).all()
    return [(status, attempts) for status, attempts in rows]


def test_a_rollback_takes_the_job_with_it(db_session: Session) -> None:
    with pytest.raises(RuntimeError, match="no"), transaction():
        later.defer(TASK, word="lost")
        raise RuntimeError("no")
    assert jobs() == []
    with transaction():
        later.defer(TASK, word="kept")
    assert jobs() == [("todo", 0)]


def test_a_key_queues_a_waiting_job_once(db_session: Session) -> None:
    with transaction():
        first = later.defer(TASK, key="statement:7", word="a")
        second = later.defer(TASK, key="statement:7", word="a")
        other = later.defer(TASK, key="statement:8", word="b")
    assert first is not None and second is None and other is not None
    assert len(jobs()) == 2


def test_unknown_work_is_refused_at_once(db_session: Session) -> None:
    with transaction(), pytest.raises(ValueError, match="unknown task"):
        later.defer("test.nothing")


def make_table() -> None:
    with transaction():
        connection().execute(text("create table noted (word text not null)"))


def words() -> list[str]:
    return list(connection().execute(text("select word from noted order by word")).scalars())


def test_the_worker_runs_what_is_due_and_leaves_the_rest(clean_db: Any) -> None:
    with clean_db.app_context():
        make_table()
        with transaction():
            later.defer(TASK, word="now")
            later.defer(TASK, at=datetime.now(UTC) + timedelta(hours=1), word="in an hour")
        build(clean_db).run_worker(wait=False, install_signal_handlers=False, listen_notify=False)
        assert words() == ["now"]
        assert jobs() == [("succeeded", 1), ("todo", 0)]


def test_a_failing_job_is_tried_again_later(clean_db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*, word: str) -> None:
        raise OSError("a secret: " + word)

    monkeypatch.setattr(tasks, "TASKS", {TASK: fails})
    with clean_db.app_context():
        with transaction():
            later.defer(TASK, word="138 0000 0000")
        build(clean_db).run_worker(wait=False, install_signal_handlers=False, listen_notify=False)
        assert jobs() == [("todo", 1)]
        due = connection().execute(text("select scheduled_at > now() from procrastinate_jobs")).scalar_one()
        assert due is True


WORKER = """
import sys, time
import wsgi
from jobs import tasks, worker
from app.db import connection, transaction
from sqlalchemy import text

def hangs(*, word):
    print("doing", flush=True)
    time.sleep(60)

tasks.TASKS, tasks.CRON = {"test.note": hangs}, ()
worker.work(wsgi.create_app())
"""


@pytest.mark.slow
@pytest.mark.race
def test_a_job_whose_worker_was_killed_is_given_back_and_runs_once(clean_db: Any, settings: Any) -> None:
    environ = {
        **os.environ,
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "DIANDI_ENV": "test",
    }
    with clean_db.app_context():
        make_table()
        with transaction():
            later.defer(TASK, word="after all")
        killed = subprocess.Popen(
            [sys.executable, "-c", WORKER], cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True
        )
        assert killed.stdout is not None
        try:
            assert killed.stdout.readline() == "doing\n"
        finally:
            killed.send_signal(signal.SIGKILL)
            killed.wait()
            killed.stdout.close()
        assert jobs() == [("doing", 0)]
        assert rescue.rescue_stalled() == rescue.Rescued(0, 0)  # its last beat is too fresh to call it dead
        time.sleep(1.1)
        assert rescue.rescue_stalled(dead_after_seconds=1) == rescue.Rescued(1, 0)
        assert jobs() == [("todo", 1)]
        assert rescue.rescue_stalled(dead_after_seconds=1) == rescue.Rescued(0, 0)
        build(clean_db).run_worker(wait=False, install_signal_handlers=False, listen_notify=False)
        assert words() == ["after all"]


def stalled(attempts: int) -> None:
    with transaction():
        later.defer(TASK, word="x")
        connection().execute(text("update procrastinate_jobs set status = 'doing', attempts = :n"), {"n": attempts})


def test_a_job_without_a_worker_is_given_back(db_session: Session) -> None:
    stalled(0)
    assert rescue.rescue_stalled() == rescue.Rescued(1, 0)


def test_a_job_that_kills_every_worker_is_given_up(db_session: Session) -> None:
    stalled(rescue.MOST_ATTEMPTS - 1)
    assert rescue.rescue_stalled() == rescue.Rescued(0, 1)
    assert jobs() == [("failed", rescue.MOST_ATTEMPTS)]


def test_purge_takes_old_finished_jobs_only(db_session: Session) -> None:
    with transaction():
        for word in ("old", "fresh", "waiting"):
            later.defer(TASK, word=word)
        set_status = text("update procrastinate_jobs set status = 'succeeded' where args->>'word' in ('old', 'fresh')")
        connection().execute(set_status)
        age = text(
            "update procrastinate_events set at = at - interval '10 days'"
            " where job_id in (select id from procrastinate_jobs where args->>'word' in ('old', 'waiting'))"
        )
        connection().execute(age)
    rescue.purge()
    left = connection().execute(text("select args->>'word' from procrastinate_jobs order by id")).scalars().all()
    assert left == ["fresh", "waiting"]


def test_purge_takes_old_events_and_keeps_the_deliveries_of_those_still_open(db_session: Session) -> None:
    with transaction():
        connection().execute(
            text(
                """
                insert into outbox (event, payload, created_at, published_at) values
                  ('award.paid', '{}', now() - interval '60 days', now() - interval '60 days'),
                  ('award.paid', '{}', now() - interval '60 days', null),
                  ('award.paid', '{}', now(), now())
                """
            )
        )
        connection().execute(
            text(
                "insert into inbox_deliveries (consumer, event_id, delivered_at)"
                " select 'test', id, created_at from outbox"
            )
        )
    rescue.purge()
    assert connection().execute(text("select count(*) from outbox")).scalar_one() == 2
    assert connection().execute(text("select count(*) from inbox_deliveries")).scalar_one() == 2
