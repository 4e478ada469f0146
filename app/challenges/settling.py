"""Settlement: once, in steps that can be interrupted anywhere; the result is computed as of one instant and published.

``live`` → (its data had their time) the result is frozen with its hash, prizes are due → ``settling``: prizes are paid
from the reserve, batch by batch → ``settled``: the rest of the reserve goes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app import funding, later
from app.challenges import scoring
from app.challenges.definition import LESS_IS_BETTER
from app.challenges.models import Challenge
from app.db import run, session
from app.errors import STATE_CONFLICT
from app.funding import AwardRequest
from app.units import MICRO

BATCH = 1_000
SETTLED_DOWN = timedelta(minutes=10)
"""Whatever was counted so long ago has been committed, so the same question later has the same answer."""
REASON = "challenge"


@dataclass(frozen=True, slots=True)
class Step:
    """What one call has done: ``state`` of the challenge now, and how many prizes it paid."""

    state: str
    paid: int = 0


def due(*, at: datetime) -> list[int]:
    """Challenges that wait for a step of their settlement."""
    query = """
        select id from challenges
        where state = 'settling' or (state = 'live' and closes_at <= %(until)s) order by closes_at, id
    """
    return [row.id for row in run(query, {"until": at - SETTLED_DOWN})]


def settle(*, challenge_id: int, at: datetime) -> Step:
    """One step of a settlement, one transaction; call it until the state is ``settled``.

    Raises STATE_CONFLICT for one that is not over yet, or has no result to publish (draft, cancelled).
    """
    found = session().get(Challenge, challenge_id, with_for_update=True, populate_existing=True)
    if found is None or found.state not in ("live", "settling", "settled"):
        raise STATE_CONFLICT(state=found.state if found else "unknown")
    if found.state == "live":
        if found.closes_at > at - SETTLED_DOWN:
            raise STATE_CONFLICT(state="live", closes_at=found.closes_at.isoformat())
        _freeze(found, at - SETTLED_DOWN)
        return Step(found.state)
    if found.state == "settling":
        paid = _pay(found, at)
        if paid == 0:
            _finish(found, at)
        return Step(found.state, paid)
    return Step("settled")


_RESULTS = """
    insert into challenge_results (challenge_id, subject_id, rank, value, place, heads, reached_at)
    select challenge_id, subject_id,
           row_number() over (order by place desc, reached_at, subject_id::text collate "C" desc),
           value, place, heads, reached_at
    from challenge_scores where challenge_id = %(id)s and place > 0
"""
# 100,000 lines are some megabytes inside PostgreSQL and 64 characters here.
_HASH = """
    select encode(sha256(convert_to(coalesce(string_agg(concat_ws(',', rank, subject_id, value, place, heads,
             to_char(reached_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')), E'\\n' order by rank), ''),
           'UTF8')), 'hex') as hash
    from challenge_results where challenge_id = %(id)s
"""


# What was reversed or released between that instant and now is a correction like any later one.
_CHANGED_SINCE = """
    select distinct coalesce(p.person_id, v.person_id) as person_id
    from (select * from challenge_parts where challenge_id = %(id)s) p
    full join challenge_values(%(id)s, null, null) v on v.person_id = p.person_id and v.group_id = p.group_id
    where p.value is distinct from v.value order by 1
"""


def _freeze(found: Challenge, as_of: datetime) -> None:
    """The result, from the records as they stood at ``as_of``, and who has won what."""
    run(scoring.ONE_AT_A_TIME, {"key": f"challenge:{found.id}"})
    scoring.parts(found.id, people=None, as_of=as_of)
    scoring.standings(found.id)
    run("analyze challenge_parts")
    run(_RESULTS, {"id": found.id})
    for prize in sorted(found.prizes, key=lambda one: one.get("rank_from", 0)):
        _win(found, prize)
    changed = [row.person_id for row in run(_CHANGED_SINCE, {"id": found.id})]
    for number in range(0, len(changed), BATCH):
        later.defer(later.CHALLENGE_CORRECT, challenge_id=found.id, person_ids=changed[number : number + BATCH])
    found.result_hash = run(_HASH, {"id": found.id})[0].hash
    found.state, found.frozen_at = "settling", as_of
    session().flush()


# Who of a ranked subject gets its prize: the person itself; the members of a team at the end who put something in;
# whoever put something in for an org-unit, once for its best: with a better rank's prize there is none for another
# org-unit (the better ranks come first), for the reserve holds one a person.
_WINNERS = """
    insert into challenge_wins (challenge_id, person_id, prize_no, subject_id, value, credits, state)
    select distinct on (p.person_id) c.id, p.person_id, %(no)s::bigint, r.subject_id, r.value, %(credits)s::bigint,
           case when x.state <> 'active' then 'lapsed' when %(credits)s::bigint = 0 then 'paid' else 'due' end
    from challenges c join challenge_results r on r.challenge_id = c.id
    join challenge_parts p on p.challenge_id = c.id and p.group_id = r.subject_id and p.place > 0
    join persons x on x.id = p.person_id
    where c.id = %(id)s and {condition}
      and (c.kind <> 'team' or exists (
        select from team_members m where m.team_id = r.subject_id and m.person_id = p.person_id and m.kind = 'team'
          and m.joined_at <= c.ends_at and (m.left_at is null or m.left_at > c.ends_at)))
      and (c.kind <> 'unit' or %(rank_from)s::bigint is null or not exists (
        select from challenge_wins w cross join lateral jsonb_array_elements(c.prizes) q
        where w.challenge_id = c.id and w.person_id = p.person_id and (q->>'no')::bigint = w.prize_no
          and q ? 'rank_from'))
    order by p.person_id, r.rank
    on conflict do nothing
"""
_RANKED = _WINNERS.format(condition="r.rank between %(rank_from)s and %(rank_to)s")
_REACHED = _WINNERS.format(condition="r.value >= %(reach)s")
_REACHED_DOWN = _WINNERS.format(condition="r.value <= %(reach)s")


def _win(found: Challenge, prize: dict[str, Any]) -> None:
    values = {"id": found.id, **{name: prize.get(name) for name in ("no", "credits", "reach", "rank_from", "rank_to")}}
    if "reach" in prize:
        run(_REACHED_DOWN if found.measure == LESS_IS_BETTER else _REACHED, values)
    else:
        run(_RANKED, values)


_DUE = """
    select person_id, prize_no, credits from challenge_wins
    where challenge_id = %(id)s and state = 'due' order by person_id, prize_no limit %(limit)s
"""
_PAID = """
    update challenge_wins w set state = 'paid', award_id = x.award
    from unnest(%(people)s::bigint[], %(prizes)s::bigint[], %(awards)s::bigint[]) as x (person, prize, award)
    where w.challenge_id = %(id)s and w.person_id = x.person and w.prize_no = x.prize
"""


def _pay(found: Challenge, at: datetime) -> int:
    rows = run(_DUE, {"id": found.id, "limit": BATCH})
    if not rows:
        return 0
    done = funding.award([request(found, row.person_id, row.prize_no, row.credits, at) for row in rows], at=at)
    people, numbers = [row.person_id for row in rows], [row.prize_no for row in rows]
    if any(one.state != "paid" for one in done):
        raise RuntimeError(f"challenge {found.id}: its reserve does not hold what it promised")
    awards = [one.award_id for one in done]
    run(_PAID, {"id": found.id, "people": people, "prizes": numbers, "awards": awards})
    tell(found, people, numbers, at)
    return len(rows)


def request(
    found: Challenge, person_id: int, prize_no: int, credits: int, at: datetime, *, again: str = ""
) -> AwardRequest:
    """A prize as an award of its own, under the challenge's name; promised, so no cap cuts it."""
    return AwardRequest(
        program_id=found.program_id,
        person_id=person_id,
        reason=f"{REASON}.{found.code}",
        source_ref=f"challenge:{found.id}:{person_id}:{prize_no}{again}",
        occurred_at=at,
        base_micro=credits * MICRO,
        budget_id=found.budget_id if again else found.reserve_id,
        uncapped=True,
    )


_TELL = """
    insert into notices (notice_key, program_id, person_id, kind, zh, en, details, created_at)
    select 'challenge:' || c.id || ':prize:' || w.person_id || ':' || w.prize_no, c.program_id, w.person_id,
           'challenge.prize', '挑战「' || c.name || '」已结算：' || (p->>'name') || '，奖励 ' || w.credits || ' 积分。',
           'The challenge “' || c.name_en || '” is settled: ' || (p->>'name_en') || ', ' || w.credits || ' credits.',
           jsonb_build_object('challenge', c.code), %(at)s
    from unnest(%(people)s::bigint[], %(prizes)s::bigint[]) as x (person, prize)
    join challenges c on c.id = %(id)s
    join challenge_wins w on w.challenge_id = c.id and w.person_id = x.person and w.prize_no = x.prize
    cross join lateral jsonb_array_elements(c.prizes) p
    where (p->>'no')::bigint = w.prize_no
    on conflict do nothing
"""


def tell(found: Challenge, people: Sequence[int], prizes: Sequence[int], at: datetime) -> None:
    """Tell winners, a batch with one statement; a second run tells nobody twice."""
    run(_TELL, {"id": found.id, "people": list(people), "prizes": list(prizes), "at": at})


def _finish(found: Challenge, at: datetime) -> None:
    found.state, found.settled_at = "settled", at
    session().flush()
    if found.reserve_id is not None:
        funding.release_reserve(budget_id=found.reserve_id, at=at)


_AGAIN = """
    with sums as (
      select v.group_id, count(*) as heads, max(v.reached_at) as reached_at,
             case when c.per_head then sum(v.value) / count(*) else sum(v.value) end as value,
             case when c.per_head then sum(v.place) / count(*) else sum(v.place) end as place
      from challenges c cross join lateral challenge_values(c.id, null, c.frozen_at) v
      where c.id = %(id)s group by v.group_id, c.id
      having count(*) >= case c.kind when 'unit' then greatest(c.least_members, %(minimum)s) when 'team' then
             c.least_members else 1 end
    ), ranked as (
      select group_id, floor(value)::bigint as value, floor(place)::bigint as place, heads, reached_at,
             row_number() over (order by floor(place) desc, reached_at, group_id::text collate "C" desc) as rank
      from sums where floor(place) > 0
    )
    select coalesce(r.subject_id, x.group_id) as subject_id, r.rank as published, x.rank as computed,
           r.value as published_value, x.value as computed_value
    from ranked x full join (select * from challenge_results where challenge_id = %(id)s) r on r.subject_id = x.group_id
    where (r.rank, r.value, r.place, r.heads, r.reached_at)
          is distinct from (x.rank, x.value, x.place, x.heads, x.reached_at)
    order by 1 limit 100
"""


def verify(challenge_id: int) -> tuple[bool, list[Any]]:
    """Compute a published result again from the records as of its instant; answers whether hash and lines agree, and
    the lines that differ."""
    kept = session().get_one(Challenge, challenge_id)
    if kept.frozen_at is None:
        raise STATE_CONFLICT(state=kept.state)
    same = run(_HASH, {"id": challenge_id})[0].hash == kept.result_hash
    differing = run(_AGAIN, {"id": challenge_id, "minimum": scoring.GROUP_MINIMUM})
    return same and not differing, differing
