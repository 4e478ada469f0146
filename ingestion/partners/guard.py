"""Who may push: a partner whose signature over the raw body holds (data-sources.md 6)."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import request

from app import limits, sources
from app.clock import now
from app.db import transaction
from app.errors import Kind, declare
from edge.guards import Guard, View, mark
from edge.reading import LARGEST_BODY, raw_body

LARGEST_BATCH = 2 * 1024 * 1024

QUERY_NOT_ALLOWED = declare(
    "query_not_allowed",
    Kind.MALFORMED,
    zh="签名请求不能带查询参数，请把参数放入请求体。",
    en="A signed call carries no query string. Put its parameters into the body.",
)


def partner(*, largest: int = LARGEST_BODY) -> Callable[[View], View]:
    """For a partner's signed call; the view gets the source's row first.

    The signature is checked over the bytes as received, before anything is parsed; the nonce is spent in a transaction
    of its own, so a refused record does not give it back.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return view(_verified(largest), *args, **kwargs)

        return mark(wrapper, Guard("partner"))

    return decorate


def _verified(largest: int) -> Any:
    body = raw_body(largest)
    if request.query_string:
        raise QUERY_NOT_ALLOWED()
    app_id = request.headers.get("X-App-Id", "")[:64]
    limits.take(limits.PARTNER, app_id or "none")
    with transaction():
        return sources.verify(
            app_id=app_id,
            key_id=request.headers.get("X-Key-Id", "")[:64],
            timestamp=request.headers.get("X-Timestamp", ""),
            nonce=request.headers.get("X-Nonce", ""),
            signature=request.headers.get("X-Signature", ""),
            method=request.method,
            path=request.path,
            body=body,
            at=now(),
        )
