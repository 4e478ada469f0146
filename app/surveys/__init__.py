"""Surveys: anonymous satisfaction surveys of org-units. Nobody can tell who answered what, also not by subtracting.

No credits for answering: an award has a time and a name.
"""

from app.surveys.actions import SURVEY_ANSWERED, SURVEY_CLOSED, SURVEY_INVALID, answer, make, shuffle
from app.surveys.models import Survey
from app.surveys.queries import FEWEST, SURVEY_RUNNING, Result, by_code, for_person, listed, one, results

__all__ = [
    "FEWEST", "SURVEY_ANSWERED", "SURVEY_CLOSED", "SURVEY_INVALID", "SURVEY_RUNNING", "Result", "Survey", "answer",
    "by_code", "for_person", "listed", "make", "one", "results", "shuffle",
]  # fmt: skip
