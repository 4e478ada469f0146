"""Scores: what records and awards add to the subjects' periods. Called by listeners, each event exactly once.

Additions and reversals are sums on the rows; after a reversal the instant at which a score was reached is asked anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import TextClause, text

from app.db import connection


def statement(sql: str) -> TextClause:
    """A statement of ours that is put together from parts; its values are always bound."""
    return text(sql)


# Shanghai periods of a day, with the instant each begins; the all-time board begins with the product's epoch.
PERIODS_OF = """
    (values
      ('day', to_char(x.local_date, 'YYYY-MM-DD'), board_start('day', to_char(x.local_date, 'YYYY-MM-DD'))),
      ('week', to_char(x.local_date, 'IYYY"-W"IW'), board_start('week', to_char(x.local_date, 'IYYY"-W"IW'))),
      ('month', to_char(x.local_date, 'YYYY-MM'), board_start('month', to_char(x.local_date, 'YYYY-MM'))),
      ('season', to_char(x.local_date, 'YYYY"-Q"Q'), board_start('season', to_char(x.local_date, 'YYYY"-Q"Q'))),
      ('all', 'all', board_start('all', 'all'))
    ) as p (kind, key, starts)
"""

# One row per subject that an act counts for: the person, the org-unit with everything above it, and the team that the
# person was in when it happened.
SUBJECTS_OF = """
    select a.program_id, 'person' as subject_kind, a.person_id as subject_id, a.local_date, a.ended_at, a.mg, a.credits
    from acts a
    union all
    select a.program_id, 'unit', u.id::bigint, a.local_date, a.ended_at, a.mg, a.credits
    from acts a join org_units o on o.id = a.org_unit_id
    cross join lateral unnest(string_to_array(trim(both '/' from o.path), '/')) as u (id)
    union all
    select a.program_id, 'team', m.team_id, a.local_date, a.ended_at, a.mg, a.credits
    from acts a join team_members m on m.person_id = a.person_id and m.program_id = a.program_id and m.kind = 'team'
      and m.joined_at <= a.occurred_at and (m.left_at is null or m.left_at > a.occurred_at)
"""

_ADD = """
    with acts as ({acts}), subjects as ({subjects}), sums as (
      select x.program_id, x.subject_kind, p.kind, p.key, x.subject_id, min(p.starts) as starts,
             sum(x.mg) as mg, max(x.ended_at) filter (where x.mg > 0) as mg_at,
             sum(x.credits) as credits, max(x.ended_at) filter (where x.credits > 0) as credits_at
      from subjects x cross join lateral {periods}
      group by x.program_id, x.subject_kind, p.kind, p.key, x.subject_id
    )
    insert into scores as s (program_id, subject_kind, period_kind, period_key, subject_id, mg, mg_reached_at, mg_rank,
                             credits, credits_reached_at, credits_rank)
    select program_id, subject_kind, kind, key, subject_id,
           mg, coalesce(mg_at, starts), board_rank(mg, coalesce(mg_at, starts), kind, starts),
           credits, coalesce(credits_at, starts), board_rank(credits, coalesce(credits_at, starts), kind, starts)
    from sums order by program_id, subject_kind, kind, key, subject_id
    on conflict (program_id, subject_kind, period_kind, period_key, subject_id) do update set
      mg = s.mg + excluded.mg,
      mg_reached_at = greatest(s.mg_reached_at, excluded.mg_reached_at),
      mg_rank = board_rank(s.mg + excluded.mg, greatest(s.mg_reached_at, excluded.mg_reached_at), s.period_kind,
                           board_start(s.period_kind, s.period_key)),
      credits = s.credits + excluded.credits,
      credits_reached_at = greatest(s.credits_reached_at, excluded.credits_reached_at),
      credits_rank = board_rank(s.credits + excluded.credits,
                                greatest(s.credits_reached_at, excluded.credits_reached_at), s.period_kind,
                                board_start(s.period_kind, s.period_key))
    returning program_id, subject_kind, period_kind, period_key, subject_id, mg, mg_rank, credits, credits_rank
"""

_RECORDS = """
    select r.program_id, r.person_id, r.org_unit_id, r.local_date, r.occurred_at, r.ended_at,
           coalesce(d.counted_mg, 0) as mg,
           coalesce((select sum(w.credits) from awards w
                     where w.record_id = r.id and w.paid_at = w.created_at), 0) as credits
    from records r left join reductions d on d.record_id = coalesce(r.primary_id, r.id)
    where r.id = any (cast(:ids as bigint[]))
"""
_AWARDS = """
    select r.program_id, r.person_id, r.org_unit_id, r.local_date, r.occurred_at, r.ended_at, 0::bigint as mg, w.credits
    from awards w join records r on r.id = w.record_id where w.id = any (cast(:ids as bigint[]))
"""

_ADD_RECORDS = statement(_ADD.format(acts=_RECORDS, subjects=SUBJECTS_OF, periods=PERIODS_OF))
_ADD_AWARDS = statement(_ADD.format(acts=_AWARDS, subjects=SUBJECTS_OF, periods=PERIODS_OF))


def add_records(record_ids: Sequence[int]) -> list[Any]:
    """Add newly counted records; answers the scores as they stand now, for the ranks."""
    return _run(_ADD_RECORDS, record_ids)


def add_awards(award_ids: Sequence[int]) -> list[Any]:
    """Add awards that were paid later than their record was counted."""
    return _run(_ADD_AWARDS, award_ids)


def _run(query: TextClause, ids: Sequence[int]) -> list[Any]:
    if not ids:
        return []
    return list(connection().execute(query, {"ids": list(ids)}))


# All that counts of the subjects' acts, as it stands: what a rebuild and a reversal compute from.
COUNTING = """
    select r.program_id, r.person_id, r.org_unit_id, r.local_date, r.occurred_at, r.ended_at,
           coalesce(d.counted_mg, 0) as mg,
           coalesce((select sum(w.credits) from awards w where w.record_id = r.id and w.state = 'paid'), 0) as credits
    from records r left join reductions d on d.record_id = coalesce(r.primary_id, r.id)
    where r.state in ('counted', 'mirrored')
"""

_REVERSED = """
    select r.program_id, r.person_id, r.org_unit_id, r.local_date, r.occurred_at, r.ended_at,
           -coalesce(d.counted_mg, 0) as mg,
           -coalesce((select sum(w.credits) from awards w
                      where w.record_id = r.id and w.state = 'reversed'), 0) as credits
    from records r left join reductions d on d.record_id = coalesce(r.primary_id, r.id)
    where r.id = any (cast(:ids as bigint[]))
"""
_SUBTRACT = statement(_ADD.format(acts=_REVERSED, subjects=SUBJECTS_OF, periods=PERIODS_OF))

# When what still counts was reached: asked again for the subjects and periods that lost something.
_REACHED_AGAIN = statement(
    f"""
    with lost as (
      select * from unnest(cast(:programs as bigint[]), cast(:subjects as text[]), cast(:kinds as text[]),
                           cast(:keys as text[]), cast(:ids as bigint[]))
             as l (program_id, subject_kind, period_kind, period_key, subject_id)
    ), acts as (
      {COUNTING} and r.program_id = any (cast(:programs as bigint[]))
        and (r.person_id in (select subject_id from lost where subject_kind = 'person')
             or r.person_id in (select m.person_id from team_members m
                                where m.team_id in (select subject_id from lost where subject_kind = 'team'))
             or r.org_unit_id in (select o.id from org_units o where string_to_array(trim(both '/' from o.path), '/')
                                  && (select array_agg(subject_id::text) from lost where subject_kind = 'unit')))
    ), subjects as ({SUBJECTS_OF}), sums as (
      select l.program_id, l.subject_kind, l.period_kind, l.period_key, l.subject_id,
             max(x.ended_at) filter (where x.mg > 0) as mg_at,
             max(x.ended_at) filter (where x.credits > 0) as credits_at
      from lost l left join (
        select y.*, p.kind, p.key from subjects y cross join lateral (select y.local_date) as x (local_date)
        cross join lateral {PERIODS_OF}
      ) x on x.program_id = l.program_id and x.subject_kind = l.subject_kind and x.subject_id = l.subject_id
         and x.kind = l.period_kind and x.key = l.period_key
      group by 1, 2, 3, 4, 5
    )
    update scores s set
      mg_reached_at = coalesce(t.mg_at, board_start(s.period_kind, s.period_key)),
      mg_rank = board_rank(s.mg, coalesce(t.mg_at, board_start(s.period_kind, s.period_key)), s.period_kind,
                           board_start(s.period_kind, s.period_key)),
      credits_reached_at = coalesce(t.credits_at, board_start(s.period_kind, s.period_key)),
      credits_rank = board_rank(s.credits, coalesce(t.credits_at, board_start(s.period_kind, s.period_key)),
                                s.period_kind, board_start(s.period_kind, s.period_key))
    from sums t
    where (s.program_id, s.subject_kind, s.period_kind, s.period_key, s.subject_id)
        = (t.program_id, t.subject_kind, t.period_kind, t.period_key, t.subject_id)
    returning s.program_id, s.subject_kind, s.period_kind, s.period_key, s.subject_id, s.mg, s.mg_rank, s.credits,
              s.credits_rank
    """
)


def subtract_records(record_ids: Sequence[int]) -> list[Any]:
    """Take away what reversed records had added; answers the scores as they stand now."""
    lost = _run(_SUBTRACT, record_ids)
    values = {
        "programs": [row.program_id for row in lost],
        "subjects": [row.subject_kind for row in lost],
        "kinds": [row.period_kind for row in lost],
        "keys": [row.period_key for row in lost],
        "ids": [row.subject_id for row in lost],
    }
    return list(connection().execute(_REACHED_AGAIN, values)) if lost else []
