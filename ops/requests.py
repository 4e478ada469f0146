"""Around every request: an id that follows it through the logs, one line at its end, and its measures.

The line says which route, never which address: paths and queries hold codes and names.
"""

from __future__ import annotations

import re
import time
import uuid
from typing import Any

import structlog
from flask import Flask, Response, g, request
from prometheus_client import Counter, Histogram

from ops import logs

_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
QUIET_ROUTES = frozenset({"/healthz", "/readyz", "/metrics"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})

REQUESTS = Counter("diandi_http_requests_total", "Requests by route pattern", ["method", "route", "status"])
SECONDS = Histogram(
    "diandi_http_request_seconds",
    "Time to answer by route pattern",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
_counters: dict[tuple[str, str, int], Any] = {}
_timers: dict[str, Any] = {}


def register(app: Flask) -> None:
    """Hook into the application: before everything else, and after everything else."""
    app.before_request_funcs.setdefault(None, []).insert(0, begin)
    app.after_request_funcs.setdefault(None, []).insert(0, finish)


def begin() -> None:
    """Take the caller's request id if it looks like one, else make one; `g.request_id` for everybody."""
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _GIVEN_ID.fullmatch(given) else uuid.uuid4().hex
    g.started = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def finish(response: Response) -> Response:
    """Measure, log, and tell the caller the id."""
    rule = request.url_rule
    route = rule.rule if rule is not None else "unmatched"
    seconds = time.perf_counter() - g.get("started", time.perf_counter())
    # Anybody can invent a method; the counters must not grow with their fantasy.
    method = request.method if request.method in METHODS else "OTHER"
    _count(method, route, response.status_code, seconds)
    response.headers["X-Request-ID"] = g.get("request_id", "")
    if route not in QUIET_ROUTES or response.status_code >= 500:
        logs.request_line(
            request_id=g.get("request_id", ""),
            method=method,
            route=route,
            status=response.status_code,
            ms=round(seconds * 1000, 1),
        )
    return response


def _count(method: str, route: str, status: int, seconds: float) -> None:
    """Labelled children are looked up once: finding them costs more than counting."""
    key = (method, route, status)
    counter = _counters.get(key)
    if counter is None:
        counter = _counters[key] = REQUESTS.labels(method, route, str(status))
    timer = _timers.get(route)
    if timer is None:
        timer = _timers[route] = SECONDS.labels(route)
    counter.inc()
    timer.observe(seconds)
