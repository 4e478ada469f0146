"""Appeals: a person objects to what was decided; somebody else answers within ten days; a granted one restores it.

An act restored counts as of its own day: ``records`` says so by its usual events, and boards, streaks and challenges
compute anew from what stands.
"""

from app.appeals.actions import APPEAL_DECIDED, APPEAL_OWN_DECISION, APPEAL_TOO_LATE, answer, ask, tell_late
from app.appeals.models import Appeal
from app.appeals.queries import of_person, one, waiting
from app.appeals.subjects import APPEAL_CANNOT_COUNT, NOTHING_TO_APPEAL, Decision, Subject, register

__all__ = [
    "APPEAL_CANNOT_COUNT", "APPEAL_DECIDED", "APPEAL_OWN_DECISION", "APPEAL_TOO_LATE", "NOTHING_TO_APPEAL", "Appeal",
    "Decision", "Subject", "answer", "ask", "of_person", "one", "register", "tell_late", "waiting",
]  # fmt: skip
