-- Money at WeChat Pay: what was ordered, paid and given back, against the orders, the ledger and the bills.

-- PAY-1 light: An order with a cash part is paid exactly when one payment of its amount by its person was accepted.
select o.id as order_id, o.state, o.cash_fen, count(p.id) as accepted from orders o
left join payments p on p.subject_kind = 'order' and p.subject_ref = o.id and p.state = 'paid'
where o.cash_fen > 0 group by o.id
having (o.state in ('paid', 'fulfilled', 'completed', 'refunding', 'refunded')) <> (count(p.id) = 1)
    or count(p.id) <> count(p.id) filter (where p.total_fen = o.cash_fen and p.person_id = o.person_id
                                            and p.program_id = o.program_id)
union all
select p.subject_ref, p.state, p.total_fen, 0 from payments p
left join orders o on o.id = p.subject_ref and o.cash_fen > 0 where o.id is null;

-- PAY-2 light: What is refunded or on its way is what the payment says, never above what was paid, in 50 parts at most.
select p.id as payment_id, p.total_fen, p.refunded_fen, sum(r.fen) filter (where r.state <> 'closed') as going_back,
       count(r.id) as parts
from payments p left join refunds r on r.payment_id = p.id group by p.id
having p.refunded_fen <> coalesce(sum(r.fen) filter (where r.state <> 'closed'), 0) or p.refunded_fen > p.total_fen
    or p.refund_count <> count(r.id) or count(r.id) > 50;

-- PAY-3 light: A notice is kept once, a transaction of WeChat pays once, and a refunded order has all its money back.
select 'notice' as what, notice_id as number from payment_notices group by mchid, notice_id having count(*) > 1
union all
select 'transaction', transaction_id from payments where transaction_id is not null
group by mchid, transaction_id having count(*) > 1
union all
select 'refunded', p.out_trade_no from orders o
join payments p on p.subject_ref = o.id and p.subject_kind = 'order' and p.state = 'paid'
where o.state = 'refunded'
  and p.total_fen <> (select coalesce(sum(r.fen), 0) from refunds r where r.payment_id = p.id
                     and r.state in ('success', 'transferred'));

-- PAY-4: A payment's steps follow each other, are allowed ones, and end in its state.
with steps as (
  select s.*, lag(s.to_state) over w as before, lead(s.id) over w is null as last
  from payment_steps s window w as (partition by s.payment_id order by s.id)
), allowed (from_state, to_state) as (
  values (null::text, 'created'), ('created', 'waiting'), ('created', 'closing'), ('created', 'closed'),
    ('created', 'failed'), ('created', 'paid'), ('created', 'late'), ('waiting', 'closing'), ('waiting', 'closed'),
    ('waiting', 'failed'), ('waiting', 'paid'), ('waiting', 'late'), ('closing', 'closed'), ('closing', 'failed'),
    ('closing', 'paid'), ('closing', 'late'), ('closed', 'late'), ('failed', 'late'), ('failed', 'paid')
)
select s.payment_id, s.from_state, s.to_state from steps s
where s.from_state is distinct from s.before
   or not exists (select from allowed a where a.from_state is not distinct from s.from_state and a.to_state = s.to_state)
union all
select p.id, s.to_state, p.state from payments p left join steps s on s.payment_id = p.id and s.last
where s.to_state is distinct from p.state;

-- PAY-5: Of days whose bills were compared, each payment and refund of ours stands in a bill, or a difference names it.
with ours as (
  select p.id as payment_id, null::bigint as refund_id, p.mchid, p.billed_day, p.success_at as moment from payments p
  where p.state in ('paid', 'late')
  union all
  select r.payment_id, r.id, p.mchid, r.billed_day, r.accepted_at from refunds r join payments p on p.id = r.payment_id
  where r.accepted_at is not null and r.state <> 'closed'
), days as (
  select o.*, (o.moment at time zone 'Asia/Shanghai')::date as day from ours o where o.billed_day is null
)
select d.payment_id, d.refund_id, d.day from days d
where 3 = (select count(*) from bill_days b where b.mchid = d.mchid and b.kind = 'trade' and b.state = 'compared'
             and b.day between d.day - 1 and d.day + 1)
  and not exists (select from payment_differences k
                  where k.payment_id = d.payment_id and k.refund_id is not distinct from d.refund_id);

-- PAY-6 light: No dead money: what came too late is on its way back within half an hour, or a person has been told.
select p.id as payment_id, p.out_trade_no, p.success_at from payments p
where p.state = 'late' and p.refunded_fen < p.total_fen and p.success_at < clock_timestamp() - interval '30 minutes'
  and not exists (select from payment_differences k where k.payment_id = p.id and k.state = 'open');

-- PAY-7: Every fen is in the ledger: what an order holds, what is on its way back, what stands at WeChat after fees.
with sums as (
  select a.program_id, a.kind, a.owner_key, sum(e.amount) as fen from accounts a join entries e on e.account_id = a.id
  where a.asset = 'fen' and a.kind in ('order_money', 'refund_due', 'wechat', 'payment_fees') group by a.id
), expected as (
  select p.program_id, 'order_money' as kind, 'payment:' || p.id as owner_key,
         p.total_fen - p.refunded_fen - case when p.state = 'paid' then
           coalesce((select sum(r.cash_fen) from codes c join redemptions r on r.code_id = c.id and r.undone_at is null
                     where c.order_id = p.subject_ref), 0) else 0 end as fen
  from payments p where p.state in ('paid', 'late')
  union all
  select p.program_id, 'refund_due', 'payment:' || p.id,
         coalesce((select sum(r.fen) from refunds r where r.payment_id = p.id
                   and r.state in ('asked', 'processing', 'abnormal')), 0)
  from payments p where p.state in ('paid', 'late')
  union all
  select x.program_id, 'wechat', x.mchid, sum(x.fen) from (
    select program_id, mchid, -total_fen as fen from payments where state in ('paid', 'late')
    union all
    select p.program_id, p.mchid, r.fen from refunds r join payments p on p.id = r.payment_id where r.state = 'success'
    union all
    select program_id, owner_key, -fen from sums where kind = 'payment_fees'
  ) x group by x.program_id, x.mchid
)
select coalesce(e.program_id, s.program_id) as program_id, coalesce(e.kind, s.kind) as kind,
       coalesce(e.owner_key, s.owner_key) as owner, e.fen as expected, s.fen as booked
from expected e
full join (select * from sums where kind <> 'payment_fees') s using (program_id, kind, owner_key)
where coalesce(e.fen, 0) <> coalesce(s.fen, 0);
