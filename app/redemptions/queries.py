"""Reads: a person's codes, showing one, and a shop's day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from app import clock, vault
from app.db import connection, read, session
from app.errors import NOT_FOUND
from app.redemptions import typed_code
from app.redemptions.actions import HASHED
from app.redemptions.models import Code, Redemption


def codes_of_order(order_id: int) -> list[int]:
    """The codes of an order, oldest first."""
    return list(connection().execute(select(Code.id).where(Code.order_id == order_id).order_by(Code.id)).scalars())


_CODES = """
    select c.id, c.title, c.title_en, c.order_id, c.valid_from, c.valid_until, p.code as program, m.name as merchant,
           m.name_en as merchant_en, r.redeemed_at, s.name as shop,
           case when c.state = 'issued' and c.valid_until <= %(at)s then 'expired' else c.state end as state
    from codes c join merchants m on m.id = c.merchant_id join programs p on p.id = c.program_id
    left join redemptions r on r.code_id = c.id and r.undone_at is null
    left join shops s on s.id = r.shop_id
    where c.person_id = %(person)s
"""


def codes_of_person(person_id: int, *, before: int | None, limit: int, at: datetime) -> list[Any]:
    """A person's codes without their characters, newest first, below the cursor; with when and where they were used."""
    values = {"person": person_id, "before": before or 2**63 - 1, "limit": limit, "at": at}
    return read(_CODES + " and c.id < %(before)s order by c.id desc limit %(limit)s", values)


def codes_shown(order_ids: Sequence[int], person_id: int, *, at: datetime) -> list[Any]:
    """The codes of some of a person's orders, as in the list, oldest first."""
    values = {"person": person_id, "orders": list(order_ids), "at": at}
    return read(_CODES + " and c.order_id = any (%(orders)s::bigint[]) order by c.id", values)


def show(*, code_id: int, person_id: int) -> tuple[Code, str]:
    """A code with its plain characters, for its owner only. Raises NOT_FOUND. Whether it can be used: ``spendable``."""
    code = session().get(Code, code_id)
    if code is None or code.person_id != person_id:
        raise NOT_FOUND(code=str(code_id))
    return code, typed_code.shown(vault.decrypt(HASHED, bytes(code.code_sealed)))


def tally(shop_id: int, *, at: datetime) -> tuple[int, int]:
    """A shop's redemptions of this Shanghai day: how many, and how many fen we owe for them."""
    today = clock.period("day", clock.business_day(at))
    query = select(func.count(), func.coalesce(func.sum(Redemption.owed_fen), 0)).where(
        Redemption.shop_id == shop_id, Redemption.redeemed_at >= today.starts, Redemption.undone_at.is_(None)
    )
    row = connection().execute(query).one()
    return int(row[0]), int(row[1])


_SCANS = """
    select r.id, r.owed_fen, r.redeemed_at, r.undone_at, c.title, c.title_en, p.nickname, p.pseudonym
    from redemptions r join codes c on c.id = r.code_id join persons p on p.id = r.staff_person_id
    where r.shop_id = %(shop)s
"""


def scans_of_shop(shop_id: int, *, before: int | None, limit: int) -> list[Any]:
    """A shop's redemptions with who scanned, newest first, below the cursor."""
    values = {"shop": shop_id, "before": before or 2**63 - 1, "limit": limit}
    return read(_SCANS + " and r.id < %(before)s order by r.id desc limit %(limit)s", values)


def scan(redemption_id: int, shop_id: int) -> Any:
    """One of a shop's redemptions as in the list. Raises NOT_FOUND."""
    rows = read(_SCANS + " and r.id = %(id)s", {"shop": shop_id, "id": redemption_id})
    if not rows:
        raise NOT_FOUND(redemption=str(redemption_id))
    return rows[0]
