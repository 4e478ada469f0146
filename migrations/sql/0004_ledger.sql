-- The ledger's one way in (LED-1 … LED-9). A batch is a JSON array of transfers:
--   {"p": program, "r": reason, "s": source_ref, "m": memo, "v": reverses or null, "l": [[account, amount], …]}
-- Idempotency first: a (reason, source_ref) that stands already is answered with the first, and with other legs it is a
-- conflict. Then the guarded accounts are locked in one order (slices of budgets before wallets, by id), so that no two
-- batches deadlock. System accounts take entries only.
create function ledger_post(batch jsonb, at timestamptz)
returns table (ord bigint, transfer_id bigint, fresh boolean)
language plpgsql as $$
declare
  fresh_ids bigint[];
  t_ids bigint[];
  legs bigint[];
  accs bigint[];
  amts bigint[];
  bad text;
begin
  with input as (
    select distinct on (x.t->>'r', x.t->>'s') x.o, x.t from jsonb_array_elements(batch) with ordinality as x (t, o)
    order by x.t->>'r', x.t->>'s', x.o
  ), inserted as (
    insert into transfers (program_id, reason, source_ref, legs_hash, reverses, memo, posted_at)
    select (t->>'p')::bigint, t->>'r', t->>'s', encode(sha256(convert_to((t->'l')::text, 'UTF8')), 'hex'),
           (t->>'v')::bigint, coalesce(t->'m', '{}'), at
    from input order by t->>'r', t->>'s'
    on conflict (reason, source_ref) do nothing
    returning id, reason, source_ref
  ), unfolded as (
    select f.id, (l.n)::bigint as leg, (l.v->>0)::bigint as acc, (l.v->>1)::bigint as amt, i.o
    from inserted f join input i on i.t->>'r' = f.reason and i.t->>'s' = f.source_ref
    cross join lateral jsonb_array_elements(i.t->'l') with ordinality as l (v, n)
  )
  select (select coalesce(array_agg(id), '{}') from inserted),
         array_agg(id order by o, leg), array_agg(leg order by o, leg),
         array_agg(acc order by o, leg), array_agg(amt order by o, leg)
  into fresh_ids, t_ids, legs, accs, amts from unfolded;

  if cardinality(fresh_ids) > 0 then
    perform 1 from accounts a where a.guarded and a.id = any (accs) order by (a.kind <> 'budget'), a.id for update;

    with leg as (
      select * from unnest(t_ids, legs, accs, amts) with ordinality as x (tid, leg, acc, amt, n)
    ), running as (
      select l.*, sum(amt) over w as sum_so_far, row_number() over w as k
      from leg l window w as (partition by acc order by n)
    ), total as (
      select acc, sum(amt) as amount, count(*) as n from leg group by acc
    ), moved as (
      update accounts a set balance = a.balance + t.amount, version = a.version + t.n
      from total t where a.id = t.acc and a.guarded
      returning a.id, a.balance - t.amount as before, a.version - t.n as version_before
    )
    insert into entries (transfer_id, leg, program_id, account_id, amount, account_seq, balance_after)
    select r.tid, r.leg, a.program_id, r.acc, r.amt, m.version_before + r.k, m.before + r.sum_so_far
    from running r left join accounts a on a.id = r.acc left join moved m on m.id = r.acc;
  end if;

  select x.t->>'r' || ' ' || (x.t->>'s') into bad
  from jsonb_array_elements(batch) as x (t) join transfers f on f.reason = x.t->>'r' and f.source_ref = x.t->>'s'
  where f.legs_hash <> encode(sha256(convert_to((x.t->'l')::text, 'UTF8')), 'hex') limit 1;
  if bad is not null then
    raise exception 'ledger conflict: %', bad using errcode = 'DL409';
  end if;

  return query
    select x.o, f.id, f.id = any (fresh_ids)
    from jsonb_array_elements(batch) with ordinality as x (t, o)
    join transfers f on f.reason = x.t->>'r' and f.source_ref = x.t->>'s'
    order by x.o;
end $$;

-- Second wall (LED-1): legs of a transfer arrive together, sum to zero in each asset, and never join an old transfer.
create function entries_balance() returns trigger language plpgsql as $$
declare bad bigint;
begin
  select n.transfer_id into bad from added n join accounts a on a.id = n.account_id
  group by n.transfer_id, a.asset having sum(n.amount) <> 0 limit 1;
  if bad is not null then
    raise exception 'transfer % does not sum to zero', bad using errcode = 'check_violation', constraint = 'entries_sum_to_zero';
  end if;
  select n.transfer_id into bad from added n join transfers t on t.id = n.transfer_id
  where t.posted_xid <> pg_current_xact_id()::text::bigint
     or exists (select from entries e where e.transfer_id = n.transfer_id
                and not exists (select from added m where m.transfer_id = e.transfer_id and m.leg = e.leg)) limit 1;
  if bad is not null then
    raise exception 'transfer % is closed', bad using errcode = 'restrict_violation';
  end if;
  return null;
end $$;

create trigger entries_balance after insert on entries referencing new table as added
  for each statement execute function entries_balance();

select make_append_only('transfers');
select make_append_only('entries');
select make_append_only('lot_uses');
select make_append_only('final_ranks');

-- Take capacity of a budget for an amount, without one hot row: any free slice that has enough, else all slices in order,
-- gathered into the first. Answers the slice's account and what it may pay; less than wanted means that the rest must
-- wait. While somebody waits, newcomers get nothing (strictly first come, first served per budget).
create function budget_reserve(wanted_budget bigint, wanted bigint, at timestamptz)
returns table (account_id bigint, granted bigint)
language plpgsql as $$
declare
  found_account bigint;
  whole bigint;
  program bigint;
  gather jsonb;
begin
  if not exists (select from awards w where w.budget_id = wanted_budget and w.state = 'pending') then
    select a.id into found_account from budget_slices s join accounts a on a.id = s.account_id
    where s.budget_id = wanted_budget and a.balance >= wanted
    order by random() limit 1 for update of a skip locked;
    if found_account is not null
       and not exists (select from awards w where w.budget_id = wanted_budget and w.state = 'pending')
       and exists (select from budgets b where b.id = wanted_budget and b.state = 'open') then
      return query select found_account, wanted;
      return;
    end if;
  end if;

  perform 1 from budget_slices s join accounts a on a.id = s.account_id
  where s.budget_id = wanted_budget order by a.id for update of a;
  select min(a.id), sum(a.balance), min(a.program_id) into found_account, whole, program
  from budget_slices s join accounts a on a.id = s.account_id where s.budget_id = wanted_budget;
  if exists (select from awards w where w.budget_id = wanted_budget and w.state = 'pending')
     or exists (select from budgets b where b.id = wanted_budget and b.state <> 'open') then
    return query select found_account, 0::bigint;
    return;
  end if;
  select jsonb_agg(jsonb_build_array(a.id, -a.balance) order by a.id)
         || jsonb_build_array(jsonb_build_array(found_account, sum(a.balance)))
  into gather
  from budget_slices s join accounts a on a.id = s.account_id
  where s.budget_id = wanted_budget and a.id <> found_account and a.balance > 0;
  if gather is not null then
    perform ledger_post(jsonb_build_array(jsonb_build_object(
      'p', program, 'r', 'budget.gather', 's', wanted_budget || ':' || gen_random_uuid(), 'l', gather)), at);
  end if;
  return query select found_account, least(whole, wanted);
end $$;
