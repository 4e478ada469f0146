-- Daily life: check-ins and their streaks, cards, places in gatherings, quizzes.

-- TIM-2 light: A check-in counts on the Shanghai day of its record, and a made-up day lies before the day it was made up.
select c.id, c.day, r.local_date from check_ins c left join records r on r.id = c.record_id
where (c.kind = 'daily' and c.day <> r.local_date)
   or (c.kind = 'made_up' and c.day >= (c.checked_at at time zone 'Asia/Shanghai')::date);

-- CHK-1: While no event waits, a streak is what its days say: as many in all, the last of them, no more in a row.
select s.program_id, s.person_id, s.total, d.total as days, s.last_day, d.last_day as days_last from check_in_streaks s
left join lateral (
  select count(*) as total, max(c.day) as last_day, min(c.day) filter (where c.day = s.first_day) as first_day
  from check_ins c where c.program_id = s.program_id and c.person_id = s.person_id and not c.void
) d on true
where not exists (select from outbox where published_at is null)
  and (s.total <> d.total or s.last_day is distinct from d.last_day or s.first_day is distinct from d.first_day
       or s.length > s.last_day - s.first_day + 1);

-- CHK-2 light: Whoever holds make-up cards has earned them and not used them.
select s.program_id, s.person_id, s.cards from check_in_streaks s
left join check_in_cards c on c.program_id = s.program_id and c.person_id = s.person_id
group by s.program_id, s.person_id, s.cards
having s.cards <> count(*) filter (where c.kind = 'earned') - count(*) filter (where c.kind = 'used');

-- CHK-3: A step of a ladder was paid with the credits that the rules promise, once a day of a streak.
select m.id, m.credits, w.earned_micro from check_in_milestones m join awards w on w.id = m.award_id
where w.earned_micro <> m.credits * 1000000 or w.person_id <> m.person_id or w.program_id <> m.program_id;

-- GTH-1 light: The places taken of a gathering are those of its sign-ups, never more than it holds.
select g.id, g.signed, g.capacity, count(s.id) as placed from gatherings g
left join gathering_sign_ups s on s.gathering_id = g.id and s.state in ('signed', 'attended', 'no_show')
group by g.id having g.signed <> count(s.id) or g.signed > g.capacity;

-- GTH-2: What an attendance earned belongs to the person who was there.
select g.id, a.person_id, r.person_id as paid from gathering_acts g
join gathering_attendances a on a.id = g.attendance_id join records r on r.id = g.record_id
where r.person_id <> a.person_id;

-- QUZ-1: A quiz earned by as many right answers as the attempt had, judged by the questions that it drew.
select a.id, a.right_count, r.facts->>'answers' as paid from quiz_attempts a join records r on r.id = a.record_id
where r.facts->>'answers' is distinct from a.right_count::text
union all
select a.id, a.right_count, null from quiz_attempts a
cross join lateral (
  select count(*) as right_count from questions q where q.id = any (a.question_ids)
    and to_jsonb(q."right") = (select coalesce(jsonb_agg(o order by o::int), '[]') from jsonb_array_elements(a.answers->q.id::text) o)
) judged
where a.answers <> '{}' and judged.right_count <> a.right_count;
