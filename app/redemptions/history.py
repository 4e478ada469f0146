"""A shop's figures: its day with new and returning customers, its history by day, and the lines behind them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from app import clock
from app.db import read

_DAYS = """
    with mine as (
      select (r.redeemed_at at time zone 'Asia/Shanghai')::date as day, r.quantity, r.owed_fen + r.cash_fen as owed_fen,
             r.undone_at, c.person_id, r.merchant_id, r.redeemed_at
      from redemptions r join codes c on c.id = r.code_id
      where r.shop_id = %(shop)s and r.redeemed_at < %(before)s and r.redeemed_at >= %(since)s
    )
    select m.day, coalesce(sum(m.quantity) filter (where m.undone_at is null), 0)::bigint as count,
           coalesce(sum(m.owed_fen) filter (where m.undone_at is null), 0)::bigint as owed_fen,
           count(*) filter (where m.undone_at is not null) as undone,
           count(distinct m.person_id) filter (where m.undone_at is null) as customers,
           count(distinct m.person_id) filter (where m.undone_at is null and not exists (
             select from redemptions x join codes y on y.id = x.code_id
             where x.merchant_id = m.merchant_id and y.person_id = m.person_id and x.undone_at is null
               and x.redeemed_at < (m.day::timestamp at time zone 'Asia/Shanghai'))) as new_customers
    from mine m group by m.day order by m.day desc limit %(limit)s
"""


def days(shop_id: int, *, before: datetime, since: datetime, limit: int) -> list[Any]:
    """A shop's days with redemptions, newest first. A customer is new on the first day at this merchant."""
    return read(_DAYS, {"shop": shop_id, "before": before, "since": since, "limit": limit})


def today(shop_id: int, *, at: datetime) -> Any | None:
    """The shop's Shanghai day so far; None without a redemption."""
    period = clock.period("day", clock.business_day(at))
    rows = days(shop_id, before=period.starts + timedelta(days=1), since=period.starts, limit=1)
    return rows[0] if rows else None


_LINES = """
    select r.id, r.redeemed_at, r.undone_at, c.title, c.title_en, r.quantity, r.owed_fen, r.cash_fen, p.nickname,
           p.pseudonym, r.held_reason, r.released_at
    from redemptions r join codes c on c.id = r.code_id join persons p on p.id = r.staff_person_id
    where r.shop_id = %(shop)s and r.redeemed_at >= %(since)s and r.redeemed_at < %(until)s and r.id > %(after)s
    order by r.id limit 1000
"""


def lines(shop_id: int, *, first: date, last: date) -> Iterator[Any]:
    """All redemptions of some Shanghai days, both included, oldest first, read in pieces."""
    since, until = clock.day_start(first), clock.day_start(last + timedelta(days=1))
    after = 0
    while rows := read(_LINES, {"shop": shop_id, "since": since, "until": until, "after": after}):
        yield from rows
        after = rows[-1].id
