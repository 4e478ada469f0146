"""Closing: when a period is over and its late data had their time, its result is frozen into rows that never change."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import text

from app import clock
from app.db import connection
from app.leaderboards.boards import METRICS, Board

# How long late data may still count, in days after the period's end.
GRACE_DAYS = {"day": 1, "week": 2, "month": 3, "season": 5}
LOOK_BACK_DAYS = 120

_FREEZE = {
    metric: text(
        f"""
        with ranked as (
          select s.subject_id, s.{metric} as score, s.{metric}_reached_at as reached_at,
                 row_number() over (order by s.{metric}_rank desc, s.subject_id::text collate "C" desc) as rank
          from scores s left join persons p on s.subject_kind = 'person' and p.id = s.subject_id
          where s.program_id = :program and s.subject_kind = :subjects and s.period_kind = :kind
            and s.period_key = :key and s.{metric} > 0
            and (s.subject_kind <> 'person' or (p.on_boards and p.state = 'active'))
        )
        insert into final_ranks (program_id, subject_kind, metric, period_kind, period_key, subject_id, rank, score,
                                 reached_at)
        select :program, :subjects, :metric, :kind, :key, subject_id, rank, score, reached_at from ranked
        """
    )
    for metric in METRICS
}
_CLOSE = text(
    """
    insert into closed_boards (program_id, subject_kind, metric, period_kind, period_key, subjects, frozen_at)
    values (:program, :subjects, :metric, :kind, :key, 0, :at) on conflict do nothing returning period_key
    """
)
_COUNT = text(
    """
    update closed_boards set subjects = :count where program_id = :program and subject_kind = :subjects
      and metric = :metric and period_kind = :kind and period_key = :key
    """
)


def freeze(board: Board, *, at: datetime) -> int | None:
    """Freeze one board; answers its subjects, or None when it is frozen already (the second run changes nothing)."""
    values = board.where()
    if connection().execute(_CLOSE, {**values, "at": at}).first() is None:
        return None
    count = int(connection().execute(_FREEZE[board.metric], values).rowcount)
    connection().execute(_COUNT, {**values, "count": count})
    return count


_OPEN = text(
    """
    select distinct s.program_id, s.subject_kind, s.period_kind, s.period_key from scores s
    where s.period_kind <> 'all' and (cast(:program as bigint) is null or s.program_id = :program)
      and not exists (select from closed_boards c where c.program_id = s.program_id
        and c.subject_kind = s.subject_kind and c.period_kind = s.period_kind and c.period_key = s.period_key)
    """
)


def freeze_due(*, at: datetime, program_id: int | None = None, whole_past: bool = False) -> list[Board]:
    """Freeze every board whose period and grace are over; answers them. Older periods than four months (imported
    history) only with ``whole_past``."""
    today = clock.business_day(at)
    done = []
    for row in connection().execute(_OPEN, {"program": program_id}).all():
        period = clock.period_by_key(row.period_kind, row.period_key)
        if _due(period, today, whole_past):
            for metric in METRICS:
                board = Board(row.program_id, row.subject_kind, metric, period)
                if freeze(board, at=at) is not None:
                    done.append(board)
    return done


def _due(period: Any, today: date, whole_past: bool) -> bool:
    closes = period.end_day + timedelta(days=GRACE_DAYS[period.kind])
    return bool(closes <= today and (whole_past or today - closes <= timedelta(days=LOOK_BACK_DAYS)))
