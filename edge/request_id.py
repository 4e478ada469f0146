"""One id per request, from the caller's ``X-Request-Id`` when it is harmless, else our own; in every answer and log."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar

from flask import Flask, Response, request

HEADER = "X-Request-Id"
_HARMLESS = re.compile(r"[A-Za-z0-9._-]{8,64}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    """The id of the request that is being served, empty outside one."""
    return _current.get()


def register(app: Flask) -> None:
    """Give each request its id before anything else runs."""
    app.before_request(_begin)
    app.after_request(_finish)


def _begin() -> None:
    given = request.headers.get(HEADER, "")
    _current.set(given if _HARMLESS.fullmatch(given) else secrets.token_hex(12))


def _finish(response: Response) -> Response:
    response.headers[HEADER] = _current.get()
    return response
