"""Challenges: a goal with a prize, for persons, teams or org-units; prizes reserved at launch, settled once.

Who takes part is a row, what they have put in is computed anew from the records, ranks are a copy in Redis, and the
result is computed as of one instant, published with its hash, and can be computed again.
"""

from app.challenges.correcting import correct
from app.challenges.definition import CHALLENGE_INVALID, KINDS, MEASURES, Definition, from_json, parse
from app.challenges.enrolling import (
    BEGUN,
    CAPTAIN_ENROLS,
    CHALLENGE_FULL,
    CHALLENGE_NOT_FOR_YOU,
    ENROLMENT_CLOSED,
    NOT_ENROLLED,
    NOT_OPEN_YET,
    TEAM_NEEDED,
    TEAM_TOO_LARGE,
    enrol,
    withdraw,
)
from app.challenges.launching import (
    CHALLENGE_CHANGED,
    CHALLENGE_OVER,
    CHANGE_AGAINST_PROMISE,
    amend,
    by_code,
    cancel,
    definition_of,
    draft,
    launch,
    worse,
)
from app.challenges.models import Challenge
from app.challenges.queries import (
    Standing,
    around,
    corrections,
    forget_person,
    listed,
    of_person,
    one,
    persons,
    report,
    results,
    shown,
    standing,
    top,
    units,
)
from app.challenges.scoring import heard, ladder, rebuild, recount, refresh
from app.challenges.settling import Step, due, settle, verify

__all__ = [
    "BEGUN", "CAPTAIN_ENROLS", "CHALLENGE_CHANGED", "CHALLENGE_FULL", "CHALLENGE_INVALID", "CHALLENGE_NOT_FOR_YOU",
    "CHALLENGE_OVER", "CHANGE_AGAINST_PROMISE", "ENROLMENT_CLOSED", "KINDS", "MEASURES", "NOT_ENROLLED",
    "NOT_OPEN_YET", "TEAM_NEEDED", "TEAM_TOO_LARGE", "Challenge", "Definition", "Standing", "Step", "amend",
    "around", "by_code", "cancel", "correct", "corrections", "definition_of", "draft", "due", "enrol",
    "forget_person", "from_json", "heard", "ladder", "launch", "listed", "of_person", "one", "parse", "persons",
    "rebuild", "recount", "refresh", "report", "results", "settle", "shown", "standing", "top", "units", "verify",
    "withdraw", "worse",
]  # fmt: skip
