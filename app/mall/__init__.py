"""Mall: what credits can become. The first slice: vouchers that a merchant scans."""

from __future__ import annotations

from datetime import datetime

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


def take_stock(*, item_id: int, pieces: int, at: datetime) -> Item:
    """Sell pieces of an item, by one conditional update on the row itself. Raises NOT_FOUND, NOT_ON_SALE, SOLD_OUT."""
    sold = (
        update(Item)
        .where(Item.id == item_id, Item.available >= pieces, Item.state == "on_sale")
        .where((Item.sale_from.is_(None)) | (Item.sale_from <= at))
        .where((Item.sale_until.is_(None)) | (Item.sale_until > at))
        .values(available=Item.available - pieces, sold=Item.sold + pieces)
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


__all__ = [
    "ITEM_UNDERFUNDED",
    "NOT_ON_SALE",
    "SOLD_OUT",
    "Item",
    "item",
    "program_of",
    "publish",
    "shelf",
    "take_stock",
]
