-- Why a code can't be used in this shop by this clerk at this moment, in the order in which one would say it; null when it
-- can. `local` is the moment in Shanghai.
create function scan_refusal(c codes, s shops, m merchants, t use_terms, staff bigint, pieces bigint, wanted_step bigint,
                             moment timestamptz, local timestamp)
returns text
language sql stable as $$
  select case
    when not (c.merchant_id = m.id or coalesce(t.group_code = m.group_code, false)) then 'code_wrong_shop'
    when not coalesce(s.id = any (t.shop_ids), true)
      and not exists (select from code_moves v where v.code_id = c.id) then 'code_wrong_shop'
    when c.person_id = staff then 'own_code'
    when c.state = 'redeemed' then 'code_used'
    when c.state = 'refunded' then 'code_refunded'
    when c.state = 'expired' or c.valid_until <= moment then 'code_expired'
    when c.held then 'code_held'
    when c.valid_from > moment then 'code_not_yet'
    when c.uses_left < pieces then 'code_uses_left'
    when m.state in ('paused', 'left') then 'merchant_paused'
    when s.state <> 'open' then 'shop_paused'
    when local::date = any (t.blackout_days) then 'code_blackout'
    when extract(isodow from local) <> all (t.weekdays) then 'code_outside_hours'
    when t.opens < t.closes and not (local::time >= t.opens and local::time < t.closes) then 'code_outside_hours'
    when t.opens > t.closes and not (local::time >= t.opens or local::time < t.closes) then 'code_outside_hours'
    when wanted_step is not null and exists (
      select from redemptions x where x.code_id = c.id and x.step = wanted_step) then 'code_stale'
    when s.daily_quota < pieces + coalesce((select d.used from shop_days d
                                            where d.shop_id = s.id and d.day = local::date), 0) then 'shop_quota'
  end
$$;

-- As in 0012, with its rules in `scan_refusal`.
create or replace function redeem_code(mark bytea, wanted_step bigint, wanted_shop bigint, staff bigint, scan text, pieces bigint,
                            look boolean, scanned timestamptz, at timestamptz)
returns table (outcome text, facts jsonb, redemption_id bigint, code_id bigint, title text, title_en text,
               owed_fen bigint, quantity bigint, uses_left bigint, redeemed_at timestamptz, valid_until timestamptz,
               buyer bigint, clerk_name text, clerk_pseudonym text)
language plpgsql as $$
#variable_conflict use_column
declare
  moment timestamptz := coalesce(scanned, at);
  local timestamp := moment at time zone 'Asia/Shanghai';
  s shops;
  m merchants;
  c codes;
  t use_terms;
  r redemptions;
  made redemptions;
  found_role text;
begin
  select f.role into found_role from staff f where f.shop_id = wanted_shop and f.person_id = staff
    and f.active_from <= moment and (f.active_until is null or f.active_until > moment);
  if found_role is null then
    outcome := 'not_staff';
    return next;
    return;
  end if;
  select p.nickname, p.pseudonym into clerk_name, clerk_pseudonym from persons p where p.id = staff;
  select x.* into s from shops x where x.id = wanted_shop;
  select x.* into m from merchants x where x.id = s.merchant_id;
  if look then
    if octet_length(mark) = 32 then
      select x.* into c from codes x where x.code_hash = mark;
    else
      select x.* into c from codes x where x.code_hash >= mark and x.code_hash < mark || '\xffffffffffffffffffffffffffffffffff'::bytea;
    end if;
  elsif octet_length(mark) = 32 then
    select x.* into c from codes x where x.code_hash = mark for no key update;
  else
    select x.* into c from codes x where x.code_hash >= mark and x.code_hash < mark || '\xffffffffffffffffffffffffffffffffff'::bytea
    for no key update;
  end if;
  if c.id is null or c.program_id <> s.program_id or c.state = 'void' or c.how <> 'scan' then
    outcome := 'code_invalid';
    return next;
    return;
  end if;
  code_id := c.id;
  title := c.title;
  title_en := c.title_en;
  valid_until := c.valid_until;
  buyer := c.person_id;
  if not look then
    select x.* into r from redemptions x where x.staff_person_id = staff and x.scan_id = scan;
    if r.id is not null then
      outcome := case when r.code_id = c.id then 'repeated' else 'idempotency_conflict' end;
      made := r;
    end if;
  end if;
  if outcome is null then
    select x.* into t from use_terms x join orders o on o.item_id = x.item_id where o.id = c.order_id;
    outcome := scan_refusal(c, s, m, t, staff, pieces, wanted_step, moment, local);
    if outcome is null and not look and s.daily_quota is not null then
      insert into shop_days as d (shop_id, day, used, most) values (s.id, local::date, pieces, s.daily_quota)
      on conflict (shop_id, day) do update set used = d.used + pieces, most = excluded.most
      where d.used + pieces <= excluded.most;
      if not found then
        outcome := 'shop_quota';
      end if;
    end if;
    if outcome = 'code_used' then
      select jsonb_build_object('used_at', x.redeemed_at, 'shop', h.name, 'nickname', p.nickname,
                                'pseudonym', p.pseudonym) into facts
      from redemptions x left join shops h on h.id = x.shop_id left join persons p on p.id = x.staff_person_id
      where x.code_id = c.id and x.undone_at is null order by x.id desc limit 1;
    elsif outcome in ('merchant_paused', 'shop_paused') then
      facts := jsonb_build_object('reason', coalesce(case when outcome = 'shop_paused' then s.pause_reason end,
                                                     m.pause_reason, ''));
    elsif outcome = 'code_outside_hours' then
      facts := jsonb_build_object('weekdays', t.weekdays, 'opens', left(t.opens::text, 5), 'closes', left(t.closes::text, 5));
    elsif outcome = 'code_blackout' then
      facts := jsonb_build_object('day', local::date);
    elsif outcome = 'shop_quota' then
      facts := jsonb_build_object('quota', s.daily_quota::text);
    elsif outcome is not null then
      facts := jsonb_build_object('valid_from', c.valid_from, 'valid_until', c.valid_until, 'left', c.uses_left::text);
    elsif look then
      outcome := 'fine';
    else
      made := code_accrue(c, pieces, m, s.id, staff, scan, wanted_step, scanned, null, at);
      outcome := 'fine';
    end if;
  end if;
  redemption_id := made.id;
  if made.id is null then
    select sum(k * c.settlement_fen / c.uses - (k - 1) * c.settlement_fen / c.uses
               + k * c.cash_fen / c.uses - (k - 1) * c.cash_fen / c.uses) into owed_fen
    from generate_series(c.uses - c.uses_left + 1, least(c.uses - c.uses_left + pieces, c.uses)) k;
    quantity := pieces;
    uses_left := c.uses_left;
  else
    owed_fen := made.owed_fen + made.cash_fen;
    quantity := made.quantity;
    uses_left := case when outcome = 'repeated' then c.uses_left else c.uses_left - pieces end;
    redeemed_at := made.redeemed_at;
  end if;
  return next;
end $$;

-- Scans that reach one process at the same moment (in place of 0012's): plain codes, of one use and without an order's
-- money, are judged one by one and spent together with one posting, so that the accounts which all scans want are held for
-- its time only. A code with more to it, or a scan that may be a repetition, goes its own way as before, and then the
-- accounts of all are locked first, in the ledger's order.
create type scanned as (outcome text, facts jsonb, redemption_id bigint, code_id bigint, title text, title_en text,
                        owed_fen bigint, quantity bigint, uses_left bigint, redeemed_at timestamptz,
                        valid_until timestamptz, buyer bigint, clerk_name text, clerk_pseudonym text);
create type plain_scan as (n bigint, made_id bigint, code_id bigint, shop_id bigint, staff bigint, scan text, step bigint,
                           verdict scanned);

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
    select l.n, jsonb_build_object('p', l.program_id, 'r', 'redeem', 's', 'redemption:' || l.made_id, 'm', '{}'::jsonb,
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
  spent plain_scan[];
  one plain_scan;
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
  select coalesce(array_agg((x.n, nextval(pg_get_serial_sequence('redemptions', 'id')), (x.c).id, x.shop, x.staff, x.scan,
           x.step, ('fine', null, null, (x.c).id, (x.c).title, (x.c).title_en, (x.c).settlement_fen, 1, 0, at,
                    (x.c).valid_until, (x.c).person_id, x.nickname, x.pseudonym)::scanned)::plain_scan), '{}') into spent
  from (
    select w.*, c, p.nickname, p.pseudonym, count(*) over (partition by c.id) as same_code,
           count(*) over (partition by w.staff, w.scan) as same_scan,
           w.many = 1 and c.uses = 1 and c.cash_fen = 0 and s.daily_quota is null
             and c.program_id = s.program_id and c.state = 'issued' and c.how = 'scan'
             and exists (select from staff f where f.shop_id = w.shop and f.person_id = w.staff
                           and f.active_from <= at and (f.active_until is null or f.active_until > at))
             and not exists (select from redemptions r where r.staff_person_id = w.staff and r.scan_id = w.scan)
             and scan_refusal(c, s, m, t, w.staff, 1, w.step, at, at at time zone 'Asia/Shanghai') is null as plain
    from unnest(marks, steps, shops, staffs, scans, pieces) with ordinality as w (mark, step, shop, staff, scan, many, n)
    left join codes c on c.id = any (found_codes) and c.code_hash >= w.mark
      and c.code_hash < w.mark || '\xffffffffffffffffffffffffffffffffff'::bytea
    left join shops s on s.id = w.shop left join merchants m on m.id = s.merchant_id
    left join persons p on p.id = w.staff
    left join orders o on o.id = c.order_id left join use_terms t on t.item_id = o.item_id
  ) x where x.plain and x.same_code = 1 and x.same_scan = 1;
  if cardinality(spent) < cardinality(marks) and cardinality(marks) > 1 then
    perform 1 from shop_days d where d.shop_id = any (shops) and d.day = (at at time zone 'Asia/Shanghai')::date
    order by d.shop_id for update;
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
  for place in 1 .. cardinality(marks) loop
    select x.* into one from unnest(spent) x where x.n = place;
    if one.n is null then
      select r.* into judged from redeem_code(marks[place], steps[place], shops[place], staffs[place], scans[place],
                                              pieces[place], false, null, at) r;
    else
      judged := one.verdict;
      judged.redemption_id := one.made_id;
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
