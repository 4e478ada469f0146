"""Logs: one JSON object a line, made of an allow list of fields, so that nothing personal gets in by accident.

What is not on the list is dropped and named by its key alone. Of an exception the log has type and places, never the
text: a database's message quotes the row, an HTTP client's the address with its secrets. Lines of other libraries lose
their text for the same reason (a queue logs its arguments), except those listed as harmless.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog

# A field here is a promise that it never holds a person's data or a secret: ids of ours, names of things, numbers.
ALLOWED = frozenset(
    {
        *("event", "level", "logger", "timestamp", "request_id", "error", "places", "dropped", "pid"),
        *("method", "route", "status", "ms", "bytes", "code", "kind", "limit", "closed", "who", "language"),
        *("task", "job_id", "attempts", "outcome", "event_id", "count", "seconds", "action", "listener"),
        *("program_id", "record_id", "order_id", "budget_id", "source_id", "import_id", "statement_id", "notice_id"),
        *("preset", "connector", "version", "environment", "port", "path", "file", "rows", "check", "rid", "template"),
    }
)
# The embassy writes name, status, code, Request-ID or rid, duration: what WeChat's support asks for, and no more.
HARMLESS_LOGGERS = ("gunicorn", "wechat.")
ROOT = Path(__file__).resolve().parent.parent
LONGEST_VALUE = 300
MOST_PLACES = 12
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

Line = MutableMapping[str, Any]


class OurHandler(logging.StreamHandler[Any]):
    """Known by its class, so that a second setup replaces it."""


def setup(level: str | None = None) -> None:
    """All logging of this process, ours and the libraries', as JSON lines on standard error. Safe to call twice."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        exception_places,
        allow_listed,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = OurHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[foreign, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler, *(other for other in root.handlers if not isinstance(other, OurHandler))]
    root.setLevel(level or os.environ.get("LOG_LEVEL", "INFO").upper())
    for name in ("werkzeug", "procrastinate", "alembic", "sqlalchemy", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("gunicorn.error", "gunicorn.access"):
        logging.getLogger(name).handlers[:] = []
        logging.getLogger(name).propagate = True


def request_line(**fields: Any) -> None:
    """The line at the end of every request, written past the processors, which would cost more than the request.

    The caller gives fields that are ours alone: names of routes, numbers, codes.
    """
    if not logging.getLogger().isEnabledFor(logging.INFO):
        return
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = {"event": "request", "level": "info", "logger": "web", "timestamp": stamp, **fields}
    for handler in logging.getLogger().handlers:
        if isinstance(handler, OurHandler):
            handler.stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            handler.stream.flush()


def foreign(logger: Any, method: str, line: Line) -> Line:
    """A library's line: its place and level stay, its text only when the library is known to be harmless."""
    record = line.get("_record")
    name = record.name if record is not None else ""
    if not name.startswith(HARMLESS_LOGGERS):
        action = getattr(record, "action", None)
        line["event"] = "library_log" if action is None else f"library_log:{action}"
    return line


def exception_places(logger: Any, method: str, line: Line) -> Line:
    """Turn an exception into its type and the places it passed, without its text and without values."""
    found = line.pop("exc_info", None)
    line.pop("exception", None)
    line.pop("stack", None)
    error = sys.exc_info()[1] if found is True else found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        line["error"] = type(error).__name__
        line["places"] = places(error.__traceback__)
    return line


def places(trace: TracebackType | None) -> list[str]:
    """`file:line function` of the innermost frames; paths inside the checkout are relative to it."""
    frames = traceback.extract_tb(trace)[-MOST_PLACES:]
    return [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]


def _short(path: str) -> str:
    for mark in (f"site-packages{os.sep}", f"{ROOT}{os.sep}"):
        if mark in path:
            return path.rpartition(mark)[2]
    return Path(path).name


def allow_listed(logger: Any, method: str, line: Line) -> Line:
    """Keep what is on the list, shortened and on one line; name the keys of what was dropped."""
    # Names with an underscore are structlog's own and never written.
    dropped = sorted(key for key in line if key not in ALLOWED and not key.startswith("_"))
    for key in dropped:
        del line[key]
    for key, value in line.items():
        if isinstance(value, str):
            line[key] = _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", value[:LONGEST_VALUE])
        elif not key.startswith("_") and key != "places" and not isinstance(value, (int, float, type(None))):
            line[key] = type(value).__name__
    if dropped:
        line["dropped"] = dropped
    return line
