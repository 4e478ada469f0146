"""Ladders: ranks of something that is no board of a period, such as a challenge; the same scripts, any key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from app import cache
from app.leaderboards.reading import NEIGHBOURS, Line, Mine, lines_of, run_around, run_page

CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class Ladder:
    """Where ranks stand in Redis, and the copies of names beside them, on one node."""

    key: str
    names_key: str


def place(ladder: Ladder, scores: Mapping[int, float | None], *, seconds: int) -> None:
    """Set absolute rank scores; None takes somebody away. Without Redis nothing is lost: whoever reads asks PostgreSQL,
    and the ranks are rebuilt."""
    gone = [str(subject) for subject, score in scores.items() if score is None]
    standing = iter([(str(subject), score) for subject, score in scores.items() if score is not None])
    with cache.client().pipeline(transaction=False) as pipe:
        for number in range(0, len(gone), CHUNK):
            pipe.zrem(ladder.key, *gone[number : number + CHUNK])
        while part := dict(islice(standing, CHUNK)):
            pipe.zadd(ladder.key, part)
        pipe.expire(ladder.key, seconds)
        pipe.execute()


def around(ladder: Ladder, subject_id: int) -> Mine | None:
    """One's own line with the lines around it and the copies of their names, in one trip; None when Redis can't say."""
    try:
        rank, total, rows, _, copies = run_around(ladder.key, f"{ladder.key}:none", ladder.names_key, subject_id)
    except cache.REDIS_DOWN:
        return None
    if rank < 0:
        return Mine(None, [], int(total)) if total else None
    found = lines_of(rows, max(rank - NEIGHBOURS, 0))
    own = next(line for line in found if line.subject_id == subject_id)
    names = {line.subject_id: copy for line, copy in zip(found, copies, strict=True) if copy is not None}
    return Mine(own, found, int(total), names)


def top(ladder: Ladder, *, offset: int, limit: int) -> tuple[int, list[Line]] | None:
    """How many are ranked and some of them; None when Redis can't say."""
    try:
        total, rows = run_page(ladder.key, offset, offset + limit - 1)
    except cache.REDIS_DOWN:
        return None
    return (int(total), lines_of(rows, offset)) if total else None


def forget_name(ladders: list[Ladder], person_id: int) -> None:
    """Drop the copies of a person's name: it reads otherwise now, or not at all."""
    with cache.client().pipeline(transaction=False) as pipe:
        for ladder in ladders:
            pipe.hdel(ladder.names_key, str(person_id))
        pipe.execute()
