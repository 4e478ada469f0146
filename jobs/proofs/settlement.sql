-- Settlement: each redemption is paid once, statements are the sum of their lines, and the ledger agrees to the fen.

-- SET-1 light: No redemption is paid by two lines or taken back by two, and none is taken back that was not paid.
select redemption_id, 'twice' as what, count(*) as lines from statement_lines
group by redemption_id, (kind = 'redeem') having count(*) > 1
union all
select b.redemption_id, 'never paid', b.line_no from statement_lines b
left join statement_lines l on l.statement_id = b.corrects_statement_id and l.line_no = b.corrects_line_no
where b.kind <> 'redeem' and (l.redemption_id is distinct from b.redemption_id or l.kind <> 'redeem'
                              or l.amount_fen <> -b.amount_fen or l.statement_id >= b.statement_id);

-- SET-2: A statement's figures are the sums of its lines and of what was carried from the one before it.
select s.id as statement_id, s.lines, count(l.line_no) as found, s.total_fen, sum(l.amount_fen) as lines_fen
from statements s left join statement_lines l on l.statement_id = s.id left join statements c on c.id = s.carried_from_id
where s.state <> 'void' group by s.id, c.id
having s.lines <> count(l.line_no) or s.redeemed_fen <> coalesce(sum(l.amount_fen) filter (where l.kind = 'redeem'), 0)
    or s.corrected_fen <> coalesce(sum(l.amount_fen) filter (where l.kind <> 'redeem'), 0)
    or s.carried_in_fen <> coalesce(least(c.total_fen, 0), 0) or (c.id is not null and c.merchant_id <> s.merchant_id);

-- SET-3: Each line is what its transfer moved on the merchant's account, and was known when the statement was drawn.
select l.statement_id, l.line_no, l.amount_fen, e.fen from statement_lines l
join statements s on s.id = l.statement_id join merchants m on m.id = s.merchant_id
left join transfers t on t.id = l.transfer_id
left join lateral (select sum(e.amount) as fen from entries e
                   where e.transfer_id = l.transfer_id and e.account_id = m.payable_account_id) e on true
where l.amount_fen <> coalesce(e.fen, 0) or t.posted_at > s.drawn_at;

-- SET-4 light: What a merchant has accrued is what waits on its account, less what it owes, and what was approved.
with moved as (
  select e.account_id, sum(e.amount) filter (where t.reason not like 'settlement.%' or t.reason = 'settlement.correct') as
           accrued, sum(e.amount) filter (where t.reason = 'settlement.approve') as approved
  from entries e join transfers t on t.id = e.transfer_id join accounts a on a.id = e.account_id
  where a.kind = 'payable' group by e.account_id
), due as (
  select a.program_id, a.owner_key, sum(e.amount) as fen from accounts a join entries e on e.account_id = a.id
  where a.kind = 'merchant_due' group by a.program_id, a.owner_key
), said as (
  select merchant_id, sum(total_fen) as fen from statements where state in ('approved', 'paid') group by merchant_id
)
select m.id as merchant_id, v.accrued, v.approved, a.balance, d.fen as due, s.fen as statements from merchants m
join accounts a on a.id = m.payable_account_id left join moved v on v.account_id = a.id left join said s on s.merchant_id = m.id
left join due d on d.program_id = m.program_id and d.owner_key = m.code
where coalesce(v.accrued, 0) + coalesce(v.approved, 0) <> a.balance + coalesce(d.fen, 0) or coalesce(d.fen, 0) > 0
   or coalesce(-v.approved, 0) <> coalesce(s.fen, 0);

-- SET-5: What was approved and not paid waits for the bank, and each paid line has its transfer, statement and account.
select m.id as merchant_id, w.fen as waits, coalesce(a.balance, 0) as booked from merchants m
left join accounts a on a.program_id = m.program_id and a.kind = 'payout' and a.owner_key = m.code
left join (select merchant_id, sum(total_fen) as fen from statements where state = 'approved' group by merchant_id) w
  on w.merchant_id = m.id
where coalesce(w.fen, 0) <> coalesce(a.balance, 0)
union all
select p.id, p.fen, e.amount from payouts p join statements s on s.id = p.statement_id
left join payout_accounts c on c.id = p.account_id
left join entries e on e.transfer_id = p.transfer_id and e.amount > 0
where p.state = 'paid' and (s.state <> 'paid' or p.fen <> s.total_fen or e.amount is distinct from p.fen
                            or c.merchant_id <> s.merchant_id or c.usable_from > p.settled_at);

-- SET-6: What was approved is what two persons looked at: the hash that ran is the statement's.
select s.id as statement_id, s.state, a.state as approval from statements s left join approvals a on a.id = s.approval_id
where s.state in ('approved', 'paid', 'carried') and (a.state is distinct from 'executed'
      or a.payload->>'hash' is distinct from encode(s.content_hash, 'hex') or a.maker = a.checker);

-- SET-7: A redemption that was taken back after its statement stands as a line in the next one that was drawn.
select r.id as redemption_id, l.statement_id, n.id as next_statement from redemptions r
join statement_lines l on l.redemption_id = r.id and l.kind = 'redeem'
left join statement_corrections c on c.redemption_id = r.id
join statements n on n.merchant_id = r.merchant_id and n.id > l.statement_id and n.state <> 'void'
  and n.drawn_at >= coalesce(r.undone_at, c.corrected_at)
where not exists (select from statement_lines b where b.redemption_id = r.id and b.kind <> 'redeem');

-- SET-8: A program that is wound up pays no award for acts from its last day on; a closed one promises nothing.
select a.id as award_id, p.code, a.credits from awards a join programs p on p.id = a.program_id
left join records r on r.id = a.record_id
where a.state = 'paid' and a.created_at >= p.no_awards_from and coalesce(r.occurred_at, a.created_at) >= p.no_awards_from
union all
select l.id, p.code, l.remaining from windups w join programs p on p.id = w.program_id join lots l on l.program_id = p.id
where w.state in ('settled', 'closed') and l.remaining > 0
union all
select b.id, p.code, m.balance from windups w join programs p on p.id = w.program_id join budgets b on b.program_id = p.id
join accounts m on m.id = b.money_account_id where w.state = 'closed' and m.balance > 0;
