"""Draft, submit, decide. An approved offer is published as an item, with its terms of use frozen beside it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from app import audit, mall, notices
from app.db import connection, run, session
from app.errors import NOT_FOUND, Kind, declare
from app.mall import publishing
from app.mall.models import Item
from app.merchants import Merchant, Shop
from app.offers.models import Offer
from app.redemptions import UseTerms

FIELDS = (
    *("name", "name_en", "text_zh", "text_en", "picture", "pieces", "price_credits", "settlement_fen", "uses"),
    *("per_person", "valid_days", "shop_ids", "weekdays", "opens", "closes", "blackout_days"),
)

OFFER_SETTLED = declare(
    "offer_settled",
    Kind.CONFLICT,
    zh="该优惠已提交或已有审核结果，不能再修改。请新建一个。",
    en="This offer waits for a decision or has one, so it can't be changed. Draft a new one.",
)
MERCHANT_CANNOT_OFFER = declare(
    "merchant_cannot_offer",
    Kind.CONFLICT,
    zh="商户已暂停或正在退出，不能提交新的优惠。",
    en="The merchant is paused or on its way out, so it can't make new offers.",
)


def draft(*, merchant: Merchant, person_id: int, fields: Mapping[str, Any], at: datetime) -> Offer:
    """A new draft of a merchant. Raises NOT_FOUND for a shop of another, MERCHANT_CANNOT_OFFER."""
    _able(merchant)
    made = Offer(program_id=merchant.program_id, merchant_id=merchant.id, made_by=person_id, made_at=at)
    _fill(made, merchant, fields)
    session().add(made)
    session().flush()
    return made


def revise(*, offer_id: int, merchant: Merchant, fields: Mapping[str, Any]) -> Offer:
    """Change a draft, or a refused offer, which becomes a draft again. Raises NOT_FOUND, OFFER_SETTLED."""
    found = _locked(offer_id, merchant.id)
    if found.state not in ("draft", "refused"):
        raise OFFER_SETTLED(state=found.state)
    _fill(found, merchant, fields)
    found.state = "draft"
    session().flush()
    return found


def submit(*, offer_id: int, merchant: Merchant, at: datetime) -> Offer:
    """Ask for approval; twice is once. Raises NOT_FOUND, OFFER_SETTLED, MERCHANT_CANNOT_OFFER."""
    _able(merchant)
    found = _locked(offer_id, merchant.id)
    if found.state == "submitted":
        return found
    if found.state not in ("draft", "refused"):
        raise OFFER_SETTLED(state=found.state)
    found.state, found.submitted_at, found.reason = "submitted", at, ""
    session().flush()
    return found


def withdraw(*, offer_id: int, merchant: Merchant) -> Offer:
    """Take an offer back; an approved one leaves the shelf, codes that were issued stay good. Raises NOT_FOUND."""
    found = _locked(offer_id, merchant.id)
    if found.state == "approved":
        publishing.withdraw(item=session().get_one(Item, found.item_id))
    else:
        found.state = "withdrawn"
    session().flush()
    return found


def approve(*, offer_id: int, by: str, at: datetime, code: str | None = None) -> Item:
    """Publish an offer as an item with its terms of use; twice is the same answer.

    Raises NOT_FOUND, OFFER_SETTLED, ITEM_UNDERFUNDED (its credits are worth less than the merchant wants).
    """
    found = _locked(offer_id)
    if found.state == "approved":
        return session().get_one(Item, found.item_id)
    if found.state != "submitted":
        raise OFFER_SETTLED(state=found.state)
    _able(session().get_one(Merchant, found.merchant_id))
    item = mall.draft(
        program_id=found.program_id,
        code=code or f"offer-{found.id}",
        kind="voucher",
        stock_pieces=found.pieces,
        merchant_id=found.merchant_id,
        name=found.name,
        name_en=found.name_en,
        text_zh=found.text_zh,
        text_en=found.text_en,
        picture=found.picture,
        price_credits=found.price_credits,
        settlement_fen=found.settlement_fen,
        uses=found.uses,
        per_person=found.per_person,
        valid_days=found.valid_days,
    )
    group = session().get_one(Merchant, found.merchant_id).group_code
    if found.shop_ids or found.weekdays or found.opens or found.blackout_days or group:
        session().add(
            UseTerms(
                item_id=item.id,
                group_code=group,
                shop_ids=found.shop_ids,
                weekdays=found.weekdays,
                opens=found.opens,
                closes=found.closes,
                blackout_days=found.blackout_days,
            )
        )
    mall.publish(item=item)
    _decide(found, "approved", "", by, at, item_id=item.id)
    _tell(found, f"优惠“{found.name}”已上架。", f"Your offer “{found.name_en or found.name}” is on sale.", at)
    return item


def refuse(*, offer_id: int, reason: str, by: str, at: datetime) -> None:
    """Refuse with a reason that the merchant reads and can mend. Raises NOT_FOUND, OFFER_SETTLED."""
    found = _locked(offer_id)
    if found.state != "submitted":
        raise OFFER_SETTLED(state=found.state)
    _decide(found, "refused", reason, by, at)
    zh = f"优惠“{found.name}”未通过：{reason}"
    _tell(found, zh, f"Your offer “{found.name_en or found.name}” was not approved: {reason}", at)


def withdraw_all(*, merchant_id: int) -> int:
    """A merchant that leaves sells nothing more: its items leave the shelf, what waited is withdrawn."""
    waits = (Offer.merchant_id == merchant_id, Offer.state.in_(("draft", "submitted")))
    session().execute(update(Offer).where(*waits).values(state="withdrawn"))
    items = "update items set state = 'off_sale' where merchant_id = %(m)s and state = 'on_sale' returning id"
    return len(run(items, {"m": merchant_id}))


def _fill(found: Offer, merchant: Merchant, fields: Mapping[str, Any]) -> None:
    if set(fields) - set(FIELDS):
        raise ValueError(f"no such fields: {sorted(set(fields) - set(FIELDS))}")
    wanted = set(fields.get("shop_ids") or ())
    if wanted:
        own = select(Shop.id).where(Shop.merchant_id == merchant.id, Shop.id.in_(wanted))
        strangers = wanted - set(connection().execute(own).scalars())
        if strangers:
            raise NOT_FOUND(shop=str(min(strangers)))
    for name, value in fields.items():
        setattr(found, name, value)


def _able(merchant: Merchant) -> None:
    if merchant.state != "active":
        raise MERCHANT_CANNOT_OFFER(state=merchant.state)


def _locked(offer_id: int, merchant_id: int | None = None) -> Offer:
    found = session().get(Offer, offer_id, with_for_update=True, populate_existing=True)
    if found is None or merchant_id not in (None, found.merchant_id):
        raise NOT_FOUND(offer=str(offer_id))
    return found


def _decide(found: Offer, state: str, reason: str, by: str, at: datetime, item_id: int | None = None) -> None:
    found.item_id, found.state, found.reason = item_id, state, reason
    found.decided_at, found.decided_by = at, by
    session().flush()
    audit.write(
        actor=by, action=f"offer.{state}", object_type="offer", object_id=found.id, at=at, reason=reason or None,
        program_id=found.program_id, after={"settlement_fen": found.settlement_fen, "pieces": found.pieces},
    )  # fmt: skip


def _tell(found: Offer, zh: str, en: str, at: datetime) -> None:
    notices.tell(
        key=f"offer:{found.id}:{found.state}:{at.isoformat()}", person_id=found.made_by, program_id=found.program_id,
        kind=f"offer.{found.state}", zh=zh, en=en, at=at, details={"offer_id": str(found.id)},
    )  # fmt: skip
