-- The ledger's invariants. Each statement answers the rows that break its rule: none means that the rule holds.
-- "light" ones are cheap enough for every five minutes.

-- LED-1: Every transfer has legs, and they sum to zero in each asset.
select t.id as transfer_id, a.asset, sum(e.amount) as difference
from transfers t left join entries e on e.transfer_id = t.id left join accounts a on a.id = e.account_id
group by t.id, a.asset having sum(e.amount) is distinct from 0;

-- LED-2 light: The whole book sums to zero per program and asset.
select e.program_id, a.asset, sum(e.amount) as difference
from entries e join accounts a on a.id = e.account_id group by e.program_id, a.asset having sum(e.amount) <> 0;

-- LED-3 light: A stored balance and its version equal the journal; system accounts store none.
select a.id as account_id, a.kind, a.balance, e.total, a.version, e.legs
from accounts a
left join (select account_id, sum(amount) as total, count(*) as legs from entries group by account_id) e
  on e.account_id = a.id
where case when a.guarded then a.balance is distinct from coalesce(e.total, 0) or a.version <> coalesce(e.legs, 0)
           else a.balance is not null or a.version <> 0 end;

-- LED-4: An account's entries are numbered 1 to n without a gap, and balance_after is the running sum.
select account_id, account_seq, balance_after, running, place
from (
  select e.account_id, e.account_seq, e.balance_after, a.guarded, sum(e.amount) over w as running,
         row_number() over w as place
  from entries e join accounts a on a.id = e.account_id
  window w as (partition by e.account_id order by e.account_seq, e.transfer_id, e.leg)
) x
where case when guarded then running is distinct from balance_after or place is distinct from account_seq
           else balance_after is not null or account_seq is not null end;

-- LED-5 light: A guarded account was never below zero; wallets, budgets and what we owe are guarded.
select a.id as account_id, a.kind, null::bigint as account_seq, a.balance as amount from accounts a
where (a.guarded and (a.balance is null or a.balance < 0))
   or (not a.guarded and a.kind in ('wallet', 'hold', 'budget', 'budget_money', 'payable', 'welfare', 'saved', 'order_money',
                                        'refund_due', 'payout', 'match'))
union all
select e.account_id, 'entry', e.account_seq, e.balance_after from entries e where e.balance_after < 0;

-- LED-6: The database refuses update, delete and truncate of the ledger, the audit and frozen ranks.
select w.tab, w.suffix
from (
  select tab, suffix, kind from unnest(array['transfers', 'entries', 'lot_uses', 'audit', 'final_ranks']) as t (tab)
  cross join (values ('_append_only', 27), ('_no_truncate', 34)) as s (suffix, kind)
) w
where not exists (
  select from pg_trigger g
  where g.tgrelid = to_regclass(w.tab) and g.tgname = w.tab || w.suffix and g.tgenabled in ('O', 'A')
    and g.tgtype = w.kind and g.tgfoid = to_regproc('refuse_change'))
union all
select 'entries', 'entries_balance'
where not exists (
  select from pg_trigger g
  where g.tgrelid = to_regclass('entries') and g.tgname = 'entries_balance' and g.tgenabled in ('O', 'A'));

-- LED-7: Money, credits and grams are whole numbers.
select table_name::text, column_name::text, data_type::text from information_schema.columns
where table_schema = 'public' and data_type not in ('bigint', 'integer')
  and column_name ~ '(^|_)(amount|balance|balance_after|credits|mg|fen|micro|remaining|carry_before|carry_after)$';

-- LED-8: A transfer, its legs, their accounts and their lots belong to one program.
select e.transfer_id, e.leg, e.program_id
from entries e join transfers t on t.id = e.transfer_id join accounts a on a.id = e.account_id
where e.program_id <> t.program_id or e.program_id <> a.program_id
union all
select l.id, null, l.program_id from lots l join accounts a on a.id = l.account_id join budgets b on b.id = l.budget_id
where l.program_id <> a.program_id or l.program_id <> b.program_id;

-- LED-9: A transfer is reversed at most once, and by its exact negation.
with pairs as (select id, reverses from transfers where reverses is not null),
back as (select p.reverses as id, e.account_id, sum(e.amount) as amount
         from pairs p join entries e on e.transfer_id = p.id group by p.reverses, e.account_id),
first as (select e.transfer_id as id, e.account_id, sum(e.amount) as amount
          from entries e where e.transfer_id in (select reverses from pairs) group by e.transfer_id, e.account_id)
select id as transfer_id, account_id, first.amount, back.amount as reversed
from first full join back using (id, account_id) where back.amount is distinct from -first.amount
union all
select reverses, null, null, count(*) from pairs group by reverses having count(*) > 1;

-- LED-10: What remains in a wallet's lots is its balance; nothing is spent after its end; a lot expires at most once.
select 'balance' as what, a.id from wallets w join accounts a on a.id = w.credits_account_id
left join (select account_id, sum(remaining) as remaining from lots group by account_id) l on l.account_id = a.id
where a.balance is distinct from coalesce(l.remaining, 0)
union all
select 'remaining', l.id from lots l
left join (select lot_id, sum(amount) as used from lot_uses group by lot_id) u on u.lot_id = l.id
where l.remaining <> l.amount - coalesce(u.used, 0) or l.remaining not between 0 and l.amount
union all
select 'spent after its end', u.lot_id from lot_uses u join lots l on l.id = u.lot_id
where u.kind = 'spend' and u.used_at >= l.expires_at
union all
select 'expired twice', lot_id from lot_uses where kind = 'expire' group by lot_id having count(*) > 1
union all
select 'more into lots than awards paid', l.id from lots l
left join (select lot_id, sum(credits) as paid from awards where state in ('paid', 'reversed') group by lot_id) w
  on w.lot_id = l.id
left join (select into_lot_id, sum(amount) as renewed from lot_uses where kind = 'renew' group by into_lot_id) n
  on n.into_lot_id = l.id
where l.amount <> coalesce(w.paid, 0) + coalesce(n.renewed, 0);

-- IDM-1 light: One effect per natural key.
select 'transfer' as what, reason || ' ' || source_ref as key from transfers
group by reason, source_ref having count(*) > 1
union all
select 'award', reason || ' ' || source_ref from awards group by reason, source_ref having count(*) > 1
union all
select 'record', program_id || ' ' || source_id || ' ' || reference from records
group by program_id, source_id, reference having count(*) > 1
union all
select 'deposit', budget_id || ' ' || reference from deposits group by budget_id, reference having count(*) > 1
union all
select 'order', person_id || ' ' || client_ref from orders group by person_id, client_ref having count(*) > 1
union all
select 'payment', out_trade_no from payments group by out_trade_no having count(*) > 1
union all
select 'refund', out_refund_no from refunds group by out_refund_no having count(*) > 1
union all
select 'notice', mchid || ' ' || notice_id from payment_notices group by mchid, notice_id having count(*) > 1
union all
select 'gift', person_id || ' ' || client_ref from gifts group by person_id, client_ref having count(*) > 1
union all
select 'scan', staff_person_id || ' ' || scan_id from redemptions
group by staff_person_id, scan_id having count(*) > 1;
