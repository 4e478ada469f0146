-- As before, and whoever finds all slices busy waits for one that has enough, instead of locking and gathering all of
-- them: 32 clients on one budget of 16 slices had 0.40 of the rate of 32 budgets.
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
    select a.id into found_account from budget_slices s join accounts a on a.id = s.account_id
    where s.budget_id = wanted_budget and a.balance >= wanted
    order by random() limit 1 for update of a skip locked;
    if found_account is null then
      -- All that have enough are busy: wait for one of them. Gathering is for a shortage only.
      select a.id into found_account from budget_slices s join accounts a on a.id = s.account_id
      where s.budget_id = wanted_budget and a.balance >= wanted
      order by random() limit 1 for update of a;
    end if;
    if found_account is not null
       and not exists (select from awards w where w.budget_id = wanted_budget and w.state = 'pending')
       and exists (select from budgets b where b.id = wanted_budget and b.state = 'open') then
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
