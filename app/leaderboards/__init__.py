"""Leaderboards: PostgreSQL holds the scores, Redis the ranks; one command rebuilds; closed ones freeze."""

from app.leaderboards.boards import METRICS, SUBJECTS, Board, board_of
from app.leaderboards.closing import freeze, freeze_due
from app.leaderboards.ranks import forget_person, push
from app.leaderboards.reading import BOARD_UNKNOWN, Line, Page, my_line, page, visible_units
from app.leaderboards.rebuilding import check, rebuild, recompute_scores
from app.leaderboards.scoring import add_awards, add_records, subtract_records

__all__ = [
    "BOARD_UNKNOWN",
    "METRICS",
    "SUBJECTS",
    "Board",
    "Line",
    "Page",
    "add_awards",
    "add_records",
    "board_of",
    "check",
    "forget_person",
    "freeze",
    "freeze_due",
    "my_line",
    "page",
    "push",
    "rebuild",
    "recompute_scores",
    "subtract_records",
    "visible_units",
]
