"""Rebuild: scores from records, ranks from scores; and the check that Redis is only a copy (BRD-1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import text

from app import cache, events
from app.db import connection
from app.leaderboards.boards import METRICS, redis_key
from app.leaderboards.ranks import KEPT_SECONDS
from app.leaderboards.scoring import COUNTING, PERIODS_OF, SUBJECTS_OF, statement

CHUNK = 10_000
CONSUMER = "boards"
BUILT = "boards:built"
HEARD = (events.RECORD_COUNTED, events.RECORD_REVERSED, events.AWARD_PAID)

_BOARDS = text(
    """
    select distinct program_id, subject_kind, period_kind, period_key from scores
    where cast(:program as bigint) is null or program_id = :program order by 1, 2, 3, 4
    """
)
_ROWS = {
    metric: text(
        f"""
        select s.subject_id, s.{metric}_rank as rank from scores s
        left join persons p on s.subject_kind = 'person' and p.id = s.subject_id
        where s.program_id = :program and s.subject_kind = :subjects and s.period_kind = :kind and s.period_key = :key
          and s.{metric} > 0 and (s.subject_kind <> 'person' or (p.on_boards and p.state = 'active'))
        """
    )
    for metric in METRICS
}


def rebuild(program_id: int | None = None) -> Iterator[tuple[str, int]]:
    """Fill every sorted set from the scores; yields each board's key and members. Runs while the product serves: a new
    set is built beside the old one and takes its place in one step."""
    for row in connection().execute(_BOARDS, {"program": program_id}).all():
        for metric in METRICS:
            key = redis_key(row.program_id, row.subject_kind, metric, row.period_kind, row.period_key)
            yield key, _fill(key, row, metric)
    if program_id is None:
        cache.client().set(BUILT, "1")


def heal() -> int:
    """Rebuild everything when Redis has lost what it had; answers how many boards, 0 when all is well."""
    if cache.client().exists(BUILT):
        return 0
    return sum(1 for _ in rebuild())


def _fill(key: str, row: Any, metric: str) -> int:
    draft = f"{key}:draft"
    client = cache.client()
    client.delete(draft)
    values = {
        "program": row.program_id,
        "subjects": row.subject_kind,
        "kind": row.period_kind,
        "key": row.period_key,
    }
    members = 0
    streamed = _ROWS[metric].execution_options(stream_results=True, max_row_buffer=CHUNK)
    found = connection().execute(streamed, values)
    for chunk in found.partitions(CHUNK):
        client.zadd(draft, {str(subject): rank for subject, rank in chunk})
        members += len(chunk)
    if members:
        client.rename(draft, key)
        if row.period_kind in KEPT_SECONDS:
            client.expire(key, KEPT_SECONDS[row.period_kind])
    else:
        client.delete(key)
    return members


_RECOMPUTE = statement(
    f"""
    with heard as (
      insert into inbox_deliveries (consumer, event_id)
      select :consumer, o.id from outbox o where o.published_at is null and o.event = any (cast(:events as text[]))
        and (cast(:program as bigint) is null or o.program_id = :program)
      on conflict do nothing
    ), acts as ({COUNTING} and (cast(:program as bigint) is null or r.program_id = :program)),
    subjects as ({SUBJECTS_OF}), sums as (
      select x.program_id, x.subject_kind, p.kind, p.key, x.subject_id, min(p.starts) as starts,
             sum(x.mg) as mg, max(x.ended_at) filter (where x.mg > 0) as mg_at,
             sum(x.credits) as credits, max(x.ended_at) filter (where x.credits > 0) as credits_at
      from subjects x cross join lateral {PERIODS_OF}
      group by x.program_id, x.subject_kind, p.kind, p.key, x.subject_id
    )
    insert into scores (program_id, subject_kind, period_kind, period_key, subject_id, mg, mg_reached_at, mg_rank,
                        credits, credits_reached_at, credits_rank)
    select program_id, subject_kind, kind, key, subject_id,
           mg, coalesce(mg_at, starts), board_rank(mg, coalesce(mg_at, starts), kind, starts),
           credits, coalesce(credits_at, starts), board_rank(credits, coalesce(credits_at, starts), kind, starts)
    from sums
    """
)


def recompute_scores(program_id: int | None = None) -> int:
    """Throw the scores away and compute them from the records; answers how many rows. Inside a transaction.

    Events that wait in the outbox are marked as heard in the same statement, and so at the same snapshot: what they
    tell is in the records already.
    """
    link = connection()
    link.execute(text("lock table scores in exclusive mode"))
    link.execute(
        text("delete from scores where cast(:program as bigint) is null or program_id = :program"),
        {"program": program_id},
    )
    values = {"program": program_id, "consumer": CONSUMER, "events": list(HEARD)}
    return int(link.execute(_RECOMPUTE, values).rowcount)


def check(program_id: int | None = None, *, sample: int = 200) -> list[str]:
    """Compare Redis with PostgreSQL: every board's size and top 100, and random members. Answers the differences."""
    found = []
    for row in connection().execute(_BOARDS, {"program": program_id}).all():
        for metric in METRICS:
            key = redis_key(row.program_id, row.subject_kind, metric, row.period_kind, row.period_key)
            found += _differences(key, row, metric, sample)
    return found


def _differences(key: str, row: Any, metric: str, sample: int) -> list[str]:
    client = cache.client()
    values = {"program": row.program_id, "subjects": row.subject_kind, "kind": row.period_kind, "key": row.period_key}
    truth = {str(subject): rank for subject, rank in connection().execute(_ROWS[metric], values)}
    ordered = sorted(truth, key=lambda member: (truth[member], member), reverse=True)
    problems = []
    if client.zcard(key) != len(truth):
        problems.append(f"{key}: {client.zcard(key)} members, {len(truth)} scores")
    top = [bytes(member).decode() for member in client.zrevrange(key, 0, 99)]  # type: ignore[arg-type]
    if top != ordered[:100]:
        problems.append(f"{key}: the top 100 differ")
    picked = ordered[:: max(1, len(ordered) // sample)]
    return problems + [f"{key}: member {one} differs" for one in picked if client.zscore(key, one) != truth[one]]
