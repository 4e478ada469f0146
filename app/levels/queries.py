"""Reads: a person's level with what is next, badges, and the year's personal carbon report."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from app import clock
from app.db import read
from app.levels import rules

_STANDING = """
    select coalesce(l.level, 0) as level, l.since, coalesce((select g.mg from grams_of_year(%(program)s,
             array[%(person)s::bigint], %(today)s) g), 0) as mg
    from (select 1) one left join person_levels l on l.program_id = %(program)s and l.person_id = %(person)s
"""
_BADGES = "select badge, earned_at from person_badges where program_id = %(program)s and person_id = %(person)s"
_CHANGES = """
    select from_level, to_level, mg, cause, at from level_changes
    where program_id = %(program)s and person_id = %(person)s order by id desc limit 50
"""


def standing(program_id: int, person_id: int, *, at: datetime) -> dict[str, Any] | None:
    """A person's level, the grams of twelve months, what the next level asks, badges; None without levels."""
    found = rules.in_force(program_id)
    if found is None:
        return None
    values = {"program": program_id, "person": person_id, "today": clock.business_day(at)}
    row = read(_STANDING, values)[0]
    earned = {one.badge: one.earned_at for one in read(_BADGES, values)}
    return {
        "level": row.level,
        "since": row.since,
        "mg": max(int(row.mg), 0),
        "current": found.named(row.level),
        "next": found.named(row.level + 1),
        "levels": found.levels,
        "badges": [{**badge, "earned_at": earned.get(badge["code"])} for badge in found.badges],
        "changes": read(_CHANGES, values),
    }


_YEAR = {
    "scenarios": """
        select s.code, s.name, s.name_en, count(*) as acts, coalesce(sum(d.counted_mg), 0)::bigint as mg,
               count(distinct r.local_date) as days
        from records r join scenarios s on s.id = r.scenario_id
        left join reductions d on d.record_id = coalesce(r.primary_id, r.id)
        where r.program_id = %(program)s and r.person_id = %(person)s and r.state in ('counted', 'mirrored')
          and r.local_date between %(first)s and %(last)s
        group by s.id order by mg desc, acts desc, s.code
    """,
    "months": """
        select to_char(r.local_date, 'YYYY-MM') as month, count(*) as acts,
               coalesce(sum(d.counted_mg), 0)::bigint as mg
        from records r left join reductions d on d.record_id = coalesce(r.primary_id, r.id)
        where r.program_id = %(program)s and r.person_id = %(person)s and r.state in ('counted', 'mirrored')
          and r.local_date between %(first)s and %(last)s
        group by 1 order by 1
    """,
    "tiers": """
        select r.tier, count(*) as acts, coalesce(sum(d.counted_mg), 0)::bigint as mg
        from records r left join reductions d on d.record_id = coalesce(r.primary_id, r.id)
        where r.program_id = %(program)s and r.person_id = %(person)s and r.state in ('counted', 'mirrored')
          and r.local_date between %(first)s and %(last)s
        group by 1 order by 1
    """,
    "credits": """
        select coalesce(sum(e.amount) filter (where e.amount > 0 and t.reason like 'award.%%'
                          and t.reason <> 'award.reverse'), 0)::bigint as earned,
               coalesce(-sum(e.amount) filter (where t.reason = 'award.reverse'), 0)::bigint as taken_back,
               coalesce(-sum(e.amount) filter (where t.reason = 'gift'), 0)::bigint as given,
               coalesce(-sum(e.amount) filter (where t.reason = 'lot.expire'), 0)::bigint as expired
        from wallets w join entries e on e.account_id = w.credits_account_id join transfers t on t.id = e.transfer_id
        where w.program_id = %(program)s and w.person_id = %(person)s
          and t.posted_at >= %(starts)s and t.posted_at < %(ends)s
    """,
    "challenges": """
        select c.code, c.name, c.name_en, r.rank, coalesce(sum(w.credits) filter (where w.state = 'paid'), 0)::bigint
                 as credits
        from challenge_parts p join challenges c on c.id = p.challenge_id and c.program_id = %(program)s
        left join challenge_results r on r.challenge_id = c.id and r.subject_id = p.group_id
        left join challenge_wins w on w.challenge_id = c.id and w.person_id = p.person_id
        where p.person_id = %(person)s and c.ends_at > %(starts)s and c.ends_at <= %(ends)s
        group by c.id, r.rank order by c.ends_at, c.id
    """,
    "badges": """
        select badge as code, earned_at from person_badges where program_id = %(program)s and person_id = %(person)s
          and earned_at >= %(starts)s and earned_at < %(ends)s order by earned_at, badge
    """,
    "trees": """
        select count(*) as grown from trees where program_id = %(program)s and person_id = %(person)s
          and full_at >= %(starts)s and full_at < %(ends)s
    """,
    "level": """
        select to_level as level from level_changes where program_id = %(program)s and person_id = %(person)s
          and at < %(ends)s order by id desc limit 1
    """,
}


def year_report(program_id: int, person_id: int, *, year: int) -> dict[str, list[Any]]:
    """A person's year in a program, from the records: grams by scenario, month and tier, credits, contests, badges."""
    period = clock.period("year", date(year, 1, 1))
    if period.end_day is None:
        raise AssertionError("a year ends")
    values = {
        "program": program_id, "person": person_id, "first": period.first_day, "last": period.end_day - timedelta(1),
        "starts": period.starts, "ends": period.ends,
    }  # fmt: skip
    return {name: read(query, values) for name, query in _YEAR.items()}
