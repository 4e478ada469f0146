"""Answers to what people wrote to customer service: in WeChat while it takes them, else in the applet's inbox."""

from __future__ import annotations

import structlog

from app import tickets
from app.clock import now
from app.db import forbid_in_transaction, transaction
from courier.clients import find
from wechat import errors
from wechat import messages as wechat

log = structlog.get_logger("courier")


def answer(ticket_id: int, body: str, *, by: str) -> str:
    """Answer a ticket; ``sent``, ``inbox`` or ``failed`` (nobody to reach). Raises NOT_FOUND, STATE_CONFLICT."""
    forbid_in_transaction("an answer")
    with transaction():
        ticket, line, may_send = tickets.begin_answer(ticket_id=ticket_id, body=body, by=by, at=now())
        appid, openid, line_id, delivery = ticket.appid, ticket.openid or "", line.id, line.delivery or "failed"
    app = find(appid)
    if not may_send:
        return delivery
    sent = False
    if app is not None:
        try:
            wechat.answer_customer(app.api, openid=openid, text=body)
            sent = True
        except errors.WeChatError as error:
            # Whatever it is (the window closed, WeChat away): the person finds the answer in the applet.
            level = log.error if error.alarm else log.warning
            level("answer_not_sent", code=error.errcode, kind=type(error).__name__)
    with transaction():
        tickets.end_answer(line_id=line_id, sent=sent, at=now())
    return "sent" if sent else "inbox"
