"""Ranks in Redis: absolute scores, so that a repeat is harmless. Persons who opted out are not there at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from app import cache
from app.db import connection
from app.leaderboards.boards import METRICS, names_key, redis_key

# A closed day's board is read from its frozen result; its ranks stay a while for the movement shown beside the next.
KEPT_SECONDS = {"day": 40 * 86_400, "week": 120 * 86_400, "month": 400 * 86_400, "season": 800 * 86_400}

_HIDDEN = text(
    "select id from persons where id = any (cast(:ids as bigint[])) and (not on_boards or state <> 'active')"
)


def push(standing: Sequence[Any], gone: Sequence[Any] = ()) -> None:
    """Bring rows of scores to their sorted sets, and take away what is gone, at zero, or opted out."""
    hidden = _hidden([row.subject_id for row in standing if row.subject_kind == "person"])
    adds: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    drops: dict[str, list[str]] = defaultdict(list)
    for row in gone:
        for metric in METRICS:
            drops[_key(row, metric)].append(str(row.subject_id))
    for row in standing:
        unseen = row.subject_kind == "person" and row.subject_id in hidden
        for metric, value, rank in (("mg", row.mg, row.mg_rank), ("credits", row.credits, row.credits_rank)):
            if value > 0 and not unseen:
                adds[_key(row, metric), row.period_kind][str(row.subject_id)] = rank
            else:
                drops[_key(row, metric)].append(str(row.subject_id))
    with cache.client().pipeline(transaction=False) as pipe:
        for key, members in drops.items():
            pipe.zrem(key, *members)
        for (key, kind), scores in adds.items():
            pipe.zadd(key, scores)
            if kind in KEPT_SECONDS:
                pipe.expire(key, KEPT_SECONDS[kind])
        pipe.execute()


_OF_PERSON = text(
    """
    select program_id, subject_kind, period_kind, period_key, subject_id, mg, mg_rank, credits, credits_rank
    from scores where subject_kind = 'person' and subject_id = :person
    """
)


def forget_person(person_id: int) -> None:
    """Put a person's boards right after a change of mind or name: in or out, as the person's row says now."""
    standing = connection().execute(_OF_PERSON, {"person": person_id}).all()
    push(standing)
    kinds = {(row.program_id, row.period_kind) for row in standing}
    with cache.client().pipeline(transaction=False) as pipe:
        for program_id, period_kind in kinds:
            for metric in METRICS:
                pipe.hdel(names_key(program_id, "person", metric, period_kind), str(person_id))
        pipe.execute()


def _hidden(ids: Sequence[int]) -> set[int]:
    if not ids:
        return set()
    return {row[0] for row in connection().execute(_HIDDEN, {"ids": sorted(set(ids))})}


def _key(row: Any, metric: str) -> str:
    return redis_key(row.program_id, row.subject_kind, metric, row.period_kind, row.period_key)
