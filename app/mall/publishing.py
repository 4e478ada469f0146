"""Putting items on the shelf: drafted, checked by kind and by money, published, changed, withdrawn."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from app.db import connection, session
from app.errors import NOT_FOUND, Kind, declare
from app.funding.models import Budget
from app.mall import stock
from app.mall.kinds import KINDS
from app.mall.models import Category, Item, Restock, Slot
from app.programs.models import Terms

ITEM_UNDERFUNDED = declare(
    "item_underfunded",
    Kind.CONFLICT,
    zh="结算价高于所需积分的价值，需要出资方补足后才能上架。请降低结算价或提高积分价。",
    en="The settlement price is above what its credits are worth. Lower it, raise the credits, or have it topped up.",
)
CASH_NOT_ALLOWED = declare(
    "cash_not_allowed",
    Kind.CONFLICT,
    zh="现金部分只能用于实物（parcel）和线下真实服务（service），不能用于兑换券、捐赠或虚拟商品（微信平台规则）。",
    en="Only real goods (parcel) and real-world services (service) may ask for money: never vouchers, donations or"
    " virtual goods (a rule of WeChat's platform).",
)
ITEM_BELOW_FLOOR = declare(
    "item_below_floor",
    Kind.CONFLICT,
    zh="该商品每 1000 积分兑换的价值低于现行条款承诺的最低价值。请提高结算价或降低积分价。",
    en="Credits would buy less here than the terms promise. Raise the settlement price, or ask for fewer credits.",
)
USES_NOT_ALLOWED = declare(
    "uses_not_allowed",
    Kind.CONFLICT,
    zh="只有兑换券（voucher）和服务（service）的码可以多次使用。",
    en="Only codes of vouchers and services can be used several times.",
)
ITEM_CODE_TAKEN = declare(
    "item_code_taken",
    Kind.CONFLICT,
    zh="该项目已有相同编码的商品。",
    en="This program has an item of that code already.",
)
STOCK_IS_CODES = declare(
    "stock_is_codes",
    Kind.CONFLICT,
    zh="券码池的库存就是已导入的券码，请导入新的券码来补货。",
    en="The stock of a code pool is its codes: import more of them instead.",
)
NO_TIMES = declare(
    "no_times",
    Kind.CONFLICT,
    zh="只有服务类（service）商品可以开放预约时段。",
    en="Only a service is booked for a time.",
)
# What may change while an item is on sale; orders that stand keep what they were told.
CHANGEABLE = frozenset(
    {
        *("name", "name_en", "text_zh", "text_en", "picture", "category_id", "price_credits", "price_fen", "low_at"),
        *("per_person", "per_period", "period_kind", "sale_from", "sale_until", "audience_units", "audience_tags"),
        *("least_level", "provinces", "settlement_fen"),
    }
)


def draft(*, program_id: int, code: str, kind: str, stock_pieces: int, **fields: Any) -> Item:
    """A new item, not on sale yet. Raises CASH_NOT_ALLOWED, USES_NOT_ALLOWED, ITEM_CODE_TAKEN."""
    known = select(Item.id).where(Item.program_id == program_id, Item.code == code)
    if session().scalar(known) is not None:
        raise ITEM_CODE_TAKEN(code=code)
    allow(kind=kind, price_fen=fields.get("price_fen", 0), uses=fields.get("uses", 1))
    pieces = 0 if kind == "code_pool" else stock_pieces
    item = Item(
        program_id=program_id, code=code, kind=kind, total=pieces, available=pieces, reserved=0, sold=0, state="draft",
        **fields,
    )  # fmt: skip
    session().add(item)
    session().flush()
    return item


CASH_TOO_LONG = declare(
    "cash_too_long",
    Kind.CONFLICT,
    zh="含现金的商品，有效期加延期最多 330 天：微信支付一年后不再受理退款。",
    en="With a cash part an item is valid for 330 days at most, extension included: WeChat refunds for a year only.",
)
LONGEST_WITH_CASH = 330


def allow(*, kind: str, price_fen: int = 0, uses: int = 1) -> None:
    """Refuse what a kind can't be. Raises CASH_NOT_ALLOWED, USES_NOT_ALLOWED; the table has the same rules."""
    if price_fen and not KINDS[kind].cash:
        raise CASH_NOT_ALLOWED(kind=kind)
    if uses > 1 and not KINDS[kind].several_uses:
        raise USES_NOT_ALLOWED(kind=kind)


def publish(*, item: Item) -> None:
    """Put an item on sale. Raises ITEM_UNDERFUNDED when its credits are worth less than its settlement price, and
    ITEM_BELOW_FLOOR when they buy less than any version of the terms has promised.

    The cheapest budget of the program decides: credits of any of them may pay.
    """
    _funded(item)
    _returnable(item)
    item.state = "on_sale"
    session().flush()


def withdraw(*, item: Item) -> None:
    """Take it off the shelf. Unpaid orders can still be paid, and codes that were issued stay valid."""
    item.state = "off_sale"
    session().flush()


def change(*, item: Item, changes: Mapping[str, Any]) -> None:
    """Change an item. Whoever saw the old price must confirm the new one; orders that stand are not touched.

    Raises CASH_NOT_ALLOWED, ITEM_UNDERFUNDED; ValueError for what can't change.
    """
    unknown = set(changes) - CHANGEABLE
    if unknown:
        raise ValueError(f"can't be changed: {', '.join(sorted(unknown))}")
    allow(kind=item.kind, price_fen=changes.get("price_fen", item.price_fen), uses=item.uses)
    for name, value in changes.items():
        setattr(item, name, value)
    session().flush()
    if item.state == "on_sale":
        _funded(item)


def announce(*, item_id: int, pieces: int, due_at: datetime, asked_by: str, at: datetime) -> Restock:
    """Announce pieces for a time; the job puts them on the shelf then. Said again for the same time, it is changed.

    Raises STOCK_IS_CODES.
    """
    _countable(item_id)
    query = select(Restock).where(Restock.item_id == item_id, Restock.due_at == due_at, Restock.done_at.is_(None))
    row = session().scalars(query.with_for_update()).first() or Restock(item_id=item_id, due_at=due_at)
    row.pieces, row.asked_by = pieces, asked_by
    session().add(row)
    session().flush()
    return row


def restock(*, item_id: int, pieces: int, asked_by: str) -> int:
    """Add pieces now, or (negative) take free ones away; answers what is available. Raises STOCK_TAKEN,
    STOCK_IS_CODES."""
    _countable(item_id)
    return stock.add(item_id=item_id, pieces=pieces, why=f"restock:{asked_by}")


def _countable(item_id: int) -> None:
    if session().scalar(select(Item.kind).where(Item.id == item_id)) == "code_pool":
        raise STOCK_IS_CODES()


def open_slot(*, item_id: int, starts_at: datetime, ends_at: datetime, capacity: int) -> Slot:
    """A time at which a service can be booked; the one of this start is changed if it stands.

    Raises NO_TIMES for what isn't booked, STOCK_TAKEN for fewer places than are taken.
    """
    if session().scalar(select(Item.kind).where(Item.id == item_id)) != "service":
        raise NO_TIMES()
    found = (
        session()
        .scalars(select(Slot).where(Slot.item_id == item_id, Slot.starts_at == starts_at).with_for_update())
        .first()
    )
    if found is None:
        found = Slot(item_id=item_id, starts_at=starts_at, ends_at=ends_at, capacity=capacity, taken=0)
        session().add(found)
    if capacity < found.taken:
        raise stock.STOCK_TAKEN(taken=str(found.taken))
    found.ends_at, found.capacity = ends_at, capacity
    session().flush()
    return found


def category(*, program_id: int, code: str, name: str, name_en: str, position: int = 0) -> Category:
    """The shelf of this code, made or renamed."""
    query = select(Category).where(Category.program_id == program_id, Category.code == code)
    found = session().scalars(query).first() or Category(program_id=program_id, code=code)
    found.name, found.name_en, found.position = name, name_en, position
    session().add(found)
    session().flush()
    return found


def item_of(program_id: int, code: str) -> Item:
    """An item by its code, drafts too. Raises NOT_FOUND."""
    found = session().scalars(select(Item).where(Item.program_id == program_id, Item.code == code)).first()
    if found is None:
        raise NOT_FOUND(item=code)
    return found


def _returnable(item: Item) -> None:
    """Money for what is never used must be able to go back when it ends (reference: WeChat Pay, refunds)."""
    if item.price_fen and item.valid_days + item.extend_days > LONGEST_WITH_CASH:
        raise CASH_TOO_LONG(days=str(item.valid_days + item.extend_days))


def _funded(item: Item) -> None:
    cheapest = select(Budget.price_fen).where(Budget.program_id == item.program_id).order_by(Budget.price_fen).limit(1)
    price_fen = connection().execute(cheapest).scalar_one_or_none() or 0
    worth = item.price_credits * price_fen // 1000
    if item.settlement_fen > worth:
        raise ITEM_UNDERFUNDED(settlement_fen=str(item.settlement_fen), worth_fen=str(worth))
    promised = _floor(item.program_id)
    if item.kind != "donation" and item.settlement_fen * 1000 < item.price_credits * promised:
        least = -(-item.price_credits * promised // 1000)
        raise ITEM_BELOW_FLOOR(settlement_fen=str(item.settlement_fen), least_fen=str(least))


def _floor(program_id: int) -> int:
    """The highest floor of any terms that credits in circulation may have been earned under, in fen per 1,000."""
    query = select(func.coalesce(func.max(Terms.floor_fen), 0)).where(Terms.program_id == program_id)
    return int(connection().execute(query).scalar_one())
