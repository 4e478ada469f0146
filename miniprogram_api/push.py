"""The address that WeChat itself calls with events and messages: no login, the signature is the guard."""

from __future__ import annotations

import structlog
from apiflask import APIBlueprint
from flask import Response, request

import courier
from app.errors import Refusal
from courier import metrics
from courier import push as courier_push
from edge.guards import Guard, mark
from edge.reading import raw_body
from wechat import push as wechat

routes = APIBlueprint("wechat_push", __name__, enable_openapi=False)
log = structlog.get_logger("wechat_push")
PATH = "/wechat/push/<code:appid>"


@routes.get(PATH)
def echo(appid: str) -> Response:
    """The console's check of our address."""
    app = courier.find(appid)
    if app is None or app.push is None:
        return _refused("unknown_app")
    try:
        said = app.push.echo(request.args)
    except wechat.PushRefused as error:
        return _refused(error.reason)
    return Response(said, 200, mimetype="text/plain")


@routes.post(PATH)
def pushed(appid: str) -> Response:
    """One event or message: verified, kept once, answered at once."""
    app = courier.find(appid)
    if app is None:
        return _refused("unknown_app")
    try:
        said = courier_push.hear(app, request.args, raw_body(wechat.LARGEST_BYTES))
    except wechat.PushRefused as error:
        return _refused(error.reason)
    except Refusal:
        return _refused("too_large")
    return Response(said, 200, mimetype="text/plain")


mark(echo, Guard("partner", "wechat"))
mark(pushed, Guard("partner", "wechat"))


def _refused(reason: str) -> Response:
    """403 without a word; why stands in the log."""
    metrics.PUSHED.labels("unread", reason).inc()
    log.warning("push_refused", kind=reason)
    return Response(status=403)
