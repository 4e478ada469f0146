"""Gatherings: events on site (a code that rotates), online events (sign-up, minutes), green meetings with a report."""

from app.gatherings.attending import (
    CODE_ELSEWHERE,
    CODE_STALE,
    CODE_UNKNOWN,
    NOT_BEGUN,
    SIGN_UP_NEEDED,
    Attended,
    beat,
    scan,
)
from app.gatherings.launching import (
    GATHERING_INVALID,
    Definition,
    Place,
    add_host,
    by_code,
    cancel,
    gathering,
    hosts,
    launch,
)
from app.gatherings.meetings import (
    MAX_SHEETS,
    MEETING_INVALID,
    MEETINGS_A_DAY,
    Report,
    Wish,
    heard,
    link,
    link_of,
    office_by_unit,
    register,
    report,
)
from app.gatherings.models import Gathering, SignUp
from app.gatherings.queries import Screen, listed, mine, screen, shown
from app.gatherings.settling import close, due, settle
from app.gatherings.signing import (
    GATHERING_NOT_FOR_YOU,
    GATHERING_OVER,
    NO_SHOW_PAUSE,
    SIGN_UP_CLOSED,
    cancel_sign_up,
    sign_up,
)

__all__ = [
    "CODE_ELSEWHERE", "CODE_STALE", "CODE_UNKNOWN", "GATHERING_INVALID", "GATHERING_NOT_FOR_YOU", "GATHERING_OVER",
    "MAX_SHEETS", "MEETINGS_A_DAY", "MEETING_INVALID", "NOT_BEGUN", "NO_SHOW_PAUSE", "SIGN_UP_CLOSED",
    "SIGN_UP_NEEDED", "Attended", "Definition", "Gathering", "Place", "Report", "Screen", "SignUp", "Wish", "add_host",
    "beat", "by_code", "cancel", "cancel_sign_up", "close", "due", "gathering", "heard", "hosts", "launch", "link",
    "link_of", "listed", "mine", "office_by_unit", "register", "report", "scan", "screen", "settle", "shown", "sign_up",
]  # fmt: skip
