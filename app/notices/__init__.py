"""Notices: what a person is told, in the applet's inbox, and by message where agreed. One natural key each, so a crash
never tells twice.
"""

from app.notices.actions import choose, mark_read, tell
from app.notices.kinds import ALSO_BY_MESSAGE, ESSENTIAL, TOPICS, topic_of
from app.notices.models import QUIET_FROM, QUIET_UNTIL, Notice, NoticeSettings
from app.notices.queries import Choice, choice, of_person, unread

__all__ = [
    "ALSO_BY_MESSAGE", "ESSENTIAL", "QUIET_FROM", "QUIET_UNTIL", "TOPICS", "Choice", "Notice", "NoticeSettings",
    "choice", "choose", "mark_read", "of_person", "tell", "topic_of", "unread",
]  # fmt: skip
