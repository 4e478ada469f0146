"""Reads: a page of a board, one's own line with neighbours and movement. Redis answers in one trip; without it,
PostgreSQL does. A frozen board answers from its rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from app import cache
from app.db import connection
from app.errors import Kind, declare
from app.leaderboards.boards import METRICS, Board

GROUP_MINIMUM = 5
NEIGHBOURS = 2

BOARD_UNKNOWN = declare(
    "board_unknown",
    Kind.NOT_FOUND,
    zh="没有这个榜单。请检查榜单类型与周期。",
    en="There is no such board. Check its kind and period.",
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line: rank from 1, the score in mg or credits. ``movement`` is against the period before; None when new."""

    rank: int
    subject_id: int
    score: int
    movement: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a board. ``source`` says where it was read: ranks, scores or final."""

    lines: list[Line]
    total: int
    frozen: bool
    source: str


_PAGE = """
local rows = redis.call('ZREVRANGE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES')
return {redis.call('ZCARD', KEYS[1]), rows}
"""
_MINE = """
local rank = redis.call('ZREVRANK', KEYS[1], ARGV[1])
local total = redis.call('ZCARD', KEYS[1])
if not rank then return {-1, total, {}, -1} end
local from = math.max(rank - tonumber(ARGV[2]), 0)
local rows = redis.call('ZREVRANGE', KEYS[1], from, rank + tonumber(ARGV[2]), 'WITHSCORES')
local before = redis.call('ZREVRANK', KEYS[2], ARGV[1])
return {rank, total, rows, before or -1}
"""


def page(board: Board, *, offset: int, limit: int, at: datetime) -> Page:
    """Lines ``offset + 1`` to ``offset + limit`` of a board."""
    if is_frozen(board, at):
        return _final_page(board, offset, limit)
    try:
        client = cache.client()
        total, rows = client.eval(_PAGE, 1, board.key, offset, offset + limit - 1)
    except cache.REDIS_DOWN:
        return _score_page(board, offset, limit)
    if total == 0:
        return _score_page(board, offset, limit)
    return Page(_lines(rows, offset), int(total), False, "ranks")


def my_line(board: Board, subject_id: int) -> tuple[Line | None, list[Line], int]:
    """One's own line, the lines around it, and how many are on the board, in one trip."""
    before = board.previous
    try:
        client = cache.client()
        keys = (board.key, before.key if before else board.key + ":none")
        rank, total, rows, previous = client.eval(_MINE, 2, *keys, str(subject_id), NEIGHBOURS)
    except cache.REDIS_DOWN:
        return _my_score_line(board, subject_id)
    if rank < 0:
        return (None, [], int(total)) if total else _my_score_line(board, subject_id)
    around = _lines(rows, max(int(rank) - NEIGHBOURS, 0))
    mine = next(line for line in around if line.subject_id == subject_id)
    movement = None if previous < 0 else int(previous) - int(rank)
    return Line(mine.rank, mine.subject_id, mine.score, movement), around, int(total)


def is_frozen(board: Board, at: datetime) -> bool:
    """Whether a board's result is final. Only a period that is over can be, so open ones cost nothing."""
    if board.period.ends is None or board.period.ends > at:
        return False
    query = text(
        "select 1 from closed_boards where program_id = :program and subject_kind = :subjects and metric = :metric"
        " and period_kind = :kind and period_key = :key"
    )
    return connection().execute(query, board.where()).first() is not None


def _lines(rows: list[Any], offset: int) -> list[Line]:
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    return [
        Line(offset + number, int(member), int(float(score))) for number, (member, score) in enumerate(pairs, start=1)
    ]


_FINAL = text(
    """
    select f.rank, f.subject_id, f.score from final_ranks f
    where f.program_id = :program and f.subject_kind = :subjects and f.metric = :metric and f.period_kind = :kind
      and f.period_key = :key and f.rank > :offset order by f.rank limit :limit
    """
)
_FINAL_COUNT = text(
    "select subjects from closed_boards where program_id = :program and subject_kind = :subjects and metric = :metric"
    " and period_kind = :kind and period_key = :key"
)


def _final_page(board: Board, offset: int, limit: int) -> Page:
    values = {**board.where(), "offset": offset, "limit": limit}
    rows = connection().execute(_FINAL, values)
    lines = [Line(row.rank, row.subject_id, row.score) for row in rows]
    total = connection().execute(_FINAL_COUNT, board.where()).scalar_one()
    return Page(lines, int(total), True, "final")


_ORDERED = {
    metric: f"""
        select s.subject_id, s.{metric} as score,
               row_number() over (order by s.{metric}_rank desc, s.subject_id::text collate "C" desc) as rank,
               count(*) over () as total
        from scores s left join persons p on s.subject_kind = 'person' and p.id = s.subject_id
        where s.program_id = :program and s.subject_kind = :subjects and s.period_kind = :kind and s.period_key = :key
          and s.{metric} > 0 and (s.subject_kind <> 'person' or (p.on_boards and p.state = 'active'))
        """
    for metric in METRICS
}
_SCORE_PAGE = {
    metric: text(f"select * from ({query}) x where rank > :offset order by rank limit :limit")
    for metric, query in _ORDERED.items()
}
_SCORE_AROUND = {
    metric: text(
        f"with b as ({query}) select b.* from b, (select rank from b where subject_id = :me) m"
        " where b.rank between m.rank - :around and m.rank + :around order by b.rank"
    )
    for metric, query in _ORDERED.items()
}


def _score_page(board: Board, offset: int, limit: int) -> Page:
    values = {**board.where(), "offset": offset, "limit": limit}
    rows = connection().execute(_SCORE_PAGE[board.metric], values).all()
    lines = [Line(row.rank, row.subject_id, row.score) for row in rows]
    return Page(lines, int(rows[0].total) if rows else 0, False, "scores")


def _my_score_line(board: Board, subject_id: int) -> tuple[Line | None, list[Line], int]:
    values = {**board.where(), "me": subject_id, "around": NEIGHBOURS}
    rows = connection().execute(_SCORE_AROUND[board.metric], values).all()
    around = [Line(row.rank, row.subject_id, row.score) for row in rows]
    mine = next((line for line in around if line.subject_id == subject_id), None)
    return mine, around, int(rows[0].total) if rows else 0


_UNITS = text(
    """
    select u.id, u.parent_id, u.name, u.name_en, u.kind, u.code, (
      select count(*) from memberships m join org_units o on o.id = m.org_unit_id
      where m.program_id = u.program_id and m.state = 'active' and o.path like u.path || '%'
    ) as people
    from org_units u where u.program_id = :program order by u.id
    """
)


def visible_units(program_id: int) -> dict[int, Any]:
    """The org-units whose figures may be shown: at least five persons, and none that a subtraction would reveal.

    Where exactly one child of a shown parent is too small, its smallest sibling is left out too: otherwise the parent
    minus the others gives the small one's figure (invariants.md, BRD-3).
    """
    units = {row.id: row for row in connection().execute(_UNITS, {"program": program_id})}
    shown = {unit_id for unit_id, row in units.items() if row.people >= GROUP_MINIMUM}
    for parent in list(units):
        children = [row for row in units.values() if row.parent_id == parent]
        hidden = [row for row in children if row.id not in shown]
        if len(hidden) == 1 and hidden[0].people > 0 and len(children) > 1:
            smallest = min((row for row in children if row.id in shown), key=lambda row: row.people, default=None)
            if smallest is not None:
                shown.discard(smallest.id)
    return {unit_id: units[unit_id] for unit_id in shown}
