"""Mall: what credits can become, with a cash part where the platform allows one. Stock is available, reserved, sold."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from app.db import connection, session
from app.errors import NOT_FOUND, Kind, declare
from app.funding.models import Budget
from app.mall.models import Item
from app.mall.queries import item, program_of, shelf

ITEM_UNDERFUNDED = declare(
    "item_underfunded",
    Kind.CONFLICT,
    zh="结算价高于所需积分的价值，需要出资方补足后才能上架。请降低结算价或提高积分价。",
    en="The settlement price is above what its credits are worth. Lower it, raise the credits, or have it topped up.",
)
SOLD_OUT = declare(
    "sold_out",
    Kind.CONFLICT,
    zh="已兑完。请看看其他商品，或等待补货。",
    en="Sold out. See other items, or wait for a restock.",
)
NOT_ON_SALE = declare(
    "not_on_sale",
    Kind.CONFLICT,
    zh="该商品当前不可兑换（未上架、未开始或已结束）。",
    en="This item can't be bought now: not on sale, not yet, or no longer.",
)
CASH_NOT_ALLOWED = declare(
    "cash_not_allowed",
    Kind.CONFLICT,
    zh="现金部分只能用于实物（parcel）和线下真实服务（service），不能用于兑换券、捐赠或虚拟商品（微信平台规则）。",
    en="Only real goods (parcel) and real-world services (service) may ask for money: never vouchers, donations or"
    " virtual goods (a rule of WeChat's platform).",
)
CASH_KINDS = ("parcel", "service")


def allow_cash(*, kind: str, price_fen: int) -> None:
    """Refuse a cash part where the platform forbids one. Raises CASH_NOT_ALLOWED; the table has the same rule."""
    if price_fen and kind not in CASH_KINDS:
        raise CASH_NOT_ALLOWED(kind=kind)


def publish(*, item: Item) -> None:
    """Put an item on sale. Raises ITEM_UNDERFUNDED when its credits are worth less than its settlement price.

    The cheapest budget of the program decides: credits of any of them may pay.
    """
    cheapest = select(Budget.price_fen).where(Budget.program_id == item.program_id).order_by(Budget.price_fen).limit(1)
    price_fen = connection().execute(cheapest).scalar_one_or_none() or 0
    worth = item.price_credits * price_fen // 1000
    if item.settlement_fen > worth:
        raise ITEM_UNDERFUNDED(settlement_fen=str(item.settlement_fen), worth_fen=str(worth))
    item.state = "on_sale"
    session().flush()


def take_stock(*, item_id: int, pieces: int, at: datetime, reserve: bool = False) -> Item:
    """Sell pieces of an item, or reserve them until they are paid, by one conditional update on the row itself.

    Raises NOT_FOUND, NOT_ON_SALE, SOLD_OUT.
    """
    into = {"reserved": Item.reserved + pieces} if reserve else {"sold": Item.sold + pieces}
    sold = (
        update(Item)
        .where(Item.id == item_id, Item.available >= pieces, Item.state == "on_sale")
        .where((Item.sale_from.is_(None)) | (Item.sale_from <= at))
        .where((Item.sale_until.is_(None)) | (Item.sale_until > at))
        .values(available=Item.available - pieces, **into)
        .returning(Item.id)
    )
    done = connection().execute(sold).first()
    item = session().get(Item, item_id, populate_existing=True)
    if item is None or item.state == "draft":
        raise NOT_FOUND(item=str(item_id))
    if done is None:
        on_sale = item.state == "on_sale" and (item.sale_from is None or item.sale_from <= at)
        raise SOLD_OUT() if on_sale and (item.sale_until is None or item.sale_until > at) else NOT_ON_SALE()
    return item


def sell_reserved(*, item_id: int, pieces: int) -> Item:
    """What was reserved is paid. The item may be off sale by now: who had reserved it gets it."""
    return _move(item_id, reserved=Item.reserved - pieces, sold=Item.sold + pieces)


def free_reserved(*, item_id: int, pieces: int) -> Item:
    """What was reserved was never paid: it is on the shelf again."""
    return _move(item_id, reserved=Item.reserved - pieces, available=Item.available + pieces)


def take_back(*, item_id: int, pieces: int) -> Item:
    """What was sold is refunded: it is on the shelf again."""
    return _move(item_id, sold=Item.sold - pieces, available=Item.available + pieces)


def _move(item_id: int, **counters: Any) -> Item:
    connection().execute(update(Item).where(Item.id == item_id).values(counters))
    return session().get_one(Item, item_id, populate_existing=True)


__all__ = [
    "CASH_KINDS",
    "CASH_NOT_ALLOWED",
    "ITEM_UNDERFUNDED",
    "NOT_ON_SALE",
    "SOLD_OUT",
    "Item",
    "allow_cash",
    "free_reserved",
    "item",
    "program_of",
    "publish",
    "sell_reserved",
    "shelf",
    "take_back",
    "take_stock",
]
