"""Reads: a person's codes, showing one, and a shop's day."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select

from app import clock, vault
from app.db import connection, session
from app.errors import NOT_FOUND
from app.redemptions import typed_code
from app.redemptions.actions import HASHED
from app.redemptions.models import Code, Redemption


def codes_of_order(order_id: int) -> list[int]:
    """The codes of an order, oldest first."""
    return list(connection().execute(select(Code.id).where(Code.order_id == order_id).order_by(Code.id)).scalars())


def codes_of_person(person_id: int, *, before: int | None, limit: int) -> list[Code]:
    """A person's codes, newest first, below the cursor."""
    query = select(Code).where(Code.person_id == person_id).order_by(Code.id.desc()).limit(limit)
    return list(session().scalars(query if before is None else query.where(Code.id < before)))


def show(*, code_id: int, person_id: int) -> tuple[Code, str]:
    """A code with its plain characters, for its owner only. Raises NOT_FOUND."""
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
