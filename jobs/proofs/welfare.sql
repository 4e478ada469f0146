-- Welfare beyond single gifts (WEL-1): matches, payouts, returns, evidence, grams that are given away.

-- WEL-2 light: A project holds what gifts and matches brought, less what was paid out and what went back.
select w.id as project_id, a.balance, g.fen as gifts, m.fen as matched, y.fen as paid, r.fen as returned
from welfare_projects w join accounts a on a.id = w.money_account_id
left join (select project_id, sum(fen) as fen from gifts group by project_id) g on g.project_id = w.id
left join (select x.project_id, sum(m.fen) as fen from gift_matches m join gifts x on x.id = m.gift_id group by 1) m
  on m.project_id = w.id
left join (select project_id, sum(fen) as fen from welfare_payouts group by project_id) y on y.project_id = w.id
left join (select x.project_id, sum(r.fen + r.matched_fen) as fen from gift_returns r join gifts x on x.id = r.gift_id
           where r.returned_at is not null group by 1) r on r.project_id = w.id
where a.balance <> coalesce(g.fen, 0) + coalesce(m.fen, 0) - coalesce(y.fen, 0) - coalesce(r.fen, 0);

-- WEL-3: A sponsor's match is within what it paid in, and its reserve holds what is unused; each gift's sums agree.
select x.id as match_id, null::bigint as gift_id, x.used_fen, a.balance from welfare_matches x
join accounts a on a.id = x.account_id
left join (select match_id, sum(fen - returned_fen) as fen from gift_matches group by match_id) g on g.match_id = x.id
where x.used_fen <> coalesce(g.fen, 0) or a.balance <> x.reserved_fen - x.used_fen - x.returned_fen
union all
select null, g.id, g.matched_fen, m.fen from gifts g
left join (select gift_id, sum(fen) as fen from gift_matches group by gift_id) m on m.gift_id = g.id
where g.matched_fen <> coalesce(m.fen, 0)
union all
select null, g.id, g.returned_fen, r.fen from gifts g
left join (select gift_id, sum(fen) as fen from gift_returns where returned_at is not null group by gift_id) r
  on r.gift_id = g.id where g.returned_fen <> coalesce(r.fen, 0);

-- WEL-4: A reached milestone has a photo, a place, a day, a payee and two persons; money went out for reached ones only.
select m.id as milestone_id, 'evidence' as what from welfare_milestones m left join approvals a on a.id = m.approval_id
where m.state = 'reached' and (m.site is null or m.payee is null or m.reached_on is null or a.state is distinct from 'executed'
      or not exists (select from welfare_evidence e where e.milestone_id = m.id))
union all
select m.id, 'paid' from welfare_payouts y join welfare_milestones m on m.id = y.milestone_id where m.state <> 'reached'
union all
select min(milestone_id), 'photo twice' from welfare_evidence group by pixel_hash having count(*) > 1;

-- WEL-5 light: Grams are given away once: never more than a record has, of counted A to C records, as the ledger says.
select g.record_id, sum(g.mg) as given, max(d.counted_mg) as counted from retired_grams g
join records r on r.id = g.record_id join reductions d on d.record_id = g.record_id
where g.returned_at is null group by g.record_id
having sum(g.mg) > max(d.counted_mg) or bool_or(r.state <> 'counted' or r.tier not in ('A', 'B', 'C') or d.reversed_at is not null)
union all
select null, g.mg, a.mg from (select t.program_id, sum(x.mg) as mg from retired_grams x join transfers t on t.id = x.transfer_id
                              where x.returned_at is null group by 1) g
full join (select a.program_id, sum(e.amount) as mg from accounts a join entries e on e.account_id = a.id
           where a.asset = 'mg' and a.kind = 'retired' group by 1 having sum(e.amount) <> 0) a on a.program_id = g.program_id
where g.mg is distinct from a.mg
union all
select g.id, g.mg, sum(x.mg) from gram_gifts g left join retired_grams x on x.transfer_id = g.transfer_id group by g.id
having g.mg is distinct from sum(x.mg);
