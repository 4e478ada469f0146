"""The daily check-in: once a Shanghai day and program; streaks, milestones, make-up cards, frozen days, reminders."""

from app.checkins.actions import SCENARIO, CheckedIn, Fare, check_in, check_in_many
from app.checkins.freezes import FREEZE_IMPOSSIBLE, affected, beat, freeze_day, freeze_outage
from app.checkins.making_up import (
    CARDS_OF_MONTH_USED,
    NO_CARD,
    NOT_MISSED,
    NOT_TO_MAKE_UP,
    MadeUp,
    make_up,
)
from app.checkins.milestones import Reached
from app.checkins.queries import Calendar, calendar, report
from app.checkins.recounting import heard, recount
from app.checkins.reminders import REMINDER_TIME, end_reminder, remind_due, reminder_of, set_reminder
from app.checkins.rules import RULES_INVALID, Rules, in_force, set_rules

__all__ = [
    "CARDS_OF_MONTH_USED", "FREEZE_IMPOSSIBLE", "NOT_MISSED", "NOT_TO_MAKE_UP", "NO_CARD", "REMINDER_TIME",
    "RULES_INVALID", "SCENARIO", "Calendar", "CheckedIn", "Fare", "MadeUp", "Reached", "Rules", "affected", "beat",
    "calendar", "check_in", "check_in_many", "end_reminder", "freeze_day", "freeze_outage", "heard", "in_force",
    "make_up", "recount", "remind_due", "reminder_of", "report", "set_reminder", "set_rules",
]  # fmt: skip
