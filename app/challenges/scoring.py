"""Live progress: parts and scores computed anew from the records of whoever is concerned, then absolute ranks in Redis.

Nothing is added up from events, so an event heard twice, late or in another order changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from app import cache, leaderboards
from app.db import run
from app.leaderboards import Ladder

GROUP_MINIMUM = 5
KEPT_SECONDS = 120 * 86_400


def ladder(challenge_id: int) -> Ladder:
    """Where a challenge's live ranks stand in Redis; the hash tag keeps ranks and names on one node."""
    return Ladder(f"challenge:{{{challenge_id}}}", f"beside:challenge:{{{challenge_id}}}")


_AFFECTED = """
    select distinct c.id, c.state, r.person_id from records r
    join challenges c on c.program_id = r.program_id and c.state in ('live', 'settling', 'settled')
      and r.occurred_at >= c.starts_at and r.occurred_at < c.ends_at
      and (c.scenario_ids is null or r.scenario_id = any (c.scenario_ids))
    where r.id = any (%(ids)s::bigint[])
      and (exists (select from enrolments e where e.challenge_id = c.id and e.subject_kind = 'person'
                     and e.subject_id = r.person_id and e.withdrawn_at is null)
           or c.kind = 'team' and exists (
             select from team_members m join enrolments e on e.challenge_id = c.id and e.subject_kind = 'team'
               and e.subject_id = m.team_id and e.withdrawn_at is null where m.person_id = r.person_id))
    order by 1, 3
"""


def heard(record_ids: Sequence[int]) -> dict[int, list[int]]:
    """Bring live challenges up to date with records that count now or no longer. Answers whom a published result
    concerns, by challenge: that is for :func:`app.challenges.correct`."""
    live: dict[int, list[int]] = defaultdict(list)
    published: dict[int, list[int]] = defaultdict(list)
    for row in run(_AFFECTED, {"ids": list(record_ids)}) if record_ids else ():
        (live if row.state == "live" else published)[row.id].append(row.person_id)
    for challenge_id, people in live.items():
        refresh(challenge_id, people=people)
    return dict(published)


def recount(*, person_id: int, program_id: int, at: datetime) -> list[int]:
    """Bring every live challenge of a person up to date, whatever day has changed; answers them."""
    query = """
        select c.id from challenges c where c.program_id = %(program)s and c.state = 'live' and c.starts_at <= %(at)s
          and (exists (select from enrolments e where e.challenge_id = c.id and e.subject_id = %(person)s
                         and e.subject_kind = 'person' and e.withdrawn_at is null)
               or exists (select from team_members m join enrolments e on e.challenge_id = c.id
                          and e.subject_kind = 'team' and e.subject_id = m.team_id where m.person_id = %(person)s))
        order by c.id
    """
    found = [row.id for row in run(query, {"program": program_id, "person": person_id, "at": at})]
    for challenge_id in found:
        refresh(challenge_id, people=[person_id])
    return found


_PARTS = """
    with fresh as (
      select * from challenge_values(%(id)s, %(people)s::bigint[], %(as_of)s)
    ), gone as (
      delete from challenge_parts p where p.challenge_id = %(id)s
        and (%(people)s::bigint[] is null or p.person_id = any (%(people)s::bigint[]))
        and not exists (select from fresh f where f.person_id = p.person_id and f.group_id = p.group_id)
      returning p.group_id
    ), kept as (
      insert into challenge_parts as p (challenge_id, person_id, group_id, value, place, reached_at)
      select %(id)s, f.person_id, f.group_id, f.value, f.place, f.reached_at from fresh f
      order by f.group_id, f.person_id
      on conflict (challenge_id, group_id, person_id) do update
        set value = excluded.value, place = excluded.place, reached_at = excluded.reached_at
      returning p.group_id
    )
    select group_id from gone union select group_id from kept
"""
# Who is ranked: a person by itself, a team of enough, an org-unit in which nobody can be told apart.
_SCORES = """
    with sums as (
      select p.group_id, count(*) as heads, max(p.reached_at) as reached_at,
             case when c.per_head then sum(p.value) / count(*) else sum(p.value) end as value,
             case when c.per_head then sum(p.place) / count(*) else sum(p.place) end as place
      from challenge_parts p join challenges c on c.id = p.challenge_id
      where p.challenge_id = %(id)s and (%(groups)s::bigint[] is null or p.group_id = any (%(groups)s::bigint[]))
      group by p.group_id, c.id
      having count(*) >= case c.kind when 'unit' then greatest(c.least_members, %(minimum)s) when 'team' then
             c.least_members else 1 end
    ), gone as (
      delete from challenge_scores s where s.challenge_id = %(id)s
        and (%(groups)s::bigint[] is null or s.subject_id = any (%(groups)s::bigint[]))
        and not exists (select from sums f where f.group_id = s.subject_id)
      returning s.subject_id
    ), kept as (
      insert into challenge_scores as s (challenge_id, subject_id, value, place, heads, reached_at, rank_score)
      select c.id, f.group_id, floor(f.value)::bigint, floor(f.place)::bigint, f.heads, f.reached_at,
             challenge_rank(floor(f.place)::bigint, f.reached_at, c.starts_at)
      from sums f join challenges c on c.id = %(id)s order by f.group_id
      on conflict (challenge_id, subject_id) do update set value = excluded.value, place = excluded.place,
        heads = excluded.heads, reached_at = excluded.reached_at, rank_score = excluded.rank_score
      returning s.subject_id, s.rank_score
    )
    select subject_id, null::double precision as rank_score from gone union all select subject_id, rank_score from kept
"""


# Two who compute at once would each miss what the other has not committed; whoever waits here sees it.
ONE_AT_A_TIME = "select pg_advisory_xact_lock(hashtextextended(%(key)s, 0))"


def refresh(challenge_id: int, *, people: Sequence[int] | None = None) -> None:
    """Compute the parts of some persons (None: of everybody) and the standing of what they belong to; set the ranks.
    Only while it is live: a published result is corrected, never computed over."""
    if people is not None and not people:
        return
    run(ONE_AT_A_TIME, {"key": f"challenge:{challenge_id}"})
    if not run("select 1 from challenges where id = %(id)s and state = 'live'", {"id": challenge_id}):
        return
    groups = parts(challenge_id, people=people, as_of=None)
    if people is None:
        groups = None
    values = {"id": challenge_id, "groups": groups, "minimum": GROUP_MINIMUM}
    if groups is None or groups:
        leaderboards.place(ladder(challenge_id), {row.subject_id: row.rank_score for row in run(_SCORES, values)},
                           seconds=KEPT_SECONDS)  # fmt: skip


def parts(challenge_id: int, *, people: Sequence[int] | None, as_of: datetime | None) -> list[int] | None:
    """Write what persons have put in; answers the groups concerned. ``as_of`` computes as the records stood then."""
    who = None if people is None else list(people)
    return [row.group_id for row in run(_PARTS, {"id": challenge_id, "people": who, "as_of": as_of})]


def standings(challenge_id: int) -> None:
    """Compute the standing of everybody from the parts, without ranks in Redis: the last step before a result."""
    run(_SCORES, {"id": challenge_id, "groups": None, "minimum": GROUP_MINIMUM})


def rebuild(challenge_id: int) -> int:
    """Fill the ranks from the scores: for a Redis that has lost them. Answers how many are ranked."""
    found = ladder(challenge_id)
    rows = run("select subject_id, rank_score from challenge_scores where challenge_id = %(id)s", {"id": challenge_id})
    cache.client().delete(found.key)
    leaderboards.place(found, {row.subject_id: row.rank_score for row in rows}, seconds=KEPT_SECONDS)
    return len(rows)
