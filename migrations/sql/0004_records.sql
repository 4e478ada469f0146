-- Award a batch in one call (domain.md, credits 2): cut each line to its caps, make whole credits with the carry, take
-- them from the budget while it lasts, post them with the caller's own transfers, put them into lots, keep the awards.
--   {"lines": [{"w": index of its wallet, "u": [indexes of its caps], "m": [their micro-credits], "earned": …, …}],
--    "wallets": [[id, carry]], "caps": [[person, scope, period]], "drafts": [transfers as of ledger_post]}
-- The caller holds the wallets' rows. Indexes count from 1. Answers the drafts' transfers first (n null), then the lines.
create type award_line as (n bigint, w integer, u integer[], m bigint[], program_id bigint, person_id bigint,
                           credits_account bigint, record_id bigint, reason text, source_ref text, terms_id bigint,
                           budget_id bigint, price_fen bigint, share_bps bigint, boost_bps bigint, earned bigint,
                           expires_at timestamptz);
create type awarded as (n bigint, award_id bigint, state text, credits bigint, cut_micro bigint, cut_by text,
                        carry bigint, transfer_id bigint);

create function award_batch(batch jsonb, at timestamptz) returns setof awarded
language plpgsql as $$
declare
  lines award_line[] := array(select x from jsonb_populate_recordset(null::award_line, batch->'lines') x order by x.n);
  line record;
  caps jsonb := batch->'caps';
  drafts jsonb := batch->'drafts';
  wallet_ids bigint[];
  carries bigint[];
  used bigint[];
  most bigint[];
  room bigint;
  left_over bigint;
  i integer;
  cuts bigint[] := '{}';
  cut_bys text[] := '{}';
  carries_before bigint[] := '{}';
  carries_after bigint[] := '{}';
  whole bigint[] := '{}';
  states text[] := '{}';
  slices bigint[] := '{}';
  lots bigint[] := '{}';
  posted bigint[];
  ids bigint[];
  places bigint[] := '{}';
  place bigint;
  reserved record;
begin
  select array_agg((x.v->>0)::bigint order by x.o), array_agg((x.v->>1)::bigint order by x.o) into wallet_ids, carries
  from jsonb_array_elements(batch->'wallets') with ordinality as x (v, o);
  select coalesce(array_agg(coalesce(c.used_micro, 0) order by k.o), '{}'),
         coalesce(array_agg(coalesce(c.cap_micro, 0) order by k.o), '{}') into used, most
  from jsonb_array_elements(caps) with ordinality as k (v, o)
  left join cap_uses c on c.person_id = (k.v->>0)::bigint and c.scope = k.v->>1 and c.period = k.v->>2;

  for line in
    select x.n, x.w, x.u, x.m, x.earned from unnest(lines) x order by x.n
  loop
    room := line.earned;
    cut_bys := cut_bys || null::text;
    for i in 1 .. cardinality(line.u) loop
      left_over := greatest(line.m[i] - used[line.u[i]], 0);
      most[line.u[i]] := line.m[i];
      if left_over < room then
        room := left_over;
        cut_bys[line.n] := (caps->(line.u[i] - 1)->>1) || '/' || (caps->(line.u[i] - 1)->>2);
      end if;
    end loop;
    for i in 1 .. cardinality(line.u) loop
      used[line.u[i]] := used[line.u[i]] + room;
    end loop;
    cuts := cuts || (line.earned - room);
    carries_before := carries_before || carries[line.w];
    whole := whole || (carries[line.w] + room) / 1000000;
    carries[line.w] := (carries[line.w] + room) % 1000000;
    carries_after := carries_after || carries[line.w];
    states := states || case when whole[line.n] > 0 then 'pending' else 'nothing' end;
    slices := slices || null::bigint;
    lots := lots || null::bigint;
    places := places || null::bigint;
  end loop;

  update wallets w set carry_micro = x.carry from unnest(wallet_ids, carries) as x (id, carry) where w.id = x.id;
  insert into cap_uses (person_id, scope, period, used_micro, cap_micro)
  select (k.v->>0)::bigint, k.v->>1, k.v->>2, u.used, greatest(u.most, u.used)
  from jsonb_array_elements(caps) with ordinality as k (v, o)
  join unnest(used, most) with ordinality as u (used, most, o) on u.o = k.o
  order by (k.v->>0)::bigint, k.v->>1, k.v->>2
  on conflict (person_id, scope, period)
  do update set used_micro = excluded.used_micro, cap_micro = greatest(cap_uses.cap_micro, excluded.cap_micro);

  -- Pay in order while the budget lasts; the first that it can't pay blocks those behind it.
  for reserved in
    select x.budget_id, array_agg(x.n order by x.n) as numbers, sum(whole[x.n])::bigint as wanted
    from unnest(lines) x
    where x.budget_id is not null and whole[x.n] > 0 group by x.budget_id order by x.budget_id
  loop
    select r.account_id, r.granted into line from budget_reserve(reserved.budget_id, reserved.wanted, at) r;
    foreach i in array reserved.numbers loop
      exit when whole[i] > line.granted;
      line.granted := line.granted - whole[i];
      slices[i] := line.account_id;
      states[i] := 'paid';
    end loop;
  end loop;

  place := jsonb_array_length(drafts);
  for i in 1 .. cardinality(slices) loop
    if slices[i] is not null then
      place := place + 1;
      places[i] := place;
    end if;
  end loop;
  select drafts || coalesce(jsonb_agg(jsonb_build_object('p', x.program_id, 'r', 'award.' || x.reason, 's', x.source_ref,
           'l', jsonb_build_array(jsonb_build_array(slices[x.n], -whole[x.n]), jsonb_build_array(x.credits_account, whole[x.n])))
           order by x.n), '[]') into drafts
  from unnest(lines) x
  where slices[x.n] is not null;
  if drafts <> '[]' then
    select array_agg(p.transfer_id order by p.ord) into posted from ledger_post(drafts, at) p;
  end if;

  if exists (select from unnest(slices) s where s is not null) then
    with arrived as (
      select x.* from unnest(lines) x where slices[x.n] is not null
    ), kept as (
      insert into lots as l (program_id, account_id, budget_id, price_fen, expires_at, amount, remaining)
      select a.program_id, a.credits_account, a.budget_id, a.price_fen, a.expires_at, sum(whole[a.n]), sum(whole[a.n])
      from arrived a group by 1, 2, 3, 4, 5 order by 2, 5, 3
      on conflict (account_id, budget_id, price_fen, expires_at)
      do update set amount = l.amount + excluded.amount, remaining = l.remaining + excluded.remaining
      returning l.id, l.account_id, l.budget_id, l.price_fen, l.expires_at
    )
    select array_agg(k.id order by x.n) into lots
    from unnest(lines) x
    left join kept k on slices[x.n] is not null and k.account_id = x.credits_account and k.budget_id = x.budget_id
         and k.price_fen = x.price_fen and k.expires_at = x.expires_at;
  end if;

  ids := array(select nextval('awards_id_seq') from generate_series(1, cardinality(lines)));
  insert into awards (id, program_id, person_id, wallet_id, record_id, reason, source_ref, terms_id, budget_id, share_bps,
                      boost_bps, earned_micro, cut_micro, cut_by, carry_before, carry_after, credits, state, lot_id,
                      transfer_id, expires_at, created_at, paid_at)
  select ids[x.n], x.program_id, x.person_id, wallet_ids[x.w], x.record_id, x.reason, x.source_ref, x.terms_id,
         case when whole[x.n] > 0 then x.budget_id end, x.share_bps, x.boost_bps, x.earned, cuts[x.n], cut_bys[x.n],
         carries_before[x.n], carries_after[x.n], whole[x.n], states[x.n], lots[x.n], posted[places[x.n]], x.expires_at,
         at, case when states[x.n] = 'paid' then at end
  from unnest(lines) x;

  return query
    select null::bigint, null::bigint, null::text, null::bigint, null::bigint, null::text, null::bigint, posted[d]
    from generate_series(1, jsonb_array_length(batch->'drafts')) d order by d;
  return query
    select x.n, ids[x.n], states[x.n], whole[x.n], cuts[x.n], cut_bys[x.n], carries_after[x.n], posted[places[x.n]]
    from unnest(lines) x order by x.n;
end $$;

-- What follows from a transaction, beside it (jobs/relay.py delivers it): [{"event", "program_id", "payload"}]
create function outbox_add(facts jsonb) returns void
language sql as $$
  insert into outbox (program_id, event, payload)
  select x.program_id, x.event, x.payload
  from jsonb_to_recordset(facts) as x (program_id bigint, event text, payload jsonb)
$$;

-- Write a judged batch of acts in one call: records, their claims, awards with their transfers, reductions, facts for the
-- outbox. Each part may be empty. Ids of records are drawn beforehand. A reference or a claim that somebody took between
-- our look and this write raises the constraint's own error, and the command looks again.
create function record_batch(batch jsonb, at timestamptz) returns setof awarded
language plpgsql as $$
declare
  results awarded[];
begin
  insert into records (id, program_id, person_id, scenario_id, source_id, reference, facts, facts_hash, subject,
                       occurred_at, ended_at, received_at, tier, state, reason_code, reason_zh, reason_en, org_unit_id,
                       supersedes_id, import_id)
  select x.id, x.program_id, x.person_id, x.scenario_id, x.source_id, x.reference, x.facts,
         decode(x.facts_hash, 'hex'), x.subject, x.occurred_at, x.ended_at, at, x.tier, x.state, x.reason_code,
         x.reason_zh, x.reason_en, x.org_unit_id, x.supersedes_id, x.import_id
  from jsonb_to_recordset(batch->'records') as x (id bigint, program_id bigint, person_id bigint, scenario_id bigint,
       source_id bigint, reference text, facts jsonb, facts_hash text, subject text, occurred_at timestamptz,
       ended_at timestamptz, tier text, state text, reason_code text, reason_zh text, reason_en text,
       org_unit_id bigint, supersedes_id bigint, import_id bigint);

  insert into claims (record_id, person_id, kind, subject_key, during, tier, live)
  select x.record_id, x.person_id, x.kind, x.subject_key, tstzrange(x.starts, x.ends), x.tier, true
  from jsonb_to_recordset(batch->'claims') as x (record_id bigint, person_id bigint, kind text, subject_key bigint,
       starts timestamptz, ends timestamptz, tier text);

  if batch->'award' <> 'null' then
    select array_agg(a) into results from award_batch(batch->'award', at) a;
    insert into reductions (record_id, version_id, region, inputs, parameters, raw_mg, counted_mg, credits_micro,
                            transfer_id)
    select x.record_id, x.version_id, x.region, x.inputs, x.parameters, x.raw_mg, x.counted_mg, x.credits_micro,
           (results[x.draft]).transfer_id
    from jsonb_to_recordset(batch->'reductions') as x (record_id bigint, version_id bigint, region text, inputs jsonb,
         parameters jsonb, raw_mg bigint, counted_mg bigint, credits_micro bigint, draft integer);
  end if;
  perform outbox_add(batch->'facts');
  return query select r.* from unnest(results) r;
end $$;

-- The first look at a batch of acts, under the locks that it needs: the wallets of everybody concerned, rows locked by id,
-- so that two acts of one person are judged one after the other; which acts are known; who belongs where and agrees to
-- what; ids for new records. Consents by shared locks: one that is withdrawn at the same moment waits for us, or we see
-- it gone (MET-8). A source belongs to one program, so (source, reference) finds an act in whatever program pays it; the
-- showing in the program that it was sent to comes first.
create function records_look(programs bigint[], sources bigint[], refs text[], people bigint[])
returns table (wallets jsonb, known jsonb, belongings jsonb, ids bigint[])
language plpgsql as $$
begin
  select coalesce(jsonb_agg(w), '[]') into wallets
  from (select * from wallets w where w.person_id = any (people) order by w.id for update) w;

  select coalesce(jsonb_agg(k), '[]') into known from (
    select distinct on (x.p, x.s, x.f) x.p as program_id, x.s as source_id, x.f as reference, r.id,
           encode(r.facts_hash, 'hex') as facts_hash, r.received_at, r.state, r.reason_code, r.reason_zh, r.reason_en,
           coalesce(d.counted_mg, 0) as mg,
           (select coalesce(sum(w.credits), 0) from awards w where w.record_id = r.id) as credits,
           (select min(w.state) from awards w where w.record_id = r.id and w.reason = 'record') as award_state
    from unnest(programs, sources, refs) as x (p, s, f)
    join records r on r.source_id = x.s and r.reference = x.f
    left join reductions d on d.record_id = coalesce(r.primary_id, r.id)
    order by x.p, x.s, x.f, (r.program_id = x.p) desc
  ) k;

  with agreed as (
    select c.person_id, c.purpose, c.program_id from consents c
    where c.person_id = any (people) and c.withdrawn_at is null for share
  )
  select coalesce(jsonb_agg(b order by b.person_id, b.rank, b.id), '[]') into belongings from (
    select m.person_id, m.program_id, m.org_unit_id, m.rank, m.id, null as purpose from memberships m
    where m.person_id = any (people) and m.state = 'active'
    union all
    select a.person_id, a.program_id, null, null, null, a.purpose from agreed a
  ) b;

  ids := array(select nextval('records_id_seq') from unnest(refs));
  return next;
end $$;
