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
  fresh_ords bigint[];
  t_ids bigint[];
  legs bigint[];
  accs bigint[];
  amts bigint[];
  bad text;
begin
  with input as (
    select distinct on (x.t->>'r', x.t->>'s') x.o, x.t, x.t->>'r' as r, x.t->>'s' as s
    from jsonb_array_elements(batch) with ordinality as x (t, o)
    order by x.t->>'r', x.t->>'s', x.o
  ), inserted as (
    insert into transfers (program_id, reason, source_ref, legs_hash, reverses, memo, posted_at)
    select (t->>'p')::bigint, r, s, encode(sha256(convert_to((t->'l')::text, 'UTF8')), 'hex'),
           (t->>'v')::bigint, coalesce(t->'m', '{}'), at
    from input order by r, s
    on conflict (reason, source_ref) do nothing
    returning id, reason, source_ref
  ), placed as (
    select f.id, i.o, i.t from inserted f join input i on i.r = f.reason and i.s = f.source_ref
  ), unfolded as (
    select p.id, (l.n)::bigint as leg, (l.v->>0)::bigint as acc, (l.v->>1)::bigint as amt, p.o
    from placed p cross join lateral jsonb_array_elements(p.t->'l') with ordinality as l (v, n)
  )
  select (select coalesce(array_agg(id order by o), '{}') from placed),
         (select coalesce(array_agg(o order by o), '{}') from placed),
         array_agg(id order by o, leg), array_agg(leg order by o, leg),
         array_agg(acc order by o, leg), array_agg(amt order by o, leg)
  into fresh_ids, fresh_ords, t_ids, legs, accs, amts from unfolded;

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

  if cardinality(fresh_ids) = jsonb_array_length(batch) then
    return query select x.o, x.id, true from unnest(fresh_ords, fresh_ids) as x (o, id) order by x.o;
    return;
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
  select g.transfer_id into bad from (select transfer_id, count(*) as legs from added group by transfer_id) g
  join transfers t on t.id = g.transfer_id
  where t.posted_xid <> pg_current_xact_id()::text::bigint
     or g.legs <> (select count(*) from entries e where e.transfer_id = g.transfer_id) limit 1;
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

-- Take capacity of a budget for an amount, without one hot row: one slice by lot, or any free one that has enough, or a
-- wait for one; only in a shortage all slices in order, gathered and spread again over as many as can each pay such an
-- amount once more. Answers the slice's account and what it may pay; less than wanted means that the rest must wait. While
-- somebody waits, newcomers get nothing (strictly first come, first served per budget). No slice is held while all are
-- locked by id: a slice that was locked and found too small, or overtaken by a waiting award, is let go first. Held on to,
-- thirty clients on a drained budget met in deadlocks that PostgreSQL breaks one a second.
create function budget_slice(wanted_budget bigint, wanted bigint, patient boolean)
returns bigint
language plpgsql as $$
declare
  slices bigint;
  lot bigint;
  chosen bigint;
  got bigint;
begin
  if patient then
    -- All that have enough are busy: wait for one of them. Gathering is for a shortage only.
    select a.id into chosen from budget_slices s join accounts a on a.id = s.account_id
    where s.budget_id = wanted_budget and a.balance >= wanted order by random() limit 1;
    select a.id into got from accounts a where a.id = chosen and a.balance >= wanted for update;
  else
    -- A slice by lot is nearly always free and has enough; looking at all of them costs thirty times as much.
    select max(s.slice_no) + 1 into slices from budget_slices s where s.budget_id = wanted_budget;
    lot := floor(random() * slices);
    select a.id into got from budget_slices s join accounts a on a.id = s.account_id
    where s.budget_id = wanted_budget and s.slice_no = lot and a.balance >= wanted for update of a skip locked;
    if got is null then
      select a.id into got from budget_slices s join accounts a on a.id = s.account_id
      where s.budget_id = wanted_budget and a.balance >= wanted
      order by random() limit 1 for update of a skip locked;
    end if;
  end if;
  if got is null
     or exists (select from awards w where w.budget_id = wanted_budget and w.state = 'pending')
     or not exists (select from budgets b where b.id = wanted_budget and b.state = 'open') then
    raise exception using errcode = 'DL001', message = 'no slice';
  end if;
  return got;
exception when sqlstate 'DL001' then
  return null;  -- and with it go the locks that were taken here, also of slices that turned out too small
end $$;

create function budget_reserve(wanted_budget bigint, wanted bigint, at timestamptz)
returns table (account_id bigint, granted bigint)
language plpgsql as $$
declare
  found_account bigint;
  whole bigint;
  slices bigint;
  used bigint;
  part bigint;
  program bigint;
  legs jsonb;
begin
  if not exists (select from awards w where w.budget_id = wanted_budget and w.state = 'pending') then
    found_account := coalesce(
      budget_slice(wanted_budget, wanted, patient => false), budget_slice(wanted_budget, wanted, patient => true));
    if found_account is not null then
      return query select found_account, wanted;
      return;
    end if;
  end if;

  perform 1 from budget_slices s join accounts a on a.id = s.account_id
  where s.budget_id = wanted_budget order by a.id for update of a;
  select min(a.id), sum(a.balance), count(*), min(a.program_id) into found_account, whole, slices, program
  from budget_slices s join accounts a on a.id = s.account_id where s.budget_id = wanted_budget;
  if exists (select from awards w where w.budget_id = wanted_budget and w.state = 'pending')
     or exists (select from budgets b where b.id = wanted_budget and b.state <> 'open') then
    return query select found_account, 0::bigint;
    return;
  end if;

  used := greatest(least(slices, (whole - wanted) / greatest(wanted, 1)), 1);
  part := greatest(whole - wanted, 0) / used;
  select jsonb_agg(jsonb_build_array(x.id, x.target - x.balance) order by x.id) filter (where x.target <> x.balance)
  into legs
  from (
    select a.id, a.balance,
           case when a.id = found_account then whole - part * (used - 1)
                when row_number() over (order by a.id) <= used then part else 0 end as target
    from budget_slices s join accounts a on a.id = s.account_id where s.budget_id = wanted_budget
  ) x;
  if legs is not null then
    perform ledger_post(jsonb_build_array(jsonb_build_object(
      'p', program, 'r', 'budget.gather', 's', wanted_budget || ':' || gen_random_uuid(), 'l', legs)), at);
  end if;
  return query select found_account, least(whole, wanted);
end $$;
