"""The relay: delivers outbox rows to the listeners of `jobs/listeners.py`.

A batch is claimed with FOR UPDATE SKIP LOCKED, so several relays share the work, and a row that was committed late
under a lower id is not lost (a cursor "id > last" would lose it). Claim, effects, inbox rows and `published_at` are one
transaction: killed in the middle, nothing happened. When a batch fails, its events are taken one by one, each in a
transaction of its own, so that one bad event holds up nobody: it is tried again after 2, 4, 8 ... seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import text

from app import cache, inbox
from app.db import connection, is_outage, transaction
from jobs import metrics
from jobs.listeners import LISTENERS, Event, Listener

log = structlog.get_logger("relay")
BATCH = 200
IDLE_SECONDS, OUTAGE_SECONDS = 0.2, 1.0

_DUE = """
    published_at is null
    and (attempts = 0 or created_at + interval '1 second' * power(2, least(attempts, 12)) < clock_timestamp())
"""
_CLAIM = text(
    f"""
    select id, event, program_id, payload, created_at from outbox
    where {_DUE} order by id limit :limit for update skip locked
    """  # noqa: S608 - a constant above
)
_CLAIM_ONE = text(
    "select id, event, program_id, payload, created_at from outbox"
    " where id = :id and published_at is null for update skip locked"
)
_PUBLISHED = text("update outbox set published_at = clock_timestamp(), last_error = null where id = any(:ids)")
_FAILED = text("update outbox set attempts = attempts + 1, last_error = :error where id = :id")


def relay_once(listeners: Sequence[Listener] = LISTENERS, *, limit: int = BATCH) -> int:
    """Deliver one batch; answers how many events it saw. Raises when PostgreSQL or Redis is down: try later."""
    seen: list[int] = []
    try:
        with transaction():
            batch = _claim(limit)
            seen = [event.id for event in batch]
            _deliver(batch, listeners)
    except cache.REDIS_DOWN:
        raise
    except Exception as error:
        if is_outage(error) or not seen:
            raise
        for event_id in seen:
            _deliver_alone(event_id, listeners)
    metrics.RELAYED.inc(len(seen))
    return len(seen)


def relay_all() -> int:
    """Deliver batch after batch until nothing waits; answers how many events were seen."""
    count = 0
    while seen := relay_once():
        count += seen
    return count


def _claim(limit: int) -> list[Event]:
    rows = connection().execute(_CLAIM, {"limit": limit}).all()
    return [Event(*row) for row in rows]


def _deliver(batch: Sequence[Event], listeners: Sequence[Listener]) -> None:
    if not batch:
        return
    for listener in listeners:
        wanted = [event for event in batch if event.event in listener.events]
        unheard = inbox.first_deliveries(listener.name, [event.id for event in wanted])
        if unheard:
            listener.apply([event for event in wanted if event.id in unheard])
    connection().execute(_PUBLISHED, {"ids": [event.id for event in batch]})


def _deliver_alone(event_id: int, listeners: Sequence[Listener]) -> None:
    """One event, one transaction; a failure is written down and the next one goes on."""
    try:
        with transaction():
            row = connection().execute(_CLAIM_ONE, {"id": event_id}).first()
            if row is not None:
                _deliver([Event(*row)], listeners)
    except cache.REDIS_DOWN:
        raise
    except Exception as error:
        if is_outage(error):
            raise
        metrics.RELAY_FAILURES.inc()
        log.error("event_failed", event_id=event_id, error=type(error).__name__, exc_info=error)
        with transaction():
            connection().execute(_FAILED, {"id": event_id, "error": type(error).__name__})


class Relay(threading.Thread):
    """The relay as a thread of the worker process; `stop()` lets it finish its batch."""

    def __init__(self, app: Any) -> None:
        super().__init__(name="relay", daemon=True)
        self._app = app
        self._stop_asked = threading.Event()

    def run(self) -> None:
        while not self._stop_asked.is_set():
            self._stop_asked.wait(self._turn())

    def _turn(self) -> float:
        """One batch; answers how long to rest."""
        try:
            with self._app.app_context():
                return 0.0 if relay_once() else IDLE_SECONDS
        except Exception as error:  # noqa: BLE001 - the relay outlives every outage
            log.warning("relay_waits", error=type(error).__name__)
            return OUTAGE_SECONDS

    def stop(self, seconds: float = 20.0) -> None:
        self._stop_asked.set()
        self.join(seconds)
