"""Answers: plain JSON for what went well, one envelope for what did not, never internals, never a 500 for bad input."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from flask import Flask, Response, g, request
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from app import memo
from app.cache import REDIS_DOWN
from app.db import connection_lost, forget_connections, is_outage, session
from app.errors import BUSY, NOT_FOUND, Kind, Refusal, declare
from edge.language import language, pick

log = structlog.get_logger("edge")
RETRY_AFTER_SECONDS = 2

INTERNAL = declare(
    "internal",
    Kind.INTERNAL,
    zh="系统出现故障，我们已收到记录。请稍后重试；如需帮助，请提供 request_id。",
    en="Something broke on our side, and we have a record of it. Try again later; for help, quote the request_id.",
)
METHOD_NOT_ALLOWED = declare(
    "method_not_allowed",
    Kind.WRONG_METHOD,
    zh="该地址不支持此请求方法，请查看接口文档。",
    en="This address doesn't take that method. See the API's documentation.",
)
BODY_TOO_LARGE = declare(
    "body_too_large",
    Kind.TOO_LARGE,
    zh="提交的内容过大，请缩小或分批提交。",
    en="The request is too large. Send less, or send it in parts.",
)
BAD_REQUEST = declare(
    "bad_request",
    Kind.MALFORMED,
    zh="请求格式有误，请检查请求地址与请求头。",
    en="The request itself is malformed. Check its address and headers.",
)
LOGIN_REQUIRED = declare(
    "login_required",
    Kind.UNAUTHENTICATED,
    zh="登录状态已失效，请重新登录。",
    en="You are not logged in, or no longer. Log in again.",
)


def answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer. Times must be ISO text and ids strings already."""
    return Response(_encode(content), status, headers, mimetype="application/json")


PUBLIC = {"Cache-Control": "public, max-age=5", "Vary": "Accept-Language"}


def public_answer(key: tuple[Hashable, ...], build: Callable[[], Any], headers: Mapping[str, str] = PUBLIC) -> Response:
    """An answer for many, kept as bytes for a moment (``app.memo``) and known by its ETag. ``key`` names it, with
    all that it depends on; ``headers`` say who else may keep it."""
    body, etag = memo.remember(("answer", *key, language()), lambda: _bytes(build()))
    headers = {**headers, "ETag": etag}
    if request.headers.get("If-None-Match") == etag:
        return Response(status=304, headers=headers)
    return Response(body, 200, headers, mimetype="application/json")


def _bytes(content: Any) -> tuple[bytes, str]:
    body = _encode(content)
    return body, f'"{hashlib.sha256(body).hexdigest()[:24]}"'


def nothing() -> Response:
    """Done, and there is nothing to say (204)."""
    return Response(status=204)


def refusal_answer(refusal: Refusal) -> Response:
    """The one envelope. 429 and 503 say when to come back."""
    details = _halved(refusal.details)
    g.refusal_code = refusal.code
    content = {
        "error": {
            "code": refusal.code,
            "message": refusal.message(language()),
            "details": details,
            "request_id": g.get("request_id", ""),
        }
    }
    headers = {}
    if refusal.kind in (Kind.TOO_MANY, Kind.UNAVAILABLE):
        headers["Retry-After"] = str(details.get("retry_after", RETRY_AFTER_SECONDS))
    if refusal.kind is Kind.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":"), default=str)
    return Response(body, refusal.kind.value, headers, mimetype="application/json")


def _halved(details: dict[str, Any]) -> dict[str, Any]:
    """Expectations that the domain wrote in both languages, in the reader's."""
    fields = details.get("fields")
    if not isinstance(fields, list):
        return dict(details)
    return {**details, "fields": [{**one, "expected": pick(str(one.get("expected", "")))} for one in fields]}


def register(app: Flask) -> None:
    """Turn every exception of this application into the envelope."""
    app.register_error_handler(Refusal, refusal_answer)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _any_error)


def _http_error(error: HTTPException) -> Response:
    """What Flask itself refuses: unknown address, wrong method, too large, malformed."""
    status = error.code or 500
    if status == HTTPStatus.NOT_FOUND:
        return refusal_answer(NOT_FOUND())
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = sorted(getattr(error, "valid_methods", None) or [])
        response = refusal_answer(METHOD_NOT_ALLOWED(allowed=allowed))
        response.headers["Allow"] = ", ".join(allowed)
        return response
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return refusal_answer(BODY_TOO_LARGE())
    if status < HTTPStatus.BAD_REQUEST:
        return Response(status=status, headers=dict(error.get_headers()))
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return refusal_answer(BAD_REQUEST())
    return refusal_answer(INTERNAL())


def _any_error(error: Exception) -> Response:
    """An outage of PostgreSQL or Redis is "busy"; everything else is our defect, logged in full and told in brief."""
    with suppress(SQLAlchemyError):  # a dead connection can't roll back either
        session().rollback()
    if is_outage(error) or isinstance(error, PoolTimeout):
        log.warning("database outage", kind=type(error).__name__)
        if connection_lost(error):
            forget_connections()
        return refusal_answer(BUSY(retry_after=RETRY_AFTER_SECONDS))
    if isinstance(error, REDIS_DOWN):
        log.warning("redis outage", kind=type(error).__name__)
        return refusal_answer(BUSY(retry_after=RETRY_AFTER_SECONDS))
    log.error("unhandled", exc_info=error)
    return refusal_answer(INTERNAL())


def _refuse_type(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} in an answer: say how it reads in JSON")


_PLAIN = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_NON_STR_KEYS


def _encode(content: Any) -> bytes:
    return orjson.dumps(content, default=_refuse_type, option=_PLAIN)
