"""Reads of the mall: shelves, one item, shops nearby."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.db import read
from app.errors import NOT_FOUND
from app.mall.audience import EVERYBODY, Standing

_LINE = """
    select i.id, i.code, i.kind, i.name, i.name_en, i.picture, i.price_credits, i.price_fen, i.available, i.per_person,
           i.sale_from, i.sale_until, coalesce(m.name, w.name) as merchant,
           coalesce(m.name_en, w.name_en) as merchant_en, s.name as sponsor,
           s.name_en as sponsor_en, s.logo_url, c.code as category,
           i.state = 'on_sale' and coalesce(m.state = 'active', true)
             and coalesce(i.sale_from <= %(at)s, true) and coalesce(i.sale_until > %(at)s, true)
             as on_sale,
           (select min(r.due_at) from restocks r where r.item_id = i.id and r.done_at is null) as restock_at
"""
_MORE = """, i.text_zh, i.text_en, i.uses, i.per_period, i.period_kind, i.valid_days, i.on_expiry, i.extend_days,
           i.no_show, i.refundable, i.provinces, i.merchant_id
"""
_FROM = """
    from items i left join merchants m on m.id = i.merchant_id left join welfare_projects w on w.id = i.project_id
    left join sponsors s on s.id = i.sponsor_id left join item_categories c on c.id = i.category_id
    where i.program_id = %(program)s and i.state <> 'draft'
"""
_ON_SALE = """
      and i.id > %(after)s and i.state = 'on_sale' and coalesce(m.state = 'active', true)
      and coalesce(i.sale_until > %(at)s, true)
"""
_FOR_EVERYBODY = " and i.audience_units is null and i.audience_tags is null and i.least_level = 0"
_FOR_THEM = """
      and (i.audience_units is null or i.audience_units && %(units)s::bigint[])
      and (i.audience_tags is null or i.audience_tags && %(tags)s::text[]) and i.least_level <= %(level)s
"""
_FILTERS = {
    "category": " and c.code = %(category)s",
    "kind": " and i.kind = %(kind)s",
    "search": " and concat_ws(' ', i.name, i.name_en, i.text_zh, m.name, m.name_en) ilike %(search)s",
    "affordable": " and i.price_credits <= %(affordable)s and i.available > 0",
    "favourite_of": " and exists (select from favourites f where f.item_id = i.id and f.person_id = %(favourite_of)s)",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """What a shelf shows; None is everything. ``affordable``: credits that somebody has."""

    category: str | None = None
    kind: str | None = None
    search: str | None = None
    affordable: int | None = None
    favourite_of: int | None = None


def shelf(
    program_id: int,
    *,
    after: int,
    limit: int,
    at: datetime,
    only: Filter = Filter(),
    who: Standing = EVERYBODY,
) -> list[Any]:
    """Items on sale or announced, by cursor on the id: those for everybody, and those for somebody of this standing."""
    wanted = {name: getattr(only, name) for name in _FILTERS if getattr(only, name) is not None}
    if "search" in wanted:
        wanted["search"] = f"%{_plain(wanted['search'])}%"
    values = {"program": program_id, "after": after, "limit": limit, "at": at, **wanted}
    audience = _FOR_EVERYBODY
    if who != EVERYBODY:
        audience = _FOR_THEM
        values |= {"level": who.level, "units": list(who.units), "tags": list(who.tags)}
    filters = "".join(_FILTERS[name] for name in wanted)
    return read(_LINE + _FROM + _ON_SALE + audience + filters + " order by i.id limit %(limit)s", values)


def _plain(text: str) -> str:
    """A searched text without the wildcards of LIKE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def item(program_id: int, item_id: int, *, at: datetime) -> Any:
    """One item of a program, also when it is sold no longer. Raises NOT_FOUND."""
    rows = read(_LINE + _MORE + _FROM + " and i.id = %(item)s", {"program": program_id, "item": item_id, "at": at})
    if not rows:
        raise NOT_FOUND(item=str(item_id))
    return rows[0]


_HEAD = """
    select i.id, i.program_id, p.code as program, i.kind, i.provinces, i.period_kind
    from items i join programs p on p.id = i.program_id where i.id = %(id)s and i.state <> 'draft'
"""


def head(item_id: int) -> Any:
    """The program and kind of an item. Raises NOT_FOUND, also for a draft."""
    rows = read(_HEAD, {"id": item_id})
    if not rows:
        raise NOT_FOUND(item=str(item_id))
    return rows[0]


def program_of(item_id: int) -> int:
    """The program that sells an item. Raises NOT_FOUND, also for a draft."""
    return int(head(item_id).program_id)


_MINE = """
    select i.audience_units, i.audience_tags, i.least_level, i.per_person, i.per_period, i.available, i.price_credits,
           exists (select from favourites f where f.item_id = i.id and f.person_id = %(person)s) as favourite,
           (select c.quantity from cart_lines c where c.item_id = i.id and c.person_id = %(person)s) as in_cart,
           (select u.pieces from item_purchases u where u.item_id = i.id and u.person_id = %(person)s
              and u.period_key = '') as taken,
           (select u.pieces from item_purchases u where u.item_id = i.id and u.person_id = %(person)s
              and u.period_key = %(period)s and %(period)s <> '') as taken_in_period
    from items i where i.id = %(item)s and i.state <> 'draft'
"""


def mine(item_id: int, person_id: int, *, period: str) -> Any:
    """What an item is to one person: favourite, in the cart, taken so far. Raises NOT_FOUND."""
    rows = read(_MINE, {"item": item_id, "person": person_id, "period": period})
    if not rows:
        raise NOT_FOUND(item=str(item_id))
    return rows[0]


_CATEGORIES = """
    select c.code, c.name, c.name_en, count(i.id) as items
    from item_categories c left join items i on i.category_id = c.id and i.state = 'on_sale'
      and i.audience_units is null and i.audience_tags is null and i.least_level = 0
    where c.program_id = %(program)s group by c.id order by c.position, c.code
"""


def categories(program_id: int) -> list[Any]:
    """A program's shelves in its own order, with how many items for everybody are on sale."""
    return read(_CATEGORIES, {"program": program_id})


_NEARBY = """
    select * from (
      select s.id, s.name, s.address, s.opening_hours, m.id as merchant_id, m.name as merchant,
             m.name_en as merchant_en, s.lat_e6, s.lng_e6,
             (6371008 * 2 * asin(least(1, sqrt(
               power(sin(radians((s.lat_e6 / 1e6 - %(lat)s) / 2)), 2)
               + cos(radians(%(lat)s)) * cos(radians(s.lat_e6 / 1e6))
                 * power(sin(radians((s.lng_e6 / 1e6 - %(lng)s) / 2)), 2)))))::bigint as distance_m
      from shops s join merchants m on m.id = s.merchant_id
      where s.program_id = %(program)s and s.state = 'open' and m.state in ('active', 'leaving')
        and s.lat_e6 between %(south)s and %(north)s
    ) x where distance_m <= %(within_m)s and (distance_m, id) > (%(after_m)s, %(after)s)
    order by distance_m, id limit %(limit)s
"""


def shops_nearby(
    program_id: int, *, lat: float, lng: float, within_m: int, after: tuple[int, int], limit: int
) -> list[Any]:
    """A program's open shops around a place (degrees, as the phone gives them), nearest first, by great circle."""
    reach = math.degrees(within_m / 6_371_008) * 1e6
    values = {
        "program": program_id,
        "lat": lat,
        "lng": lng,
        "within_m": within_m,
        "limit": limit,
        "after_m": after[0],
        "after": after[1],
        "south": int(lat * 1e6 - reach) - 1,
        "north": int(lat * 1e6 + reach) + 1,
    }
    return read(_NEARBY, values)
