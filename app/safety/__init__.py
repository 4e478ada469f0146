"""Safety of texts: what a person writes for others to see is shown when WeChat has passed it, never before.

A feature asks with :func:`ask` and keeps showing what it showed; ``courier/safety.py`` has the text checked and tells
the feature. When WeChat can't be asked, the text waits. ``review`` waits for a person of ours.
"""

from app.safety.actions import CHECKED_TWICE, ask, author_is_back, decide, put_off, withdraw
from app.safety.models import TextCheck
from app.safety.queries import due, open_of, pending, waiting

__all__ = [
    "CHECKED_TWICE",
    "TextCheck",
    "ask",
    "author_is_back",
    "decide",
    "due",
    "open_of",
    "pending",
    "put_off",
    "waiting",
    "withdraw",
]
