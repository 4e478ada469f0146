-- Contests: prizes within what was reserved, results in order, places counted, groups that exist.

-- CHL-1 light: What a challenge's prizes come to is within what was set aside for it at launch, and each prize that is
-- paid has one award of exactly its credits, from the reserve (or, after a correction, from the budget).
select c.id as challenge_id, sum(w.credits) as credits, c.reserved, null::bigint as award_id from challenges c
join challenge_wins w on w.challenge_id = c.id and w.state in ('due', 'paid')
join awards a on a.id = w.award_id and a.budget_id = c.reserve_id
group by c.id having sum(w.credits) > c.reserved
union all
select c.id, w.credits, a.credits, a.id from challenge_wins w join challenges c on c.id = w.challenge_id
left join awards a on a.id = w.award_id
where w.state = 'paid' and w.credits > 0
  and (a.id is null or a.person_id <> w.person_id or a.earned_micro <> w.credits * 1000000 or a.cut_by like 'scenario%'
       or a.reason <> 'challenge.' || c.code or a.budget_id not in (c.reserve_id, c.budget_id) or a.state = 'reversed');

-- CHL-2: A published list counts its ranks from one without a gap, more before less, and who was first before who was not.
select challenge_id, subject_id, rank, place from (
  select r.*, row_number() over (partition by challenge_id order by place desc, reached_at,
                                 subject_id::text collate "C" desc) as due
  from challenge_results r
) x where rank <> due;

-- CHL-3 light: As many places are taken as subjects take part, and no more than there are.
select c.id as challenge_id, c.enrolled, c.capacity, count(e.subject_id) as taking_part from challenges c
left join enrolments e on e.challenge_id = c.id and e.withdrawn_at is null
group by c.id having c.enrolled <> count(e.subject_id) or c.enrolled > coalesce(c.capacity, c.enrolled);

-- CHL-4: Whoever takes part as a team is a team of that program, and a person only where persons do.
select e.challenge_id, e.subject_kind, e.subject_id from enrolments e join challenges c on c.id = e.challenge_id
left join teams t on t.id = e.subject_id and t.program_id = c.program_id and t.kind = 'team'
where (e.subject_kind = 'team') <> (c.kind = 'team') or (e.subject_kind = 'team' and t.id is null);

-- CHL-5: A published result of the last ninety days, computed again from the records as of its instant, is the same.
with again as (
  select c.id, v.group_id, count(*) as heads, max(v.reached_at) as reached_at,
         floor(case when c.per_head then sum(v.value) / count(*) else sum(v.value) end)::bigint as value,
         floor(case when c.per_head then sum(v.place) / count(*) else sum(v.place) end)::bigint as place
  from challenges c cross join lateral challenge_values(c.id, null, c.frozen_at) v
  where c.frozen_at > now() - interval '90 days' and c.state in ('settling', 'settled')
  group by c.id, v.group_id
  having count(*) >= case c.kind when 'unit' then greatest(c.least_members, 5) when 'team' then c.least_members else 1 end
)
select coalesce(r.challenge_id, a.id) as challenge_id, coalesce(r.subject_id, a.group_id) as subject_id, r.value, a.value as again
from (select * from again where place > 0) a
full join (select r.* from challenge_results r join challenges c on c.id = r.challenge_id
           where c.frozen_at > now() - interval '90 days') r
  on r.challenge_id = a.id and r.subject_id = a.group_id
where (r.value, r.place, r.heads, r.reached_at) is distinct from (a.value, a.place, a.heads, a.reached_at);

-- CHL-6 light: A reserve holds its parent's promise: what was moved is what the ledger moved, and neither budget is short.
select r.budget_id, r.credits, r.fen, m.credits as moved_credits, m.fen as moved_fen from budget_reserves r
join budgets b on b.id = r.budget_id
left join lateral (
  select coalesce(sum(e.amount) filter (where a.asset = 'credits'), 0) as credits,
         coalesce(sum(e.amount) filter (where a.asset = 'fen'), 0) as fen
  from transfers t join entries e on e.transfer_id = t.id join accounts a on a.id = e.account_id
  where t.reason like 'reserve.%' and t.source_ref like r.purpose || ':%'
    and (e.account_id = b.money_account_id or e.account_id in (select s.account_id from budget_slices s
                                                              where s.budget_id = r.budget_id))
) m on true
where r.credits <> m.credits or r.fen <> m.fen;

-- LEV-1 light: A membership's level is the one computed, where its program has levels; a level's bonus that stands is paid
-- or waits, and is of its own person.
select m.program_id, m.person_id, m.level, l.level as computed, null::bigint as award_id from memberships m
join person_levels l on l.program_id = m.program_id and l.person_id = m.person_id where m.level <> l.level
union all
select b.program_id, b.person_id, b.level, null, b.award_id from level_bonuses b join awards a on a.id = b.award_id
where a.person_id <> b.person_id or (not b.taken_back and a.state in ('reversed', 'cancelled'));

-- LEV-2: Each level of a person is where its changes lead, one after the other without a gap.
select l.program_id, l.person_id, l.level, c.to_level as said from person_levels l
left join lateral (select to_level from level_changes c where c.program_id = l.program_id and c.person_id = l.person_id
                   order by id desc limit 1) c on true
where l.level <> coalesce(c.to_level, 0)
union all
select x.program_id, x.person_id, x.from_level, x.before from (
  select c.*, lag(c.to_level, 1, 0::bigint) over (partition by c.program_id, c.person_id order by c.id) as before
  from level_changes c
) x where x.from_level <> x.before;

-- GRV-1: A tree that was given is full-grown, and its gift is of its owner, once and of the same program.
select t.id as tree_id, t.gift_id from trees t left join gifts g on g.id = t.gift_id
where t.gift_id is not null and (t.full_at is null or g.person_id <> t.person_id or g.client_ref <> 'tree:' || t.id);
