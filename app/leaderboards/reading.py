"""Reads: a page of a board, one's own line with neighbours and movement. Redis answers in one trip; without it,
PostgreSQL does. A frozen board answers from its rows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache as once
from typing import Any

from redis.exceptions import NoScriptError
from sqlalchemy import text

from app import cache
from app.db import connection, read
from app.errors import Kind, declare
from app.leaderboards.boards import METRICS, Board
from app.memo import remember

GROUP_MINIMUM = 5
NEIGHBOURS = 2
KEPT_MS = 2_000

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


@dataclass(frozen=True, slots=True)
class Mine:
    """One's own place: the line (None off the board), the lines around it, and how many are on the board.

    ``names`` are the copies of names that came along; see ``names.beside``.
    """

    line: Line | None
    around: list[Line]
    total: int
    names: Mapping[int, bytes] = field(default_factory=dict)


_PAGE = """
local rows = redis.call('ZREVRANGE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES')
return {redis.call('ZCARD', KEYS[1]), rows}
"""
_MINE = """
local rank = redis.call('ZREVRANK', KEYS[1], ARGV[1])
local total = redis.call('ZCARD', KEYS[1])
if not rank then return {-1, total, {}, -1, {}} end
local from = math.max(rank - tonumber(ARGV[2]), 0)
local rows = redis.call('ZREVRANGE', KEYS[1], from, rank + tonumber(ARGV[2]), 'WITHSCORES')
local before = redis.call('ZREVRANK', KEYS[2], ARGV[1])
local ids = {}
for i = 1, #rows, 2 do ids[#ids + 1] = rows[i] end
return {rank, total, rows, before or -1, redis.call('HMGET', KEYS[3], unpack(ids))}
"""
_RANK = """
local rank = redis.call('ZREVRANK', KEYS[1], ARGV[1])
if not rank then return {-1, redis.call('ZCARD', KEYS[1]), 0, -1} end
return {rank, redis.call('ZCARD', KEYS[1]), redis.call('ZSCORE', KEYS[1], ARGV[1]),
        redis.call('ZREVRANK', KEYS[2], ARGV[1]) or -1}
"""


def page(board: Board, *, offset: int, limit: int, at: datetime) -> Page:
    """Lines ``offset + 1`` to ``offset + limit`` of a board."""
    if is_frozen(board, at):
        return _final_page(board, offset, limit)
    try:
        total, rows = _run(_PAGE, (board.key,), offset, offset + limit - 1)
    except cache.REDIS_DOWN:
        return _score_page(board, offset, limit)
    if total == 0:
        return _score_page(board, offset, limit)
    return Page(lines_of(rows, offset), int(total), False, "ranks")


def my_rank(board: Board, subject_id: int, *, at: datetime) -> Mine:
    """One's own line alone, in one trip and without a statement while the period is open."""
    if is_frozen(board, at):
        return _final_mine(board, subject_id)
    try:
        rank, total, score, previous = _run(_RANK, (board.key, _before(board)), subject_id)
    except cache.REDIS_DOWN:
        return _score_mine(board, subject_id)
    if rank < 0:
        return Mine(None, [], int(total)) if total else _score_mine(board, subject_id)
    return Mine(Line(rank + 1, subject_id, int(float(score)), _movement(rank, previous)), [], int(total))


def my_line(board: Board, subject_id: int, *, at: datetime) -> Mine:
    """One's own line with movement, the lines around it, how many are on the board: one trip while it is open."""
    if is_frozen(board, at):
        return _final_mine(board, subject_id)
    try:
        rank, total, rows, previous, copies = run_around(board.key, _before(board), board.names_key, subject_id)
    except cache.REDIS_DOWN:
        return _score_mine(board, subject_id)
    if rank < 0:
        return Mine(None, [], int(total)) if total else _score_mine(board, subject_id)
    around = lines_of(rows, max(rank - NEIGHBOURS, 0))
    own = next(line for line in around if line.subject_id == subject_id)
    names = {line.subject_id: copy for line, copy in zip(around, copies, strict=True) if copy is not None}
    return Mine(Line(own.rank, own.subject_id, own.score, _movement(rank, previous)), around, int(total), names)


def kept(board: Board, under: str) -> bytes | None:
    """The bytes that somebody kept a moment ago."""
    try:
        found: bytes | None = cache.call("GET", f"{board.key}:{under}")
    except cache.REDIS_DOWN:
        return None
    return found


def keep(board: Board, under: str, content: bytes) -> None:
    """Keep the bytes of a page for whoever looks in the next moment. Without Redis there is nothing to keep."""
    with suppress(*cache.REDIS_DOWN):
        cache.call("SET", f"{board.key}:{under}", content, "PX", KEPT_MS)


def _run(script: str, keys: tuple[str, ...], *arguments: int | str) -> Any:
    try:
        return cache.call("EVALSHA", _sha(script), len(keys), *keys, *arguments)
    except NoScriptError:
        return cache.call("EVAL", script, len(keys), *keys, *arguments)


def run_page(key: str, first: int, last: int) -> Any:
    """Members from one place to another with their scores, and how many there are: [total, rows]."""
    return _run(_PAGE, (key,), first, last)


def run_around(key: str, before: str, names_key: str, subject_id: int) -> Any:
    """A member with its neighbours: [rank from 0 or -1, total, rows, rank before, copies of names]."""
    return _run(_MINE, (key, before, names_key), subject_id, NEIGHBOURS)


@once
def _sha(script: str) -> str:
    return hashlib.sha1(script.encode()).hexdigest()  # noqa: S324 - Redis names scripts by SHA-1


def _before(board: Board) -> str:
    """The key of the period before; of the all-time board one that nobody writes."""
    return board.previous.key if board.previous else f"{board.key}:none"


def _movement(rank: int, previous: int) -> int | None:
    return None if previous < 0 else previous - rank


_FROZEN = (
    "select subjects from closed_boards where program_id = %(program)s and subject_kind = %(subjects)s"
    " and metric = %(metric)s and period_kind = %(kind)s and period_key = %(key)s"
)


def is_frozen(board: Board, at: datetime) -> bool:
    """Whether a board's result is final. Only a period that is over can be, so open ones cost nothing."""
    if board.period.ends is None or board.period.ends > at:
        return False
    return remember(("frozen", board.key), lambda: bool(read(_FROZEN, board.where())))


def lines_of(rows: list[Any], offset: int) -> list[Line]:
    """Members and scores in turn, as lines from ``offset + 1``."""
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    return [
        Line(offset + number, int(member), int(float(score))) for number, (member, score) in enumerate(pairs, start=1)
    ]


# A frozen board never changes; who has opted out or left since is not shown on it any more (invariants.md, BRD-3).
_STILL_SHOWN = """
    left join persons p on f.subject_kind = 'person' and p.id = f.subject_id
    where (f.subject_kind <> 'person' or (p.on_boards and p.state = 'active')) and
"""
_FINAL = text(
    f"""
    select f.rank, f.subject_id, f.score from final_ranks f {_STILL_SHOWN}
      f.program_id = :program and f.subject_kind = :subjects and f.metric = :metric and f.period_kind = :kind
      and f.period_key = :key and f.rank > :offset and f.rank <= :offset + :limit order by f.rank
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


_FINAL_MINE = text(
    f"""
    with me as (
      select rank from final_ranks where program_id = :program and subject_kind = :subjects and metric = :metric
        and period_kind = :kind and period_key = :key and subject_id = :me
    )
    select f.rank, f.subject_id, f.score from me join final_ranks f on true {_STILL_SHOWN}
      f.program_id = :program and f.subject_kind = :subjects and f.metric = :metric and f.period_kind = :kind
      and f.period_key = :key and f.rank between me.rank - :around and me.rank + :around order by f.rank
    """
)
_FINAL_BEFORE = text(
    "select rank from final_ranks where program_id = :program and subject_kind = :subjects and metric = :metric"
    " and period_kind = :kind and period_key = :key and subject_id = :me"
)


def _final_mine(board: Board, subject_id: int) -> Mine:
    rows = connection().execute(_FINAL_MINE, {**board.where(), "me": subject_id, "around": NEIGHBOURS}).all()
    around = [Line(row.rank, row.subject_id, row.score) for row in rows]
    total = int(connection().execute(_FINAL_COUNT, board.where()).scalar_one())
    own = next((line for line in around if line.subject_id == subject_id), None)
    if own is None or board.previous is None:
        return Mine(own, around, total)
    before = connection().execute(_FINAL_BEFORE, {**board.previous.where(), "me": subject_id}).scalar_one_or_none()
    movement = None if before is None else int(before) - own.rank
    return Mine(Line(own.rank, own.subject_id, own.score, movement), around, total)


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


def _score_mine(board: Board, subject_id: int) -> Mine:
    values = {**board.where(), "me": subject_id, "around": NEIGHBOURS}
    rows = connection().execute(_SCORE_AROUND[board.metric], values).all()
    around = [Line(row.rank, row.subject_id, row.score) for row in rows]
    own = next((line for line in around if line.subject_id == subject_id), None)
    return Mine(own, around, int(rows[0].total) if rows else 0)
