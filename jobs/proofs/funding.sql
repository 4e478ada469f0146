-- Funding: credits exist only against a sponsor's money, and every credit of a wallet adds up.

-- BUD-1 light: A budget's money covers what it can still issue, what is outstanding or held, and what codes will draw.
with capacity as (
  select s.budget_id, sum(a.balance) as credits from budget_slices s join accounts a on a.id = s.account_id
  group by s.budget_id
), outstanding as (
  select budget_id, sum(remaining * price_fen::numeric) as thousandths from lots group by budget_id
), committed as (
  select f.budget_id, sum(f.price_fen::numeric * case when c.uses_left = c.uses then f.credits else x.free_credits end)
           as thousandths
  from code_fundings f join codes c on c.id = f.code_id
  left join lateral code_rest(c.id) x on c.uses_left < c.uses and x.lot_id = f.lot_id
  where c.state = 'issued' and (c.uses_left = c.uses or x.lot_id is not null) group by f.budget_id
), held as (
  select l.budget_id, sum(u.amount * l.price_fen::numeric) as thousandths
  from transfers t join lot_uses u on u.transfer_id = t.id join lots l on l.id = u.lot_id
  where t.reason = 'hold'
    and not exists (select from transfers e where e.reason = 'hold.end' and e.source_ref = 'hold:' || t.id)
  group by l.budget_id
)
select b.id as budget_id, m.balance as money_fen, c.credits as capacity, o.thousandths as outstanding,
       d.thousandths as committed, h.thousandths as held
from budgets b join accounts m on m.id = b.money_account_id
left join capacity c on c.budget_id = b.id left join outstanding o on o.budget_id = b.id
left join committed d on d.budget_id = b.id left join held h on h.budget_id = b.id
where m.balance::numeric * 1000 < coalesce(c.credits, 0) * b.price_fen + coalesce(o.thousandths, 0)
                                  + coalesce(d.thousandths, 0) + coalesce(h.thousandths, 0);

-- BUD-2: A budget's deposits are in the ledger, money and cover, to the fen and the credit.
with paid as (
  select budget_id, sum(fen) as fen, sum(credits) as credits from deposits group by budget_id
), money as (
  select e.account_id, sum(e.amount) as fen from entries e join transfers t on t.id = e.transfer_id
  where t.reason = 'deposit' and e.amount > 0 group by e.account_id
), cover as (
  select s.budget_id, sum(e.amount) as credits
  from budget_slices s join entries e on e.account_id = s.account_id join transfers t on t.id = e.transfer_id
  where t.reason = 'budget.cover' group by s.budget_id
)
select b.id as budget_id, p.fen, m.fen as booked_fen, p.credits, c.credits as booked_credits
from budgets b left join paid p on p.budget_id = b.id left join money m on m.account_id = b.money_account_id
left join cover c on c.budget_id = b.id
where coalesce(p.fen, 0) <> coalesce(m.fen, 0) or coalesce(p.credits, 0) <> coalesce(c.credits, 0)
   or coalesce(p.credits, 0) <> floor(coalesce(p.fen, 0) * 1000 / b.price_fen);

-- BUD-3: Credits held for codes are exactly those behind issued codes, per program.
with held as (
  select a.program_id, sum(e.amount) as credits from accounts a join entries e on e.account_id = a.id
  where a.asset = 'credits' and a.kind = 'committed' group by a.program_id
), behind as (
  select c.program_id, sum(case when c.uses_left = c.uses then f.credits else x.left_credits end) as credits
  from codes c join code_fundings f on f.code_id = c.id
  left join lateral code_rest(c.id) x on c.uses_left < c.uses and x.lot_id = f.lot_id
  where c.state = 'issued' group by c.program_id
)
select coalesce(h.program_id, b.program_id) as program_id, h.credits as held, b.credits as behind_codes
from held h full join behind b on b.program_id = h.program_id
where coalesce(h.credits, 0) <> coalesce(b.credits, 0);

-- BUD-4: A budget's capacity stands on guarded accounts of its own program, each in one budget, and what moves between
-- slices changes no sum.
select s.budget_id, s.account_id, 'slice' as what from budget_slices s join budgets b on b.id = s.budget_id
join accounts a on a.id = s.account_id
where not a.guarded or a.kind <> 'budget' or a.asset <> 'credits' or a.program_id <> b.program_id
union all
select b.id, b.money_account_id, 'money' from budgets b join accounts a on a.id = b.money_account_id
where not a.guarded or a.asset <> 'fen' or a.program_id <> b.program_id
union all
select s.budget_id, null, t.reason from transfers t join entries e on e.transfer_id = t.id
join budget_slices s on s.account_id = e.account_id
where t.reason in ('budget.gather', 'budget.spread') group by s.budget_id, t.id, t.reason having sum(e.amount) <> 0;

-- AWD-1: An award adds up: what was carried and earned, less what a cap cut, is its credits and what is carried on.
select id as award_id, carry_before, earned_micro, cut_micro, credits, carry_after from awards
where carry_before + earned_micro - cut_micro <> credits * 1000000 + carry_after
   or earned_micro < 0 or cut_micro not between 0 and earned_micro or credits < 0;

-- AWD-2: A paid award has one transfer of exactly its credits into its wallet; a reversed one its reversal; others none.
select w.id as award_id, w.state, w.credits, e.amount
from awards w join wallets k on k.id = w.wallet_id
left join transfers t on t.id = w.transfer_id
left join entries e on e.transfer_id = t.id and e.account_id = k.credits_account_id
left join transfers r on r.reverses = t.id
where case w.state
        when 'paid' then e.amount is distinct from w.credits or r.id is not null or w.lot_id is null
        when 'reversed' then e.amount is distinct from w.credits or r.id is null
        else w.transfer_id is not null or w.lot_id is not null end
   or (w.state = 'nothing' and w.credits <> 0)
   or k.person_id <> w.person_id or k.program_id <> w.program_id;

-- AWD-3: Nobody was paid while an earlier award of the same budget waits.
select w.budget_id, w.id as waits, min(q.id) as paid_before_it
from awards w join awards q on q.budget_id = w.budget_id and q.id > w.id
where w.state = 'pending' and q.state = 'paid' group by w.budget_id, w.id;

-- WAL-1: Per wallet, all that its live awards earned is whole credits and the carry, less credits owed from the carry.
with live as (
  select wallet_id, sum(earned_micro - cut_micro) as earned, sum(credits) as credits from awards
  where state in ('paid', 'pending', 'nothing') group by wallet_id
), debts as (
  select e.account_id, sum(e.amount) filter (where t.reason = 'debt.advance') as advanced,
         -sum(e.amount) filter (where t.reason = 'debt.repay') as repaid
  from entries e join transfers t on t.id = e.transfer_id
  where t.reason in ('debt.advance', 'debt.repay') and e.account_id in (select credits_account_id from wallets)
  group by e.account_id
), sums as (
  select w.id, w.carry_micro, coalesce(l.earned, 0) as earned, coalesce(l.credits, 0) as credits,
         w.debt_credits - coalesce(d.advanced, 0) + coalesce(d.repaid, 0) as owed_from_carry
  from wallets w join persons p on p.id = w.person_id
  left join live l on l.wallet_id = w.id left join debts d on d.account_id = w.credits_account_id
  where p.state <> 'deleted' -- what still waited for somebody who left is cancelled, without a trace in the carry
)
select id as wallet_id, earned, credits, carry_micro, owed_from_carry from sums
where earned <> (credits - owed_from_carry) * 1000000 + carry_micro or owed_from_carry < 0;

-- WAL-2: A wallet's carry is below one credit, its debt not negative, and no advance is left open on a debt account.
select w.id as wallet_id, 'carry or debt' as what, w.carry_micro as amount from wallets w
where w.carry_micro not between 0 and 999999 or w.debt_credits < 0
union all
select a.id, 'advance left open', sum(e.amount) from accounts a join entries e on e.account_id = a.id
where a.kind = 'debt' group by a.id having sum(e.amount) <> 0
union all
select w.id, 'accounts of another', null from wallets w
join accounts a on a.id in (w.credits_account_id, w.hold_account_id, w.mg_account_id)
where a.program_id <> w.program_id or a.owner_key <> w.person_id::text;

-- WAL-3: What a person's hold account has is the sum of the holds that have not ended.
select w.id as wallet_id, a.balance, h.open from wallets w join accounts a on a.id = w.hold_account_id
left join (
  select e.account_id, sum(e.amount) as open from entries e join transfers t on t.id = e.transfer_id
  where t.reason = 'hold' and e.amount > 0
    and not exists (select from transfers d where d.reason = 'hold.end' and d.source_ref = 'hold:' || t.id)
  group by e.account_id
) h on h.account_id = a.id
where a.balance is distinct from coalesce(h.open, 0);

-- MET-6 light: What a person earned of a scenario, or in a program, in a period is within its cap.
select person_id, scope, period, used_micro, cap_micro from cap_uses where used_micro not between 0 and cap_micro
union all
select c.person_id, c.scope, c.period, sum(w.earned_micro - w.cut_micro)::bigint, c.cap_micro
from cap_uses c
join records r on r.person_id = c.person_id and r.local_date::text = c.period
 and c.scope in ('scenario:' || r.scenario_id, 'program:' || r.program_id)
join awards w on w.record_id = r.id and w.state in ('paid', 'pending', 'nothing')
group by c.person_id, c.scope, c.period, c.cap_micro having sum(w.earned_micro - w.cut_micro) > c.cap_micro;
