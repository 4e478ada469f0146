"""Boards of few: the members of a friends' group or team among themselves, and a subject's history of closed boards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.db import read
from app.leaderboards.boards import METRICS, Board
from app.leaderboards.reading import Line

_MEMBERS = {
    metric: f"""
        select s.subject_id, s.{metric} as score,
               row_number() over (order by s.{metric}_rank desc, s.subject_id::text collate "C" desc) as rank
        from scores s join persons p on p.id = s.subject_id and p.on_boards and p.state = 'active'
        where s.program_id = %(program)s and s.subject_kind = 'person' and s.period_kind = %(kind)s
          and s.period_key = %(key)s and s.subject_id = any (%(people)s::bigint[]) and s.{metric} > 0
        order by rank
    """
    for metric in METRICS
}


def members_lines(board: Board, people: Sequence[int]) -> list[Line]:
    """The lines of some persons among themselves, in the board's order; whoever has opted out is not there."""
    rows = read(_MEMBERS[board.metric], {**board.where(), "people": list(people)})
    return [Line(row.rank, row.subject_id, row.score) for row in rows]


@dataclass(frozen=True, slots=True)
class Closed:
    """A board whose result is frozen, with a subject's place on it (None off it)."""

    key: str
    total: int
    frozen_at: datetime
    rank: int | None
    score: int | None


_HISTORY = """
    select c.period_key, c.subjects, c.frozen_at, f.rank, f.score from closed_boards c
    left join final_ranks f on f.program_id = c.program_id and f.subject_kind = c.subject_kind and f.metric = c.metric
      and f.period_kind = c.period_kind and f.period_key = c.period_key and f.subject_id = %(subject)s
    where c.program_id = %(program)s and c.subject_kind = %(subjects)s and c.metric = %(metric)s
      and c.period_kind = %(kind)s and (%(before)s::text is null or c.period_key < %(before)s)
    order by c.period_key desc limit %(limit)s
"""


def history(board: Board, subject_id: int | None, *, before: str | None, limit: int) -> list[Closed]:
    """The closed boards of a kind, newest first, below the key ``before``, with a subject's place on each."""
    values = {**board.where(), "subject": subject_id, "before": before, "limit": limit}
    rows = read(_HISTORY, values)
    return [Closed(row.period_key, row.subjects, row.frozen_at, row.rank, row.score) for row in rows]
