"""Leaderboards: PostgreSQL holds the scores, Redis the ranks; one command rebuilds; closed ones freeze."""

from app.leaderboards.among import Closed, history, members_lines
from app.leaderboards.boards import METRICS, SUBJECTS, Board, board_of
from app.leaderboards.closing import freeze, freeze_due
from app.leaderboards.ladders import Ladder, around, forget_name, place, top
from app.leaderboards.names import Seen, beside, filled, seen
from app.leaderboards.ranks import forget_person, push
from app.leaderboards.reading import (
    BOARD_UNKNOWN,
    NEIGHBOURS,
    Line,
    Mine,
    Page,
    is_frozen,
    keep,
    kept,
    my_line,
    my_rank,
    page,
)
from app.leaderboards.rebuilding import check, heal, rebuild, recompute_scores
from app.leaderboards.scoring import add_awards, add_records, subtract_records
from app.leaderboards.units import unit_lines, visible_units

__all__ = [
    "BOARD_UNKNOWN",
    "METRICS",
    "NEIGHBOURS",
    "SUBJECTS",
    "Board",
    "Closed",
    "Ladder",
    "Line",
    "Mine",
    "Page",
    "Seen",
    "add_awards",
    "add_records",
    "around",
    "beside",
    "board_of",
    "check",
    "filled",
    "forget_name",
    "forget_person",
    "freeze",
    "freeze_due",
    "heal",
    "history",
    "is_frozen",
    "keep",
    "kept",
    "members_lines",
    "my_line",
    "my_rank",
    "page",
    "place",
    "push",
    "rebuild",
    "recompute_scores",
    "seen",
    "subtract_records",
    "top",
    "unit_lines",
    "visible_units",
]
