"""Levels over twelve months with privileges, boosts and bonuses; badges; the yearly personal carbon report."""

from app.levels.badges import refresh as refresh_badges
from app.levels.climbing import heard, programs_with_levels, refresh, review, reward
from app.levels.models import LevelSet
from app.levels.queries import standing, year_report
from app.levels.rules import BADGE_RULES, LEVELS_INVALID, Rules, in_force, parse, put

__all__ = [
    "BADGE_RULES",
    "LEVELS_INVALID",
    "LevelSet",
    "Rules",
    "heard",
    "in_force",
    "parse",
    "programs_with_levels",
    "put",
    "refresh",
    "refresh_badges",
    "review",
    "reward",
    "standing",
    "year_report",
]
