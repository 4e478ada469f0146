-- A code is a promise of one piece, for one use or several, by scan or by the order's own steps.
alter table codes
  add column how text not null default 'scan',
  add column uses bigint not null default 1,
  add column uses_left bigint not null default 1,
  add column cash_fen bigint not null default 0,
  add column on_expiry text not null default 'return',
  add column extend_days bigint not null default 0,
  add column extended_at timestamp with time zone,
  add constraint ck_codes_how check (how in ('scan','delivery','pool')),
  add constraint ck_codes_uses check (uses between 1 and 100 and uses_left between 0 and uses),
  add constraint ck_codes_cash check (cash_fen >= 0),
  add constraint ck_codes_ending check (on_expiry in ('return','forfeit') and extend_days between 0 and 365);
update codes set uses_left = 0 where state = 'redeemed';
alter table codes add constraint ck_codes_used_up check ((state = 'redeemed') = (uses_left = 0));
create index ix_codes_ending on codes (valid_until) where state = 'issued';

-- A redemption says which of the code's uses it spent. Without a clerk it is the order's own step (parcel received).
alter table redemptions
  alter column shop_id drop not null,
  alter column staff_person_id drop not null,
  alter column transfer_id drop not null,
  add column quantity bigint not null default 1,
  add column use_numbers bigint[] not null default '{1}',
  add column cash_fen bigint not null default 0,
  add column step bigint,
  add column scanned_at timestamp with time zone,
  add column held_reason text,
  add column held_at timestamp with time zone,
  add column released_at timestamp with time zone,
  add column released_by text,
  add constraint ck_redemptions_quantity check (quantity > 0 and cardinality(use_numbers) = quantity),
  add constraint ck_redemptions_owed check (owed_fen >= 0 and cash_fen >= 0),
  add constraint ck_redemptions_by_clerk check ((staff_person_id is null) = (shop_id is null)),
  add constraint ck_redemptions_held check ((held_reason is null) = (held_at is null)),
  add constraint ck_redemptions_released check (released_at is null or held_at is not null);
drop index uq_redemptions_live;
create unique index uq_redemptions_live on redemptions (code_id, (use_numbers[1])) where undone_at is null;
create unique index uq_redemptions_step on redemptions (code_id, step) where step is not null;
create unique index uq_redemptions_by_order on redemptions (scan_id) where staff_person_id is null;
create index ix_redemptions_merchant on redemptions (merchant_id, redeemed_at);
create index ix_redemptions_code on redemptions (code_id);
create index ix_redemptions_held on redemptions (held_at) where held_at is not null and released_at is null;

-- Merchants pause, belong to groups, and leave; shops have a place, hours, a quota a day.
alter table merchants
  drop constraint ck_merchants_state,
  add column group_code text,
  add column pause_reason text,
  add column paused_by text,
  add column leaving_at timestamp with time zone,
  add column left_at timestamp with time zone,
  add constraint ck_merchants_state check (state in ('active','paused','leaving','left'));
alter table shops
  add column lat_e6 bigint,
  add column lng_e6 bigint,
  add column opening_hours text not null default '',
  add column phone text not null default '',
  add column daily_quota bigint,
  add column state text not null default 'open',
  add column pause_reason text,
  add column paused_by text,
  add constraint ck_shops_place check ((lat_e6 is null) = (lng_e6 is null) and lat_e6 between -90000000 and 90000000
    and lng_e6 between -180000000 and 180000000),
  add constraint ck_shops_quota check (daily_quota > 0),
  add constraint ck_shops_state check (state in ('open','paused','closed'));
alter table staff drop constraint ck_staff_role,
  add constraint ck_staff_role check (role in ('clerk','manager','owner'));
create index ix_merchants_group on merchants (program_id, group_code) where group_code is not null;

-- How many a shop has redeemed on a Shanghai day, where it has a quota; the row is the guard.
create table shop_days (
  shop_id bigint not null,
  day date not null,
  used bigint not null,
  most bigint not null,
  constraint pk_shop_days primary key (shop_id, day),
  constraint ck_shop_days_within_quota check (used >= 0),
  constraint fk_shop_days_shop_id foreign key(shop_id) references shops (id)
);

-- When and where codes of an item may be used, as told before buying. No row: in all shops of the merchant, always.
create table use_terms (
  item_id bigint not null,
  group_code text,
  shop_ids bigint[],
  weekdays bigint[],
  opens time,
  closes time,
  blackout_days date[] default '{}' not null,
  constraint pk_use_terms primary key (item_id),
  constraint fk_use_terms_item_id foreign key(item_id) references items (id),
  constraint ck_use_terms_hours check ((opens is null) = (closes is null) and opens <> closes)
);

-- What some uses of a code draw, spend and give back, by the lots behind it. The price of use k of n is
-- floor(k*p/n) - floor((k-1)*p/n); the oldest lot is drawn first, so that the parts sum to each price to the fen.
create type use_part as (lot_id bigint, budget_id bigint, price_fen bigint, draw_fen bigint, spent bigint, back bigint);
create function use_parts(wanted_code bigint, numbers bigint[])
returns setof use_part
language sql stable as $$
  with f as (
    select x.*, (sum(x.draw_fen) over (order by x.lot_id) - x.draw_fen)::bigint as before,
           (x.draw_fen * 1000 + x.price_fen - 1) / x.price_fen as needed, c.uses as n, c.settlement_fen as p
    from code_fundings x join codes c on c.id = x.code_id where x.code_id = wanted_code
  ), u as (
    select f.*, k, greatest(least(k * p / n - before, f.draw_fen), 0) as upto,
           greatest(least((k - 1) * p / n - before, f.draw_fen), 0) as below
    from f cross join unnest(numbers) as k
  )
  select u.lot_id, u.budget_id, u.price_fen, sum(upto - below)::bigint,
         sum((upto * 1000 + u.price_fen - 1) / u.price_fen - (below * 1000 + u.price_fen - 1) / u.price_fen)::bigint,
         sum(k * (credits - needed) / n - (k - 1) * (credits - needed) / n)::bigint
  from u group by u.lot_id, u.budget_id, u.price_fen order by u.lot_id
$$;

-- What stands behind an issued code that was used in part: per lot, what its live redemptions have drawn and taken, and
-- what can still go back to a person. Uses that were undone out of their order may leave a part of one credit that is
-- spent already: it is never given back.
create function code_rest(wanted_code bigint)
returns table (lot_id bigint, budget_id bigint, price_fen bigint, left_credits bigint, free_credits bigint)
language sql stable as $$
  select f.lot_id, f.budget_id, f.price_fen, f.credits - coalesce(x.spent + x.back, 0),
         least(f.credits - coalesce(x.spent + x.back, 0),
               (f.credits * f.price_fen - coalesce(x.draw_fen, 0) * 1000) / f.price_fen - coalesce(x.back, 0))
  from code_fundings f
  left join use_parts(wanted_code, (select array_agg(k) from redemptions r cross join unnest(r.use_numbers) k
                                    where r.code_id = wanted_code and r.undone_at is null)) x on x.lot_id = f.lot_id
  where f.code_id = wanted_code order by f.lot_id
$$;

-- Where the money of an order waits.
create function order_money_of(wanted_order bigint)
returns bigint
language sql stable as $$
  select a.id from payments p
  join accounts a on a.program_id = p.program_id and a.asset = 'fen' and a.kind = 'order_money'
    and a.owner_key = 'payment:' || p.id
  where p.subject_kind = 'order' and p.subject_ref = wanted_order and p.state = 'paid'
$$;

-- Spend uses of a code whose row is locked: the merchant is owed, from the budgets behind it and from the order's money;
-- what the price leaves over returns to its budgets. The lowest free numbers are taken. Locks: order, ledger accounts.
create function code_accrue(c codes, pieces bigint, m merchants, shop bigint, staff bigint, scan text,
                            wanted_step bigint, scanned timestamptz, by_whom text, at timestamptz)
returns redemptions
language plpgsql as $$
declare
  made_id bigint;
  numbers bigint[];
  parts use_part[];
  part use_part;
  legs jsonb := '[]';
  owed bigint;
  cash bigint;
  money bigint;
  slices bigint;
  slice bigint;
  committed bigint;
  spent_account bigint;
  posted bigint;
  made redemptions;
begin
  made_id := nextval(pg_get_serial_sequence('redemptions', 'id'));
  update codes x set uses_left = x.uses_left - pieces,
    state = case when x.uses_left = pieces then 'redeemed' else x.state end where x.id = c.id;
  if c.uses_left = pieces then
    update orders o set state = 'fulfilled', fulfilled_at = at where o.id = c.order_id and o.state = 'paid'
      and (o.quantity = 1 or not exists (select from codes y where y.order_id = c.order_id and y.state = 'issued'));
  end if;
  committed := account_of(c.program_id, 'credits', 'committed', '', false);
  spent_account := account_of(c.program_id, 'credits', 'spent', '', false);
  if c.uses = 1 then  -- as below, without counting: what a queue waits for
    numbers := '{1}';
    owed := c.settlement_fen;
    cash := c.cash_fen;
    select array_agg((x.lot_id, x.budget_id, x.price_fen, x.draw_fen, x.spent, x.credits - x.spent)::use_part order by x.lot_id)
    into parts
    from (select f.*, (f.draw_fen * 1000 + f.price_fen - 1) / f.price_fen as spent from code_fundings f
          where f.code_id = c.id) x;
  else
    select array_agg(k) into numbers from (
      select k from generate_series(1, c.uses) k
      where not exists (select from redemptions r where r.code_id = c.id and r.undone_at is null
                          and k = any (r.use_numbers))
      order by k limit pieces) x;
    select coalesce(sum(k * c.settlement_fen / c.uses - (k - 1) * c.settlement_fen / c.uses), 0),
           coalesce(sum(k * c.cash_fen / c.uses - (k - 1) * c.cash_fen / c.uses), 0)
    into owed, cash from unnest(numbers) k;
    select array_agg(x order by x.lot_id) into parts from use_parts(c.id, numbers) x;
  end if;
  foreach part in array coalesce(parts, '{}') loop
    if part.draw_fen > 0 then
      select b.money_account_id into money from budgets b where b.id = part.budget_id;
      legs := legs || jsonb_build_array(jsonb_build_array(money, -part.draw_fen),
                                        jsonb_build_array(m.payable_account_id, part.draw_fen));
    end if;
    if part.spent + part.back > 0 then
      legs := legs || jsonb_build_array(jsonb_build_array(committed, -part.spent - part.back));
    end if;
    if part.spent > 0 then
      legs := legs || jsonb_build_array(jsonb_build_array(spent_account, part.spent));
    end if;
    if part.back > 0 then
      select max(s.slice_no) + 1 into slices from budget_slices s where s.budget_id = part.budget_id;
      select s.account_id into slice from budget_slices s
      where s.budget_id = part.budget_id and s.slice_no = c.id % slices;
      legs := legs || jsonb_build_array(jsonb_build_array(slice, part.back));
    end if;
  end loop;
  if cash > 0 then
    -- A part of the money may have gone back to the person meanwhile: the merchant gets what is there.
    money := order_money_of(c.order_id);
    select least(cash, a.balance) into cash from accounts a where a.id = money for update;
    cash := coalesce(cash, 0);
    if cash > 0 then
      legs := legs || jsonb_build_array(jsonb_build_array(money, -cash), jsonb_build_array(m.payable_account_id, cash));
    end if;
  end if;
  insert into outbox (program_id, event, payload)
  values (c.program_id, 'code.redeemed', jsonb_build_object('redemption_id', made_id, 'code_id', c.id));
  if legs <> '[]' then  -- what everybody wants comes last: the account of the budget's money, and of the merchant
    select x.transfer_id into posted from ledger_post(jsonb_build_array(jsonb_build_object(
      'p', c.program_id, 'r', 'redeem', 's', 'redemption:' || made_id, 'l', legs,
      'm', case when by_whom is null then '{}' else jsonb_build_object('by', by_whom) end)), at) x;
  end if;
  insert into redemptions (id, program_id, code_id, shop_id, merchant_id, staff_person_id, scan_id, quantity, use_numbers,
                           owed_fen, cash_fen, step, scanned_at, transfer_id, redeemed_at)
  values (made_id, c.program_id, c.id, shop, m.id, staff, scan, pieces, numbers, owed, cash, wanted_step, scanned, posted, at)
  returning * into made;
  return made;
end $$;

-- One scan in one call: who may, where, when, and whether the code is good; then it is spent, unless this is a look only.
-- `mark` is the keyed hash of a typed code, or the first half of it, which the picture carries. `outcome` is `fine`,
-- `repeated` (this clerk's same scan id), or the refusal's code; `facts` are its details.
create function redeem_code(mark bytea, wanted_step bigint, wanted_shop bigint, staff bigint, scan text, pieces bigint,
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
    outcome := case
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
    end;
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

-- Scans that reach one process at the same moment, each judged on its own. All codes and their orders are locked first,
-- in one order, so that two such calls, or one and a refund, never wait for each other in a ring.
create function redeem_codes(marks bytea[], steps bigint[], shops bigint[], staffs bigint[], scans text[],
                             pieces bigint[], at timestamptz)
returns table (outcome text, facts jsonb, redemption_id bigint, code_id bigint, title text, title_en text,
               owed_fen bigint, quantity bigint, uses_left bigint, redeemed_at timestamptz, valid_until timestamptz,
               buyer bigint, clerk_name text, clerk_pseudonym text)
language plpgsql as $$
#variable_conflict use_column
declare
  found_orders bigint[];
  found_codes bigint[];
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
  if cardinality(marks) > 1 then  -- the accounts of all of them, in the ledger's own order
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
    return query select r.* from redeem_code(marks[n], steps[n], shops[n], staffs[n], scans[n], pieces[n], false,
                                             null, at) r;
  end loop;
end $$;

-- A citizen asks to become a merchant; an operator approves, or refuses with a reason.
alter table merchants add column licence_no text not null default '';
create table merchant_applications (
  id bigint generated by default as identity,
  program_id bigint not null,
  person_id bigint not null,
  name text not null,
  name_en text default '' not null,
  licence_no text not null,
  phone_sealed bytea,
  shops jsonb not null,
  state text default 'submitted' not null,
  reason text default '' not null,
  merchant_id bigint,
  asked_at timestamp with time zone not null,
  decided_at timestamp with time zone,
  decided_by text,
  constraint pk_merchant_applications primary key (id),
  constraint ck_merchant_applications_state check (state in ('submitted','approved','refused','withdrawn')),
  constraint ck_merchant_applications_decided check ((state = 'submitted') = (decided_at is null)),
  constraint ck_merchant_applications_approved check ((state = 'approved') = (merchant_id is not null)),
  constraint fk_merchant_applications_program_id foreign key(program_id) references programs (id),
  constraint fk_merchant_applications_person_id foreign key(person_id) references persons (id),
  constraint fk_merchant_applications_merchant_id foreign key(merchant_id) references merchants (id)
);
create unique index uq_merchant_applications_open on merchant_applications (program_id, licence_no)
  where state in ('submitted','approved');
create index ix_merchant_applications_person on merchant_applications (person_id);

-- An owner shows a code, a person takes the job: once, for some hours.
create table staff_invitations (
  id bigint generated by default as identity,
  shop_id bigint not null,
  role text not null,
  token_hash bytea not null,
  made_by bigint not null,
  made_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  used_by bigint,
  used_at timestamp with time zone,
  constraint pk_staff_invitations primary key (id),
  constraint uq_staff_invitations_token_hash unique (token_hash),
  constraint ck_staff_invitations_role check (role in ('clerk','manager','owner')),
  constraint ck_staff_invitations_used check ((used_by is null) = (used_at is null)),
  constraint fk_staff_invitations_shop_id foreign key(shop_id) references shops (id),
  constraint fk_staff_invitations_made_by foreign key(made_by) references persons (id),
  constraint fk_staff_invitations_used_by foreign key(used_by) references persons (id)
);

-- What a merchant would like to offer; approved, it is an item of the mall with its terms of use.
create table offers (
  id bigint generated by default as identity,
  program_id bigint not null,
  merchant_id bigint not null,
  made_by bigint not null,
  name text not null,
  name_en text default '' not null,
  text_zh text default '' not null,
  text_en text default '' not null,
  picture text default '' not null,
  pieces bigint not null,
  price_credits bigint not null,
  settlement_fen bigint not null,
  uses bigint default 1 not null,
  per_person bigint,
  valid_days bigint default 90 not null,
  shop_ids bigint[],
  weekdays bigint[],
  opens time,
  closes time,
  blackout_days date[] default '{}' not null,
  state text default 'draft' not null,
  reason text default '' not null,
  item_id bigint,
  made_at timestamp with time zone not null,
  submitted_at timestamp with time zone,
  decided_at timestamp with time zone,
  decided_by text,
  constraint pk_offers primary key (id),
  constraint ck_offers_amounts check (pieces > 0 and price_credits > 0 and settlement_fen >= 0 and per_person > 0),
  constraint ck_offers_uses check (uses between 1 and 100 and valid_days between 1 and 730),
  constraint ck_offers_hours check ((opens is null) = (closes is null) and opens <> closes),
  constraint ck_offers_state check (state in ('draft','submitted','approved','refused','withdrawn')),
  constraint ck_offers_approved check ((state = 'approved') = (item_id is not null)),
  constraint fk_offers_program_id_merchant_id foreign key(program_id, merchant_id) references merchants (program_id, id),
  constraint fk_offers_made_by foreign key(made_by) references persons (id),
  constraint fk_offers_item_id foreign key(item_id) references items (id)
);
create index ix_offers_merchant on offers (merchant_id, id);
create index ix_offers_submitted on offers (submitted_at) where state = 'submitted';

-- A merchant that leaves may name another one for its live codes.
create table code_moves (
  code_id bigint not null,
  from_merchant_id bigint not null,
  to_merchant_id bigint not null,
  moved_at timestamp with time zone not null,
  moved_by text not null,
  constraint pk_code_moves primary key (code_id, moved_at),
  constraint fk_code_moves_code_id foreign key(code_id) references codes (id),
  constraint fk_code_moves_from_merchant_id foreign key(from_merchant_id) references merchants (id),
  constraint fk_code_moves_to_merchant_id foreign key(to_merchant_id) references merchants (id)
);

-- A till without a network signs what it scans and tells later; arrival decides.
create table shop_devices (
  id bigint generated by default as identity,
  shop_id bigint not null,
  person_id bigint not null,
  key_sealed bytea not null,
  made_at timestamp with time zone not null,
  ends_at timestamp with time zone not null,
  last_seq bigint default 0 not null,
  constraint pk_shop_devices primary key (id),
  constraint fk_shop_devices_shop_id foreign key(shop_id) references shops (id),
  constraint fk_shop_devices_person_id foreign key(person_id) references persons (id)
);
create index ix_shop_devices_person on shop_devices (person_id);
create table offline_lists (
  id bigint generated by default as identity,
  device_id bigint not null,
  digest bytea not null,
  answer jsonb not null,
  received_at timestamp with time zone not null,
  constraint pk_offline_lists primary key (id),
  constraint uq_offline_lists_device_id_digest unique (device_id, digest),
  constraint fk_offline_lists_device_id foreign key(device_id) references shop_devices (id)
);
create table offline_lines (
  device_id bigint not null,
  seq bigint not null,
  list_id bigint not null,
  shop_id bigint not null,
  content_hash bytea not null,
  seen_at timestamp with time zone not null,
  outcome text not null,
  redemption_id bigint,
  constraint pk_offline_lines primary key (device_id, seq),
  constraint ck_offline_lines_redeemed check ((outcome = 'redeemed') = (redemption_id is not null)),
  constraint fk_offline_lines_device_id foreign key(device_id) references shop_devices (id),
  constraint fk_offline_lines_list_id foreign key(list_id) references offline_lists (id),
  constraint fk_offline_lines_redemption_id foreign key(redemption_id) references redemptions (id)
);
create index ix_offline_lines_shop on offline_lines (shop_id, seen_at);

-- Low-carbon products, and certified venues with a sign: both earn by a scenario of the program.
create table green_products (
  id bigint generated by default as identity,
  program_id bigint not null,
  merchant_id bigint not null,
  item_id bigint not null,
  scenario text not null,
  facts jsonb not null,
  certificate_ref text not null,
  state text default 'submitted' not null,
  reason text default '' not null,
  asked_by bigint not null,
  asked_at timestamp with time zone not null,
  decided_at timestamp with time zone,
  decided_by text,
  constraint pk_green_products primary key (id),
  constraint ck_green_products_state check (state in ('submitted','approved','refused','revoked')),
  constraint fk_green_products_program_id_item_id foreign key(program_id, item_id) references items (program_id, id),
  constraint fk_green_products_program_id_merchant_id foreign key(program_id, merchant_id)
    references merchants (program_id, id),
  constraint fk_green_products_asked_by foreign key(asked_by) references persons (id)
);
create unique index uq_green_products_live on green_products (item_id) where state in ('submitted','approved');
create table green_venues (
  id bigint generated by default as identity,
  program_id bigint not null,
  shop_id bigint,
  code text not null,
  name text not null,
  name_en text default '' not null,
  scenario text not null,
  facts jsonb not null,
  certificate_ref text not null,
  lat_e6 bigint,
  lng_e6 bigint,
  radius_m bigint,
  scene_id bigint,
  state text default 'certified' not null,
  reason text default '' not null,
  made_by text not null,
  made_at timestamp with time zone not null,
  revoked_at timestamp with time zone,
  constraint pk_green_venues primary key (id),
  constraint uq_green_venues_program_id_code unique (program_id, code),
  constraint ck_green_venues_state check (state in ('certified','revoked')),
  constraint ck_green_venues_place check ((lat_e6 is null) = (lng_e6 is null) and (radius_m is null) = (lat_e6 is null)),
  constraint fk_green_venues_program_id foreign key(program_id) references programs (id),
  constraint fk_green_venues_shop_id foreign key(shop_id) references shops (id),
  constraint fk_green_venues_scene_id foreign key(scene_id) references scenes (id)
);
