-- As before, and without a lock held out of order: a slice that was locked and found too small, or overtaken by a waiting
-- award, is let go before all are locked by id. Held on to, thirty clients on a drained budget met in deadlocks that
-- PostgreSQL breaks one a second.
create or replace function budget_slice(wanted_budget bigint, wanted bigint)
returns bigint
language plpgsql as $$
declare
  chosen bigint;
  got bigint;
begin
  select a.id into got from budget_slices s join accounts a on a.id = s.account_id
  where s.budget_id = wanted_budget and a.balance >= wanted
  order by random() limit 1 for update of a skip locked;
  if got is null then
    -- All that have enough are busy: wait for one of them. Gathering is for a shortage only.
    select a.id into chosen from budget_slices s join accounts a on a.id = s.account_id
    where s.budget_id = wanted_budget and a.balance >= wanted order by random() limit 1;
    select a.id into got from accounts a where a.id = chosen and a.balance >= wanted for update;
  end if;
  if got is null
     or exists (select from awards w where w.budget_id = wanted_budget and w.state = 'pending')
     or not exists (select from budgets b where b.id = wanted_budget and b.state = 'open') then
    raise exception using errcode = 'DL001', message = 'no slice';
  end if;
  return got;
exception when sqlstate 'DL001' then
  return null;
end $$;

create or replace function budget_reserve(wanted_budget bigint, wanted bigint, at timestamptz)
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
    found_account := budget_slice(wanted_budget, wanted);
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
