-- Outbox, time, approvals, durability, and the walls themselves.

-- OUT-2 light: While a worker is up, no event waits longer than a minute.
select o.id as event_id, o.event, o.attempts, o.last_error from outbox o
where o.published_at is null and o.created_at < clock_timestamp() - interval '60 seconds'
  and exists (select from procrastinate_workers w where w.last_heartbeat > clock_timestamp() - interval '15 seconds');

-- OUT-3: A listener applies an event once.
select consumer, event_id from inbox_deliveries group by consumer, event_id having count(*) > 1;

-- TIM-1: A stored day is the Shanghai day of its instant.
select id as record_id, occurred_at, local_date from records
where local_date <> (occurred_at at time zone 'Asia/Shanghai')::date;

-- TIM-3: No column holds a time without its zone, and every range is half-open.
select table_name::text, column_name::text from information_schema.columns
where table_schema = 'public' and data_type = 'timestamp without time zone'
union all
select 'claims', id::text from claims where not lower_inc(during) or upper_inc(during)
union all
select 'methodology_versions', id::text from methodology_versions where not lower_inc(in_force) or upper_inc(in_force);

-- AUD-1: Whoever asked did not approve, what ran is what was approved, and an approved deposit was executed.
select id::text as id, 'approval' as what from approvals
where maker = checker or (state in ('approved', 'executed') and checker is null)
   or (executed_at is not null and (checker is null or executed_hash is distinct from payload_hash))
   or (state = 'executed') <> (executed_at is not null)
union all
select d.id::text, 'deposit' from deposits d left join approvals a on a.id = d.approval_id
where d.approval_id is not null and a.executed_at is null
union all
select v.id::text, 'methodology version' from methodology_versions v
where v.state = 'published' and (v.approved_by is null or v.approved_by = v.drafted_by);

-- DUR-1 light: An acknowledged commit is on the disk: no setting trades it for speed, and no page failed its checksum.
select name::text, setting::text from pg_settings
where name in ('fsync', 'full_page_writes', 'synchronous_commit', 'data_checksums')
  and setting not in ('on', 'remote_apply', 'remote_write')
union all
select 'override', one from pg_db_role_setting s cross join unnest(s.setconfig) as c (one)
where one ~ '^(fsync|full_page_writes|synchronous_commit)=' and one !~ '=(on|remote_apply|remote_write)$'
union all
select 'checksum failures', checksum_failures::text from pg_stat_database where checksum_failures > 0;

-- GEN-1: Every constraint is validated and enforced, every index valid, no trigger switched off.
select conname::text as name from pg_constraint c where not convalidated or to_jsonb(c) ->> 'conenforced' = 'false'
union all
select indexrelid::regclass::text from pg_index where not indisvalid
union all
select tgname::text from pg_trigger where tgenabled = 'D';
