-- Teams, the community, appeals, photos: what people see of each other, and who decided.

-- TEA-1 light: A team has at most as many people as seats, one captain who is in it while it stands, and nobody in two.
select t.id as team_id, t.size_most, count(m.id) as members from teams t
left join team_members m on m.team_id = t.id and m.left_at is null
group by t.id having count(m.id) > t.size_most or (t.closed_at is null) <> (count(m.id) > 0)
  or (t.closed_at is null and count(m.id) filter (where m.person_id = t.captain_id) <> 1)
union all
select min(team_id), 1, count(*) from team_members where left_at is null and kind = 'team'
group by program_id, person_id having count(*) > 1;

-- COM-1: Words that others see have passed their check, or a person of ours has decided.
select 'post' as what, p.id from posts p
where p.state = 'shown' and p.body <> ''
  and not exists (select from text_checks c where c.kind = 'post' and c.object_id = p.id and c.state = 'pass')
  and not exists (select from audit a where a.object_type = 'post' and a.object_id = p.id::text)
union all
select 'comment', c.id from comments c
where c.state = 'shown'
  and not exists (select from text_checks t where t.kind = 'comment' and t.object_id = c.id and t.state = 'pass')
  and not exists (select from audit a where a.object_type = 'comment' and a.object_id = c.id::text);

-- APL-1: Nobody answers an appeal against the own decision, and the second look is somebody else's.
select a.id as appeal_id, a.answered_by from appeals a
where a.state <> 'open' and a.answered_by not like 'system:%'
  and (exists (select from audit d where d.object_type = a.kind and d.object_id = a.object_id::text
                 and d.actor = a.answered_by and d.at <= a.asked_at
                 and d.action in ('record.reject', 'record.reverse', 'post.hide', 'comment.hide'))
       or exists (select from appeals f where f.kind = a.kind and f.object_id = a.object_id and f.round < a.round
                    and f.answered_by = a.answered_by));

-- APL-2: A granted appeal about an act has left a record that counts, unless something was decided after it.
select a.id as appeal_id, a.record_id from appeals a join records r on r.id = a.record_id
where a.state = 'granted' and r.state not in ('counted', 'mirrored')
  and not exists (select from records s where s.supersedes_id = r.id)
  and not exists (select from audit d where d.object_type = 'record' and d.object_id = r.id::text
                    and d.at > a.answered_at)
  and not exists (select from claims c where c.record_id = r.id and not c.live);

-- PHO-1: No photo counts that nobody has looked at.
select r.id as record_id from records r
where r.tier = 'D' and r.state = 'counted' and r.received_at >= (select min(sent_at) from snapshots)
  and not exists (select from audit a where a.object_type = 'record' and a.action in ('record.release', 'record.restore')
                    and a.object_id in (r.id::text, r.supersedes_id::text));
