-- Records, reductions, claims, boards.

-- MET-1 light: A counted record has one live reduction and its award; one that does not count has nothing live.
select r.id as record_id, r.state, 'counts, but no live reduction' as what from records r
left join reductions d on d.record_id = r.id and d.reversed_at is null
where r.state = 'counted' and d.id is null
union all
select r.id, r.state, 'counts, but no award' from records r
where r.state = 'counted' and not exists (select from awards w where w.record_id = r.id and w.reason = 'record')
union all
select r.id, r.state, 'does not count, but a live reduction' from records r
join reductions d on d.record_id = r.id and d.reversed_at is null where r.state <> 'counted'
union all
select r.id, r.state, 'does not count, but a live award' from records r
join awards w on w.record_id = r.id and w.state in ('paid', 'pending', 'nothing') where r.state <> 'counted'
union all
select r.id, r.state, 'does not count, but a live claim' from records r
join claims c on c.record_id = r.id and c.live where r.state <> 'counted'
union all
select min(record_id), 'reductions', 'more than one' from reductions group by record_id having count(*) > 1;

-- MET-2: No physical act counts twice: live claims of one subject do not overlap.
select id as claim_id, subject_key from (
  select id, subject_key, lower(during) as starts,
         max(upper(during)) over (partition by subject_key order by lower(during), id
                                  rows between unbounded preceding and 1 preceding) as taken_until
  from claims where live
) x where starts < taken_until;

-- MET-3: A vehicle has one holder at any instant, and an act of a vehicle counts for its holder at that instant.
select 'two holders' as what, vehicle_id as id from (
  select vehicle_id, bound_at,
         max(coalesce(unbound_at, 'infinity')) over (partition by vehicle_id order by bound_at, id
                                                     rows between unbounded preceding and 1 preceding) as taken_until
  from vehicle_bindings
) x where bound_at < taken_until
union all
select 'not the holder', r.id from records r join scenarios s on s.program_id = r.program_id and s.id = r.scenario_id
where r.state = 'counted' and s.claim = 'vehicle' and r.subject like 'vehicle:%' and not exists (
  select from vehicle_bindings b where 'vehicle:' || b.vehicle_id = r.subject and b.person_id = r.person_id
    and b.bound_at <= r.occurred_at and r.occurred_at < coalesce(b.unbound_at, 'infinity'));

-- MET-5: A number rests on a version that was published and in force on the day of the act; versions never overlap.
select 'not in force' as what, d.id from reductions d join records r on r.id = d.record_id
join methodology_versions v on v.id = d.version_id
where d.reversed_at is null and (v.state <> 'published' or not v.in_force @> r.local_date)
union all
select 'overlap', id from (
  select id, lower(in_force) as starts,
         max(coalesce(upper(in_force), 'infinity')) over (partition by methodology_id order by lower(in_force), id
                                                          rows between unbounded preceding and 1 preceding) as until
  from methodology_versions where state = 'published'
) x where starts < until
union all
select 'another method', d.id from reductions d join records r on r.id = d.record_id
join scenarios s on s.program_id = r.program_id and s.id = r.scenario_id
join methodology_versions v on v.id = d.version_id join methodologies m on m.id = v.methodology_id
where d.reversed_at is null and m.key <> s.methodology;

-- MET-7: Grams and credits are never negative, and no record earns by grams that it did not save.
select d.id as reduction_id, d.raw_mg, d.counted_mg, d.credits_micro from reductions d
where d.counted_mg < 0 or d.credits_micro < 0 or d.counted_mg <> greatest(d.raw_mg, 0)
   or (d.credits_micro > 0 and d.raw_mg <> 0)
union all
select d.id, d.raw_mg, d.counted_mg, w.earned_micro from reductions d
join awards w on w.record_id = d.record_id and w.state in ('paid', 'pending', 'nothing')
where d.counted_mg = 0 and d.credits_micro = 0 and w.earned_micro > 0;

-- MET-8: What needs a consent arrived while that consent stood. A withdrawal waits for acts that are being taken, so it
-- may carry an instant a few seconds before one of them.
select r.id as record_id, s.consent_purpose from records r
join scenarios s on s.program_id = r.program_id and s.id = r.scenario_id
where s.consent_purpose is not null and r.state <> 'mirrored' and not exists (
  select from consents c where c.person_id = r.person_id and c.purpose = s.consent_purpose
    and (c.program_id is null or c.program_id = r.program_id) and c.granted_at <= r.received_at
    and r.received_at < coalesce(c.withdrawn_at, 'infinity') + interval '10 seconds');

-- RED-1: Grams in the ledger are the live reductions, act by act, and person by person less what was given away.
select 'transfer' as what, d.id, d.counted_mg as said, e.amount as booked
from reductions d join records r on r.id = d.record_id
join wallets w on w.person_id = r.person_id and w.program_id = r.program_id
left join entries e on e.transfer_id = d.transfer_id and e.account_id = w.mg_account_id
where d.counted_mg <> coalesce(e.amount, 0)
union all
select 'reversal', d.id, d.counted_mg, null from reductions d left join transfers t on t.reverses = d.transfer_id
where d.transfer_id is not null and (d.reversed_at is not null) <> (t.id is not null)
union all
select 'person', w.id, coalesce(sum(d.counted_mg - coalesce(g.mg, 0)), 0), max(a.balance)
from wallets w join accounts a on a.id = w.mg_account_id
left join records r on r.person_id = w.person_id and r.program_id = w.program_id
left join reductions d on d.record_id = r.id and d.reversed_at is null
left join (select record_id, sum(mg) as mg from retired_grams where returned_at is null group by record_id) g
  on g.record_id = d.record_id
group by w.id having coalesce(sum(d.counted_mg - coalesce(g.mg, 0)), 0) <> max(a.balance);

-- MIR-1: An act shown in a second program earns nothing there, and it is shown while the paying record counts.
select m.id as record_id, m.state from records m join records r on r.id = m.primary_id
where (m.state = 'mirrored' and r.state <> 'counted') or m.state = 'counted' or m.program_id = r.program_id
   or m.person_id <> r.person_id
   or exists (select from reductions d where d.record_id = m.id) or exists (select from awards w where w.record_id = m.id)
   or exists (select from claims c where c.record_id = m.id)
union all
select id, state from records where state = 'mirrored' and primary_id is null;

-- BRD-2: A frozen board is a total order, and its grams equal the records that counted when it was frozen.
select program_id, period_key, subject_id, 'order' as what from (
  select f.*, row_number() over w as place, lag(score) over w as above from final_ranks f
  window w as (partition by program_id, subject_kind, metric, period_kind, period_key order by rank)
) x where rank <> place or score > above or score <= 0
union all
select c.program_id, c.period_key, null, 'size' from closed_boards c
left join final_ranks f using (program_id, subject_kind, metric, period_kind, period_key)
group by c.program_id, c.subject_kind, c.metric, c.period_kind, c.period_key
having count(f.subject_id) <> max(c.subjects)
union all
select f.program_id, f.period_key, f.subject_id, 'grams'
from final_ranks f join closed_boards c using (program_id, subject_kind, metric, period_kind, period_key)
left join lateral (
  select sum(d.counted_mg) as mg from records r
  join reductions d on d.record_id = coalesce(r.primary_id, r.id) join transfers t on t.id = d.transfer_id
  where r.program_id = f.program_id and r.person_id = f.subject_id
    and case f.period_kind when 'day' then to_char(r.local_date, 'YYYY-MM-DD')
                           when 'week' then to_char(r.local_date, 'IYYY"-W"IW')
                           when 'month' then to_char(r.local_date, 'YYYY-MM')
                           else to_char(r.local_date, 'YYYY"-Q"Q') end = f.period_key
    and t.posted_at < c.frozen_at and (d.reversed_at is null or d.reversed_at >= c.frozen_at)
) s on true
where f.subject_kind = 'person' and f.metric = 'mg' and f.score is distinct from s.mg;

-- BRD-5: While no event waits, a person's all-time score is the sum of what counts, and the days sum to it.
with facts as (
  select r.program_id, r.person_id as subject_id, sum(coalesce(d.counted_mg, 0)) as mg, sum(coalesce(w.credits, 0)) as credits
  from records r left join reductions d on d.record_id = coalesce(r.primary_id, r.id)
  left join (select record_id, sum(credits) as credits from awards where state = 'paid' group by record_id) w
    on w.record_id = r.id
  where r.state in ('counted', 'mirrored') group by r.program_id, r.person_id
), days as (
  select program_id, subject_id, sum(mg) as mg, sum(credits) as credits from scores
  where subject_kind = 'person' and period_kind = 'day' group by program_id, subject_id
), whole as (
  select program_id, subject_id, mg, credits from scores where subject_kind = 'person' and period_kind = 'all'
)
select program_id, subject_id, f.mg, w.mg as score_mg, d.mg as days_mg, f.credits, w.credits as score_credits,
       d.credits as days_credits
from facts f full join whole w using (program_id, subject_id) full join days d using (program_id, subject_id)
where not exists (select from outbox where published_at is null)
  and (coalesce(f.mg, 0) <> coalesce(w.mg, 0) or coalesce(f.credits, 0) <> coalesce(w.credits, 0)
       or coalesce(d.mg, 0) <> coalesce(w.mg, 0) or coalesce(d.credits, 0) <> coalesce(w.credits, 0));
