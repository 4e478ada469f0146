"""Running a shop: its place and hours, how many a day, pausing and going on. What an operator paused, one resumes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app import audit
from app.db import run, session
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.merchants.models import Merchant, Shop

OPERATORS = "operator:"
CHANGEABLE = ("address", "phone", "opening_hours", "lat_e6", "lng_e6", "daily_quota")

PAUSED_BY_OPERATOR = declare(
    "paused_by_operator",
    Kind.CONFLICT,
    zh="该暂停由平台运营设置，请联系运营恢复。",
    en="The platform's operators have paused it. Ask them to resume.",
)
STILL_LIVE = declare(
    "still_live",
    Kind.CONFLICT,
    zh="还有未用完的券码，用完、到期或转给其他商户后才能完成退出。",
    en="Some codes are still live. They are used, end, or move to another merchant first.",
)


def change_shop(*, shop_id: int, changes: Mapping[str, Any], by: str, at: datetime) -> Shop:
    """Change a shop's address, phone, hours, place or daily quota. Raises NOT_FOUND; ValueError for anything else."""
    shop = _shop(shop_id)
    if set(changes) - set(CHANGEABLE):
        raise ValueError(f"can't be changed: {sorted(set(changes) - set(CHANGEABLE))}")
    before = {name: getattr(shop, name) for name in changes}
    for name, value in changes.items():
        setattr(shop, name, value)
    session().flush()
    audit.write(
        actor=by, action="shop.change", object_type="shop", object_id=shop_id, at=at, before=before, after=dict(changes)
    )
    return shop


def pause_shop(*, shop_id: int, reason: str, by: str, at: datetime) -> None:
    """No code is redeemed in this shop until it is resumed; who looked before is told at the confirmation."""
    shop = _shop(shop_id)
    if shop.state == "paused" and _by_operator(shop.paused_by) and not _by_operator(by):
        return
    shop.state, shop.pause_reason, shop.paused_by = "paused", reason, by
    session().flush()
    audit.write(actor=by, action="shop.pause", object_type="shop", object_id=shop_id, at=at, reason=reason)


def resume_shop(*, shop_id: int, by: str, at: datetime) -> None:
    """Redeem again. Raises PAUSED_BY_OPERATOR for anybody but an operator."""
    shop = _shop(shop_id)
    if shop.state != "paused":
        return
    if _by_operator(shop.paused_by) and not _by_operator(by):
        raise PAUSED_BY_OPERATOR(reason=shop.pause_reason or "")
    shop.state, shop.pause_reason, shop.paused_by = "open", None, None
    session().flush()
    audit.write(actor=by, action="shop.resume", object_type="shop", object_id=shop_id, at=at)


def pause(*, merchant: Merchant, reason: str, by: str, at: datetime) -> None:
    """Stop all shops of a merchant; an operator's word. Raises STATE_CONFLICT for one that leaves or has left."""
    if merchant.state not in ("active", "paused"):
        raise STATE_CONFLICT(state=merchant.state)
    merchant.state, merchant.pause_reason, merchant.paused_by = "paused", reason, by
    session().flush()
    audit.write(actor=by, action="merchant.pause", object_type="merchant", object_id=merchant.id, at=at, reason=reason)


def resume(*, merchant: Merchant, by: str, at: datetime) -> None:
    """Let a merchant go on; nothing happens to one that isn't paused."""
    if merchant.state != "paused":
        return
    merchant.state, merchant.pause_reason, merchant.paused_by = "active", None, None
    session().flush()
    audit.write(actor=by, action="merchant.resume", object_type="merchant", object_id=merchant.id, at=at)


def leave(*, merchant: Merchant, by: str, at: datetime) -> None:
    """A merchant wants to leave: no new offers; what is promised runs out or moves. Twice is once.

    Raises PAUSED_BY_OPERATOR for who would end an operator's pause by leaving.
    """
    if merchant.state in ("leaving", "left"):
        return
    if merchant.state == "paused" and not _by_operator(by):
        raise PAUSED_BY_OPERATOR(reason=merchant.pause_reason or "")
    merchant.state, merchant.leaving_at = "leaving", at
    session().flush()
    audit.write(actor=by, action="merchant.leave", object_type="merchant", object_id=merchant.id, at=at)


_LIVE = "select count(*) as n from codes where merchant_id = %(m)s and state = 'issued'"


def live_codes(merchant_id: int) -> int:
    """Promises of a merchant that are still open."""
    return int(run(_LIVE, {"m": merchant_id})[0].n)


def part(*, merchant: Merchant, at: datetime) -> None:
    """The end: nothing is promised any more, the final statement may be drawn. Raises STILL_LIVE, STATE_CONFLICT."""
    if merchant.state == "left":
        return
    if merchant.state != "leaving":
        raise STATE_CONFLICT(state=merchant.state)
    live = live_codes(merchant.id)
    if live:
        raise STILL_LIVE(codes=str(live))
    merchant.state, merchant.left_at = "left", at
    run("update shops set state = 'closed' where merchant_id = %(m)s", {"m": merchant.id})
    session().flush()
    session().expire_all()


def leaving() -> list[Merchant]:
    """Merchants on their way out that have nothing open any more."""
    query = """
        select id from merchants m where m.state = 'leaving'
          and not exists (select from codes c where c.merchant_id = m.id and c.state = 'issued') order by id
    """
    return [session().get_one(Merchant, row.id) for row in run(query)]


def _shop(shop_id: int) -> Shop:
    shop = session().get(Shop, shop_id, with_for_update=True, populate_existing=True)
    if shop is None:
        raise NOT_FOUND(shop=str(shop_id))
    return shop


def _by_operator(by: str | None) -> bool:
    return (by or "").startswith(OPERATORS)
