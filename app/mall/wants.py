"""What people want: favourites, and the waiting list of what is sold out.

Turns are fair: who got the item by waiting before comes after all who never did, then by the time of joining. An offer
holds one piece for a day; not taken, it goes to the next.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert

from app import notices
from app.db import connection, read, run
from app.errors import NOT_FOUND, Kind, declare
from app.mall import audience, stock
from app.mall.models import Favourite

OFFER_FOR = timedelta(hours=24)

IN_STOCK = declare(
    "in_stock",
    Kind.CONFLICT,
    zh="该商品目前有货，可直接兑换，无需候补。",
    en="This item is in stock: take it, no need to wait.",
)

_FREE = """
    select available, program_id, audience_units, audience_tags, least_level from items
    where id = %(item)s and state = 'on_sale'
"""
_JOIN = """
    insert into waitlist as w (item_id, person_id, state, joined_at) values (%(item)s, %(person)s, 'waiting', %(at)s)
    on conflict (item_id, person_id) do update set state = 'waiting', joined_at = excluded.joined_at
    where w.state in ('taken', 'left')
"""
_HAD_ALL = """
    select 1 from item_purchases where item_id = %(item)s and person_id = %(person)s and period_key = ''
      and pieces >= most
"""
_LEAVE = """
    update waitlist set state = 'left', offer_until = null from
      (select state from waitlist where item_id = %(item)s and person_id = %(person)s for update) before
    where item_id = %(item)s and person_id = %(person)s and waitlist.state in ('waiting', 'offered')
    returning before.state as was
"""
_PLACE = """
    select w.state, w.offer_until, w.joined_at,
           (select count(*) from waitlist o where o.item_id = w.item_id and o.state = 'waiting'
              and (o.wins, o.joined_at, o.person_id) <= (w.wins, w.joined_at, w.person_id)) as turn
    from waitlist w where w.item_id = %(item)s and w.person_id = %(person)s and w.state in ('waiting', 'offered')
"""


def favour(*, person_id: int, item_id: int, at: datetime) -> None:
    """Keep an item in sight; twice is once. Raises NOT_FOUND."""
    if not run("select 1 from items where id = %(item)s and state <> 'draft'", {"item": item_id}):
        raise NOT_FOUND(item=str(item_id))
    row = insert(Favourite).values(person_id=person_id, item_id=item_id, added_at=at)
    connection().execute(row.on_conflict_do_nothing())


def unfavour(*, person_id: int, item_id: int) -> None:
    """Lose sight of it. Raises NOT_FOUND when it isn't kept."""
    gone = delete(Favourite).where(Favourite.person_id == person_id, Favourite.item_id == item_id)
    if connection().execute(gone.returning(Favourite.item_id)).first() is None:
        raise NOT_FOUND(item=str(item_id))


def wait(*, person_id: int, item_id: int, at: datetime) -> Any:
    """Join the line for a sold-out item; twice keeps the first place. Answers the place.

    Raises NOT_FOUND, NOT_FOR_YOU, IN_STOCK, PERSON_LIMIT for whoever has had all of it that one person may take.
    """
    rows = run(_FREE, {"item": item_id})
    if not rows:
        raise NOT_FOUND(item=str(item_id))
    if not audience.admits(rows[0], audience.standing(rows[0].program_id, person_id)):
        raise audience.NOT_FOR_YOU()
    if rows[0].available > 0 and place_of(person_id, item_id) is None:
        raise IN_STOCK()
    if run(_HAD_ALL, {"item": item_id, "person": person_id}):
        raise stock.PERSON_LIMIT(item=str(item_id))
    run(_JOIN, {"item": item_id, "person": person_id, "at": at})
    return place_of(person_id, item_id)


def leave(*, person_id: int, item_id: int) -> None:
    """Give the place up; an offered piece goes to the next. Raises NOT_FOUND for whoever has none."""
    rows = run(_LEAVE, {"item": item_id, "person": person_id})
    if not rows:
        raise NOT_FOUND(item=str(item_id))
    if rows[0].was == "offered":
        stock.free_reserved(item_id=item_id, pieces=1, why=f"waitlist:{person_id}:left")


def place_of(person_id: int, item_id: int) -> Any | None:
    """A person's place: state, turn, and until when an offer holds."""
    rows = read(_PLACE, {"item": item_id, "person": person_id})
    return rows[0] if rows else None


_NEXT = """
    select w.person_id from waitlist w where w.item_id = %(item)s and w.state = 'waiting'
    order by w.wins, w.joined_at, w.person_id limit %(free)s for update skip locked
"""
_OFFER = """
    update waitlist set state = 'offered', offer_until = %(until)s where item_id = %(item)s
      and person_id = any (%(persons)s::bigint[])
"""
_OPEN = """
    i.state = 'on_sale' and coalesce(i.sale_from <= %(at)s, true) and coalesce(i.sale_until > %(at)s, true)
    and not exists (select from merchants m where m.id = i.merchant_id and m.state <> 'active')
"""
_ITEM = f"select i.id, i.program_id, i.name, i.name_en, i.available from items i where i.id = %(item)s and {_OPEN}"  # noqa: S608


def offer(*, item_id: int, at: datetime) -> list[int]:
    """Give the waiting their turn: one piece each, held for a day; answers who was offered one. Twice is harmless."""
    rows = run(_ITEM, {"item": item_id, "at": at})
    if not rows or rows[0].available == 0:
        return []
    item, until = rows[0], at + OFFER_FOR
    persons = [row.person_id for row in run(_NEXT, {"item": item_id, "free": item.available})]
    if not persons:
        return []
    run(_OFFER, {"item": item_id, "persons": persons, "until": until})
    for person_id in persons:
        notices.tell(
            key=f"waitlist:{item_id}:{person_id}:{until.isoformat()}", person_id=person_id,
            program_id=item.program_id, kind="item.offered", at=at,
            zh=f"您候补的“{item.name}”有货了，已为您保留 1 件，请在 24 小时内兑换。",
            en=f"“{item.name_en or item.name}” is back, and one is held for you. Take it within 24 hours.",
            details={"item_id": str(item_id)},
        )  # fmt: skip
    stock.move(item_id, why="waitlist:offer", available=-len(persons), reserved=len(persons))
    return persons


_TO_OFFER = f"""
    select distinct w.item_id from waitlist w join items i on i.id = w.item_id
    where w.state = 'waiting' and {_OPEN} and i.available > 0 order by w.item_id
"""  # noqa: S608


def to_offer(at: datetime) -> list[int]:
    """Items that somebody waits for and that have pieces: whatever the queue has lost is found here."""
    return [row.item_id for row in read(_TO_OFFER, {"at": at})]


_LAPSED = """
    update waitlist set state = 'left', offer_until = null where state = 'offered' and offer_until <= %(at)s
    returning item_id
"""


def lapse(*, at: datetime) -> int:
    """Offers that nobody took in time end; their pieces go to the next. Answers how many."""
    counts: dict[int, int] = {}
    for row in run(_LAPSED, {"at": at}):
        counts[row.item_id] = counts.get(row.item_id, 0) + 1
    for item_id in sorted(counts):
        stock.free_reserved(item_id=item_id, pieces=counts[item_id], why="waitlist:lapsed")
    return sum(counts.values())


_LOW = """
    select i.id, i.program_id, i.code, i.name, i.name_en, i.available, i.low_at,
           (select max(m.id) from stock_movements m where m.item_id = i.id and m.available > 0) as since
    from items i where i.id = %(item)s and i.available <= i.low_at
"""
_OWNERS = """
    select distinct f.person_id from items i join shops s on s.merchant_id = i.merchant_id
    join staff f on f.shop_id = s.id
    where i.id = %(item)s and f.role in ('owner', 'manager') and f.active_until is null
"""


def tell_low(*, item_id: int, at: datetime) -> int:
    """Tell the merchant's owners that little is left, once for each time it was filled; answers how many were told."""
    rows = run(_LOW, {"item": item_id})
    if not rows:
        return 0
    item = rows[0]
    owners = run(_OWNERS, {"item": item_id})
    for owner in owners:
        notices.tell(
            key=f"item:{item_id}:low:{item.since}:{owner.person_id}", person_id=owner.person_id,
            program_id=item.program_id, kind="item.low", at=at,
            zh=f"“{item.name}”仅剩 {item.available} 件（提醒线 {item.low_at}），请及时补货。",
            en=f"Only {item.available} of “{item.name_en or item.name}” are left (line: {item.low_at}). Restock it.",
            details={"item_id": str(item_id)},
        )  # fmt: skip
    return len(owners)
