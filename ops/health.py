"""`/healthz` touches nothing, `/readyz` looks at what a request needs, `/version` says what runs, `/metrics` counts."""

from __future__ import annotations

import hmac
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from flask import Blueprint, Response, current_app, jsonify, request
from prometheus_client import CollectorRegistry, multiprocess
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import REGISTRY
from sqlalchemy import text

from app import cache as redis_cache
from app.clock import now
from app.db import connection, database_now, db
from ops.figures import Figures

ROOT = Path(__file__).resolve().parent.parent
OLDEST_WAITING_SECONDS = 900.0
MOST_SKEW_SECONDS = 30.0
bp = Blueprint("ops", __name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `needed`: without it this process must not get requests."""

    name: str
    fine: bool
    said: str
    needed: bool = True


@bp.get("/healthz")
def healthz() -> Response:
    """The process answers. Nothing else is asked, so a slow database doesn't make an orchestrator kill us."""
    return jsonify(status="ok")


@bp.get("/version")
def version() -> Response:
    """What runs here."""
    return jsonify(version=_version(), revision=revision(), migration=head())


@bp.get("/readyz")
def readyz() -> tuple[Response, int]:
    """200 when a request can be served: database there and safe, migrations done, queue not stuck. Else 503 and why."""
    found = findings()
    ready = all(one.fine for one in found if one.needed)
    checks = {one.name: {"ok": one.fine, "said": one.said} for one in found}
    return jsonify(status="ready" if ready else "not_ready", checks=checks), 200 if ready else 503


@bp.get("/metrics")
def metrics() -> Response:
    """Prometheus' text, summed over the processes. For the host itself, or with METRICS_TOKEN; not for the world."""
    if not _may_read_metrics():
        return Response("not for you\n", status=403, mimetype="text/plain")
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    business = CollectorRegistry()
    business.register(Figures())
    found = generate_latest(registry) + generate_latest(business)
    return Response(found, content_type=CONTENT_TYPE_LATEST)


def _may_read_metrics() -> bool:
    token = os.environ.get("METRICS_TOKEN", "")
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if token:
        return hmac.compare_digest(given.encode(), token.encode())
    # A forwarded request comes from outside, though its last hop is this host.
    forwarded = any(name in request.headers for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"))
    return not forwarded and request.remote_addr in ("127.0.0.1", "::1")


def findings() -> list[Finding]:
    """Everything that `/readyz` looks at. Never raises."""
    looks: list[tuple[str, bool, Callable[[], tuple[bool, str]]]] = [
        ("database", True, _durability),
        ("migrations", True, _migrations),
        ("queue", True, _queue),
        ("worker", False, _worker),
        ("clock", False, _clock),
        ("redis", False, _redis),
    ]
    found = []
    for name, needed, look in looks:
        try:
            fine, said = look()
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is "not ready", with its type
            db.session.rollback()
            fine, said = False, type(error).__name__
        found.append(Finding(name, fine, said, needed))
    return found


def _durability() -> tuple[bool, str]:
    """An acknowledged write survives a crash only with these settings (invariant DUR-1)."""
    names = ("fsync", "full_page_writes", "synchronous_commit")
    query = ", ".join(f"current_setting('{name}')" for name in names)
    values = connection().execute(text(f"select {query}")).one()
    off = [name for name, value in zip(names, values, strict=True) if value == "off"]
    return not off, "durable" if not off else f"off: {', '.join(off)}"


def _migrations() -> tuple[bool, str]:
    there = connection().execute(text("select version_num from alembic_version")).scalars().all()
    return list(there) == [head()], f"at {', '.join(there) or 'nothing'}, code wants {head()}"


def _queue() -> tuple[bool, str]:
    """How long the oldest due job and the oldest event have waited."""
    job = connection().execute(_OLDEST_JOB).scalar_one()
    event = connection().execute(_OLDEST_EVENT).scalar_one()
    waited = max(float(job or 0), float(event or 0))
    return (
        waited <= OLDEST_WAITING_SECONDS,
        f"oldest job {float(job or 0):.0f} s, oldest event {float(event or 0):.0f} s",
    )


def _worker() -> tuple[bool, str]:
    beat = connection().execute(_LAST_BEAT).scalar_one()
    if beat is None:
        return False, "no worker"
    return float(beat) <= 60, f"last beat {float(beat):.0f} s ago"


def _clock() -> tuple[bool, str]:
    skew = (now() - database_now()).total_seconds()
    return abs(skew) <= MOST_SKEW_SECONDS, f"{skew:+.1f} s from the database's"


def _redis() -> tuple[bool, str]:
    redis_cache.client().ping()
    return True, "answers"


_OLDEST_JOB = text(
    """
    select extract(epoch from clock_timestamp() - min(coalesce(job.scheduled_at, event.at)))
    from procrastinate_jobs job
    join procrastinate_events event on event.job_id = job.id and event.type in ('deferred', 'deferred_for_retry')
    where job.status = 'todo' and coalesce(job.scheduled_at, clock_timestamp()) <= clock_timestamp()
    """
)
_OLDEST_EVENT = text(
    "select extract(epoch from clock_timestamp() - min(created_at)) from outbox"
    " where published_at is null and attempts < 12"
)
_LAST_BEAT = text("select extract(epoch from clock_timestamp() - max(last_heartbeat)) from procrastinate_workers")


@cache
def head() -> str:
    """The newest migration that this code has."""
    return ScriptDirectory(str(ROOT / "migrations")).get_current_head() or ""


@cache
def revision() -> str:
    """The commit that runs: DIANDI_REVISION, as a build sets it, else what git says."""
    given = os.environ.get("DIANDI_REVISION")
    if given:
        return given
    try:
        asked = ["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"


def _version() -> Any:
    return current_app.config.get("DIANDI_VERSION", getattr(current_app, "version", "unknown"))
