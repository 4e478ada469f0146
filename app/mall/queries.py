"""Reads of the shelf: items on sale with merchant, sponsor and what is left."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.db import read
from app.errors import NOT_FOUND

_ITEMS = """
    select i.id, i.code, i.kind, i.name, i.name_en, i.text_zh, i.text_en, i.picture, i.price_credits, i.price_fen,
           i.available,
           i.per_person, i.valid_days, i.sale_from, i.sale_until, i.state, m.id as merchant_id, m.name as merchant,
           m.name_en as merchant_en, s.name as sponsor, s.name_en as sponsor_en, s.logo_url,
           i.state = 'on_sale' and coalesce(i.sale_from <= %(at)s, true) and coalesce(i.sale_until > %(at)s, true)
             as on_sale
    from items i join merchants m on m.id = i.merchant_id left join sponsors s on s.id = i.sponsor_id
    where i.program_id = %(program)s and i.state <> 'draft'
"""
_ON_SALE = """
      and i.id > %(after)s and i.state = 'on_sale' and coalesce(i.sale_from <= %(at)s, true)
      and coalesce(i.sale_until > %(at)s, true)
    order by i.id limit %(limit)s
"""


def shelf(program_id: int, *, after: int, limit: int, at: datetime) -> list[Any]:
    """Items on sale, by cursor on the id."""
    return read(_ITEMS + _ON_SALE, {"program": program_id, "after": after, "limit": limit, "at": at})


def item(program_id: int, item_id: int, *, at: datetime) -> Any:
    """One item of a program, also when it is sold no longer. Raises NOT_FOUND."""
    rows = read(_ITEMS + " and i.id = %(item)s", {"program": program_id, "item": item_id, "at": at})
    if not rows:
        raise NOT_FOUND(item=str(item_id))
    return rows[0]


def program_of(item_id: int) -> int:
    """The program that sells an item. Raises NOT_FOUND, also for a draft."""
    rows = read("select program_id from items where id = %(id)s and state <> 'draft'", {"id": item_id})
    if not rows:
        raise NOT_FOUND(item=str(item_id))
    return int(rows[0].program_id)
