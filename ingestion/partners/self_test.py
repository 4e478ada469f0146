"""The self-test: what we built from a partner's call, so that a wrong signature can be found without a phone call."""

from __future__ import annotations

import hashlib
from typing import Any

from apiflask import APIBlueprint
from flask import Response, render_template, request

from app import limits, sources
from app.clock import now
from app.db import transaction
from app.errors import Refusal
from app.sources.actions import string_to_sign
from edge.answers import answer
from edge.guards import public
from edge.language import language
from edge.reading import raw_body
from edge.routes import gives

routes = APIBlueprint("self_test", __name__, tag="Partners", template_folder="templates")
TRIES = limits.Limit("self-test", 60, 60)


class _TakeBack(Exception):
    """The self-test spends no nonce."""


@routes.get("/self-test")
@public(TRIES)
@gives({"type": "string"}, mimetype="text/html")
def get_self_test() -> Response:
    """The page that explains signing, step by step"""
    return Response(render_template("self_test.html"), mimetype="text/html")


@routes.post("/self-test")
@public(TRIES)
@gives({"type": "object", "properties": {"ok": {"type": "boolean"}, "string_to_sign": {"type": "string"}}})
def post_self_test() -> Response:
    """Check a signature without storing anything

    Answers what we built from the call (never the right signature), and which check it fails, if any. The nonce is not
    spent.
    """
    body = raw_body()
    timestamp, nonce = request.headers.get("X-Timestamp", ""), request.headers.get("X-Nonce", "")
    built = string_to_sign(method="POST", path=request.path, timestamp=timestamp, nonce=nonce, body=body)
    failed = _failure(body, timestamp, nonce)
    return answer(
        {
            "ok": failed is None,
            "failed": failed
            and {"code": failed.code, "message": failed.message(language()), "details": failed.details},
            "string_to_sign": built,
            "body_sha256": hashlib.sha256(body).hexdigest(),
            "body_bytes": len(body),
            "server_time": str(int(now().timestamp())),
        }
    )


def _failure(body: bytes, timestamp: str, nonce: str) -> Refusal | None:
    headers: dict[str, Any] = {
        "app_id": request.headers.get("X-App-Id", "")[:64],
        "key_id": request.headers.get("X-Key-Id", "")[:64],
        "signature": request.headers.get("X-Signature", ""),
    }
    try:
        with transaction():
            sources.verify(
                **headers, timestamp=timestamp, nonce=nonce, method="POST", path=request.path, body=body, at=now()
            )
            raise _TakeBack
    except Refusal as refusal:
        return refusal
    except _TakeBack:
        return None
