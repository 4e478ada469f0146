"""Subscribe messages: a notice of the inbox, told in WeChat too where the person allows it.

``templates`` is the one table of what is told how; :func:`queue` makes a delivery of a notice, ``courier/messages.py``
sends it. One delivery per notice, and none is sent twice: who dies while sending leaves ``unknown``.
"""

from app.messages.actions import (
    allow,
    begin,
    delivered,
    end,
    give_up_on_lost,
    later_again,
    queue,
    queue_bulk,
    refuse,
    resend,
    stop,
)
from app.messages.queries import due, log, of_person, offered, stopped
from app.messages.templates import MOMENTS, TEMPLATES, Template, template_for

__all__ = [
    "MOMENTS",
    "TEMPLATES",
    "Template",
    "allow",
    "begin",
    "delivered",
    "due",
    "end",
    "give_up_on_lost",
    "later_again",
    "log",
    "of_person",
    "offered",
    "queue",
    "queue_bulk",
    "refuse",
    "resend",
    "stop",
    "stopped",
    "template_for",
]
