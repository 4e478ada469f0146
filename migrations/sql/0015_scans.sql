-- Scans that reach one process at the same moment (in place of 0012's): plain codes, of one use and without an order's
-- money, are judged one by one and spent together with one posting, so that the accounts which all scans want are held for
-- its time only. A code with more to it, or a scan that may be a repetition, goes its own way as before, and then the
-- accounts of all are locked first, in the ledger's order.
create type scanned as (outcome text, facts jsonb, redemption_id bigint, code_id bigint, title text, title_en text,
                        owed_fen bigint, quantity bigint, uses_left bigint, redeemed_at timestamptz,
                        valid_until timestamptz, buyer bigint, clerk_name text, clerk_pseudonym text);
create type plain_scan as (n bigint, made_id bigint, code_id bigint, shop_id bigint, staff bigint, scan text, step bigint);

create function spend_plain(scans plain_scan[], at timestamptz)
returns void
language plpgsql as $$
declare
  drafts jsonb;
  posted bigint[];
begin
  update codes c set uses_left = 0, state = 'redeemed' from unnest(scans) s where c.id = s.code_id;
  update orders o set state = 'fulfilled', fulfilled_at = at
  where o.id in (select c.order_id from unnest(scans) s join codes c on c.id = s.code_id) and o.state = 'paid'
    and (o.quantity = 1 or not exists (select from codes y where y.order_id = o.id and y.state = 'issued'));
  insert into outbox (program_id, event, payload)
  select c.program_id, 'code.redeemed', jsonb_build_object('redemption_id', s.made_id, 'code_id', c.id)
  from unnest(scans) s join codes c on c.id = s.code_id order by s.n;

  with part as (
    select s.n, s.made_id, c.id as code_id, c.program_id, f.lot_id, f.budget_id, f.credits, f.draw_fen, m.payable_account_id,
           (f.draw_fen * 1000 + f.price_fen - 1) / f.price_fen as spent
    from unnest(scans) s join codes c on c.id = s.code_id join code_fundings f on f.code_id = c.id
    join shops h on h.id = s.shop_id join merchants m on m.id = h.merchant_id
  ), leg as (
    select p.n, p.made_id, p.program_id, p.lot_id, x.k, x.account, x.amount
    from part p cross join lateral (values
      (1, (select b.money_account_id from budgets b where b.id = p.budget_id), -p.draw_fen),
      (2, p.payable_account_id, p.draw_fen),
      (3, account_of(p.program_id, 'credits', 'committed', '', false), -p.credits),
      (4, account_of(p.program_id, 'credits', 'spent', '', false), p.spent),
      (5, (select l.account_id from budget_slices l where l.budget_id = p.budget_id and l.slice_no = p.code_id % (
             select max(y.slice_no) + 1 from budget_slices y where y.budget_id = p.budget_id)), p.credits - p.spent)
    ) as x (k, account, amount)
    where x.amount <> 0
  ), draft as (
    select l.n, jsonb_build_object('p', l.program_id, 'r', 'redeem', 's', 'redemption:' || l.made_id, 'm', '{}',
                                   'l', jsonb_agg(jsonb_build_array(l.account, l.amount) order by l.lot_id, l.k)) as one
    from leg l group by l.n, l.made_id, l.program_id
  )
  select jsonb_agg(d.one order by d.n), array_agg(d.n order by d.n) into drafts, posted from draft d;

  with booked as (  -- what everybody wants comes last: the account of the budget's money, and of the merchant
    select posted[x.ord] as n, x.transfer_id from ledger_post(coalesce(drafts, '[]'), at) x
  )
  insert into redemptions (id, program_id, code_id, shop_id, merchant_id, staff_person_id, scan_id, quantity, use_numbers,
                           owed_fen, cash_fen, step, transfer_id, redeemed_at)
  select s.made_id, c.program_id, c.id, s.shop_id, h.merchant_id, s.staff, s.scan, 1, '{1}', c.settlement_fen, 0, s.step,
         b.transfer_id, at
  from unnest(scans) s join codes c on c.id = s.code_id join shops h on h.id = s.shop_id left join booked b on b.n = s.n
  order by s.n;
end $$;

create or replace function redeem_codes(marks bytea[], steps bigint[], shops bigint[], staffs bigint[], scans text[],
                                        pieces bigint[], at timestamptz)
returns table (outcome text, facts jsonb, redemption_id bigint, code_id bigint, title text, title_en text,
               owed_fen bigint, quantity bigint, uses_left bigint, redeemed_at timestamptz, valid_until timestamptz,
               buyer bigint, clerk_name text, clerk_pseudonym text)
language plpgsql as $$
#variable_conflict use_column
declare
  found_orders bigint[];
  found_codes bigint[];
  plain_numbers bigint[];
  spent plain_scan[] := '{}';
  judged scanned;
  verdicts scanned[] := '{}';
begin
  with wanted as (
    select c.id from unnest(marks) m (mark) join codes c on c.code_hash = m.mark where octet_length(m.mark) = 32
    union
    select c.id from unnest(marks) m (mark) join codes c
      on c.code_hash >= m.mark and c.code_hash < m.mark || '\xffffffffffffffffffffffffffffffffff'::bytea
    where octet_length(m.mark) < 32
  ), locked as (
    select c.id, c.order_id from codes c where c.id in (select w.id from wanted w) order by c.id for no key update
  )
  select array_agg(l.order_id), array_agg(l.id) into found_orders, found_codes from locked l;
  perform 1 from orders o where o.id = any (found_orders) order by o.id for no key update;
  select coalesce(array_agg(x.n), '{}') into plain_numbers from (
    select w.n, count(*) over (partition by w.mark) as same_code, count(*) over (partition by w.staff, w.scan) as same_scan
    from unnest(marks, shops, staffs, scans, pieces) with ordinality as w (mark, shop, staff, scan, many, n)
    join codes c on c.id = any (found_codes) and c.code_hash >= w.mark
      and c.code_hash < w.mark || '\xffffffffffffffffffffffffffffffffff'::bytea
    join shops h on h.id = w.shop
    where w.many = 1 and c.uses = 1 and c.cash_fen = 0 and h.daily_quota is null
      and not exists (select from redemptions r where r.staff_person_id = w.staff and r.scan_id = w.scan)
  ) x where x.same_code = 1 and x.same_scan = 1;
  if cardinality(plain_numbers) < cardinality(marks) and cardinality(marks) > 1 then
    perform 1 from accounts a where a.id in (
      select b.money_account_id from code_fundings f join budgets b on b.id = f.budget_id
      where f.code_id = any (found_codes)
      union
      select s.account_id from code_fundings f join budget_slices s on s.budget_id = f.budget_id
        and s.slice_no = f.code_id % (select max(x.slice_no) + 1 from budget_slices x where x.budget_id = f.budget_id)
      where f.code_id = any (found_codes)
      union
      select m.payable_account_id from shops h join merchants m on m.id = h.merchant_id where h.id = any (shops))
    order by (a.kind <> 'budget'), a.id for update;
  end if;
  for n in 1 .. cardinality(marks) loop
    select r.* into judged from redeem_code(marks[n], steps[n], shops[n], staffs[n], scans[n], pieces[n],
                                            n = any (plain_numbers), null, at) r;
    if n = any (plain_numbers) and judged.outcome = 'fine' then
      judged.redemption_id := nextval(pg_get_serial_sequence('redemptions', 'id'));
      judged.redeemed_at := at;
      judged.uses_left := 0;
      spent := spent || (n, judged.redemption_id, judged.code_id, shops[n], staffs[n], scans[n], steps[n])::plain_scan;
    end if;
    verdicts := verdicts || judged;
  end loop;
  if spent <> '{}' then
    perform spend_plain(spent, at);
  end if;
  return query select v.outcome, v.facts, v.redemption_id, v.code_id, v.title, v.title_en, v.owed_fen, v.quantity,
    v.uses_left, v.redeemed_at, v.valid_until, v.buyer, v.clerk_name, v.clerk_pseudonym
  from unnest(verdicts) with ordinality as v (outcome, facts, redemption_id, code_id, title,
    title_en, owed_fen, quantity, uses_left, redeemed_at, valid_until, buyer, clerk_name, clerk_pseudonym, n)
    order by v.n;
end $$;
