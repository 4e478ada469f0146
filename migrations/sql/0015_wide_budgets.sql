-- Each open budget with fewer than 64 slices: the missing ones, then one transfer that spreads what is left over all.
do $$
declare
  budget record;
  legs jsonb;
begin
  for budget in select b.id, b.program_id, b.code from budgets b where b.state = 'open' order by b.id loop
    insert into accounts (program_id, asset, kind, owner_key, guarded, balance)
    select budget.program_id, 'credits', 'budget', budget.code || ':' || n, true, 0 from generate_series(0, 63) n
    on conflict do nothing;
    insert into budget_slices (budget_id, slice_no, account_id)
    select budget.id, n, a.id from generate_series(0, 63) n
    join accounts a on a.program_id = budget.program_id and a.asset = 'credits' and a.kind = 'budget'
      and a.owner_key = budget.code || ':' || n
    on conflict do nothing;
    select jsonb_agg(jsonb_build_array(x.id, x.target - x.balance) order by x.id) filter (where x.target <> x.balance)
    into legs
    from (
      select a.id, a.balance, div(sum(a.balance) over (), 64)::bigint
             + case when s.slice_no < mod(sum(a.balance) over (), 64) then 1 else 0 end as target
      from budget_slices s join accounts a on a.id = s.account_id where s.budget_id = budget.id
    ) x;
    if legs is not null then
      perform ledger_post(jsonb_build_array(jsonb_build_object('p', budget.program_id, 'r', 'budget.gather',
        's', budget.id || ':widen', 'l', legs)), now());
    end if;
  end loop;
end $$;
