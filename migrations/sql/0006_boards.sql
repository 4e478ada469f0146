-- The one order of boards: the value plus a fraction below one that is larger the earlier it was reached. The fraction's
-- span fits the period, so that a double keeps seconds: 2^17 s for a day, 2^20 week, 2^22 month, 2^23 season, 2^30 all.
create function board_rank(value numeric, reached timestamptz, kind text, starts timestamptz) returns double precision
language sql immutable as $$
  select value::double precision
    + (span - 1 - least(greatest(floor(extract(epoch from reached - starts)), 0), span - 1))::double precision / span
  from (select case kind when 'day' then 131072 when 'week' then 1048576 when 'month' then 4194304
                         when 'season' then 8388608 else 1073741824 end::double precision as span) s
$$;

-- The instant at which a period begins, from its kind and key; Shanghai days.
create function board_start(kind text, key text) returns timestamptz language sql stable as $$
  select case kind
    when 'day' then key::date::timestamp at time zone 'Asia/Shanghai'
    when 'week' then to_date(key, 'IYYY"-W"IW')::timestamp at time zone 'Asia/Shanghai'
    when 'month' then (key || '-01')::date::timestamp at time zone 'Asia/Shanghai'
    when 'season' then make_date(left(key, 4)::int, right(key, 1)::int * 3 - 2, 1)::timestamp
                       at time zone 'Asia/Shanghai'
    else timestamp '2010-01-01' at time zone 'Asia/Shanghai' end
$$;
