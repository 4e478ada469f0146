"""Reads: a person's codes, showing one, and a shop's day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from app import clock, vault
from app.db import connection, read, session
from app.errors import NOT_FOUND
from app.redemptions import picture, typed_code
from app.redemptions.expiring import EXTEND_UNTIL
from app.redemptions.issuing import CODE_EXPIRED, HASHED
from app.redemptions.models import Code, Redemption
from app.redemptions.scanning import CODE_HELD, CODE_REFUNDED, CODE_USED


def codes_of_order(order_id: int) -> list[int]:
    """The codes of an order, oldest first."""
    return list(connection().execute(select(Code.id).where(Code.order_id == order_id).order_by(Code.id)).scalars())


_CODES = """
    select * from (
      select c.id, c.person_id, c.title, c.title_en, c.order_id, c.valid_from, c.valid_until, c.how, c.uses,
             c.uses_left, c.on_expiry,
             c.extend_days > 0 and c.extended_at is null and c.state = 'issued'
               and c.valid_until > %(extendable)s as extendable,
             p.code as program, m.name as merchant, m.name_en as merchant_en, r.redeemed_at, s.name as shop,
             case when c.state = 'issued' and c.valid_until <= %(at)s then 'expired' else c.state end as state
      from codes c join merchants m on m.id = c.merchant_id join programs p on p.id = c.program_id
      left join lateral (select x.redeemed_at, x.shop_id from redemptions x
                         where x.code_id = c.id and x.undone_at is null order by x.id desc limit 1) r on true
      left join shops s on s.id = r.shop_id
      where c.person_id = %(person)s
    ) c where true
"""


def codes_of_person(
    person_id: int,
    *,
    before: int | None,
    limit: int,
    at: datetime,
    state: str | None = None,
    search: str | None = None,
) -> list[Any]:
    """A person's codes without their characters, newest first, below the cursor; with when and where they were last
    used. ``search`` looks into title and merchant."""
    values = {
        "person": person_id,
        "before": before or 2**63 - 1,
        "limit": limit,
        "at": at,
        "extendable": at - EXTEND_UNTIL,
        "state": state,
        "search": None if search is None else f"%{_literal(search)}%",
    }
    only = """
        and (%(state)s::text is null or c.state = %(state)s)
        and (%(search)s::text is null or c.title ilike %(search)s or c.title_en ilike %(search)s
             or c.merchant ilike %(search)s or c.merchant_en ilike %(search)s)
    """
    return read(_CODES + only + " and c.id < %(before)s order by c.id desc limit %(limit)s", values)


def _literal(words: str) -> str:
    """Words as they are, for a pattern."""
    return words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def codes_shown(order_ids: Sequence[int], person_id: int, *, at: datetime) -> list[Any]:
    """The codes of some of a person's orders, as in the list, oldest first."""
    values = {"person": person_id, "orders": list(order_ids), "at": at, "extendable": at - EXTEND_UNTIL}
    return read(_CODES + " and c.order_id = any (%(orders)s::bigint[]) order by c.id", values)


def show(*, code_id: int, person_id: int) -> tuple[Code, str]:
    """A code with its plain characters, for its owner only. Raises NOT_FOUND. Whether it can be used: ``spendable``."""
    code = _own(code_id, person_id)
    return code, typed_code.shown(vault.decrypt(HASHED, bytes(code.code_sealed)))


def picture_of(*, code_id: int, person_id: int, at: datetime) -> tuple[str, float]:
    """The text of an own code's picture now, and for how many seconds it is the newest.

    Raises NOT_FOUND, and what ``spendable`` raises for a code that can't be used any more.
    """
    code = _own(code_id, person_id)
    spendable(code, at)
    return picture.text_of(bytes(code.code_hash), at), picture.seconds_left(at)


_USED = """
    select r.redeemed_at, s.name from redemptions r left join shops s on s.id = r.shop_id
    where r.code_id = %(code)s and r.undone_at is null order by r.id desc limit 1
"""


def spendable(code: Code, at: datetime) -> None:
    """Refuse a code that can't be used now. Raises CODE_USED, CODE_REFUNDED, CODE_HELD, CODE_EXPIRED."""
    if code.state == "redeemed":
        used = read(_USED, {"code": code.id})
        raise CODE_USED(**({"used_at": used[0].redeemed_at.isoformat(), "shop": used[0].name} if used else {}))
    if code.state == "refunded":
        raise CODE_REFUNDED()
    if code.held:
        raise CODE_HELD()
    if code.state != "issued" or code.valid_until <= at:
        raise CODE_EXPIRED(valid_until=code.valid_until.isoformat())


def _own(code_id: int, person_id: int) -> Code:
    code = session().get(Code, code_id)
    if code is None or code.person_id != person_id or code.how != "scan":
        raise NOT_FOUND(code=str(code_id))
    return code


def tally(shop_id: int, *, at: datetime) -> tuple[int, int]:
    """A shop's redemptions of this Shanghai day: how many, and how many fen we owe for them."""
    today = clock.period("day", clock.business_day(at))
    owed = func.coalesce(func.sum(Redemption.owed_fen + Redemption.cash_fen), 0)
    query = select(func.coalesce(func.sum(Redemption.quantity), 0), owed).where(
        Redemption.shop_id == shop_id, Redemption.redeemed_at >= today.starts, Redemption.undone_at.is_(None)
    )
    row = connection().execute(query).one()
    return int(row[0]), int(row[1])


_SCANS = """
    select r.id, r.owed_fen + r.cash_fen as owed_fen, r.quantity, c.uses_left, r.redeemed_at, r.undone_at,
           r.held_reason, r.released_at, c.title, c.title_en, p.nickname, p.pseudonym
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
