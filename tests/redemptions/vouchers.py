"""Codes to try: an item of so many uses, bought by somebody rich enough, with its characters."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app import mall, orders, redemptions
from app.db import run, session
from app.mall.models import Item
from tests import world
from tests.world import AT, World


def item(
    here: World,
    *,
    code: str = "pass",
    uses: int = 1,
    price_credits: int = 100,
    settlement_fen: int = 150,
    kind: str = "voucher",
    **more: Any,
) -> int:
    """An item on sale. Call it in a transaction."""
    made = Item(
        program_id=here.program_id,
        code=code,
        kind=kind,
        merchant_id=here.merchant_id,
        name="次卡",
        name_en="Pass",
        price_credits=price_credits,
        settlement_fen=settlement_fen,
        uses=uses,
        total=1_000,
        available=1_000,
        sold=0,
        valid_days=30,
        state="draft",
        **more,
    )
    session().add(made)
    session().flush()
    mall.publish(item=made)
    return made.id


def bought(
    here: World, person: int, item_id: int, ref: str = "o", *, quantity: int = 1, at: datetime = AT
) -> list[tuple[int, str]]:
    """Codes of an order with their characters. Call it in a transaction."""
    price = session().get_one(Item, item_id).price_credits
    world.rich(here, person, price * quantity, at=at)
    wish = orders.Wish(item_id=item_id, quantity=quantity, price_credits=price)
    placed = orders.place(person_id=person, client_ref=ref, wish=wish, at=at)
    codes = redemptions.codes_of_order(placed.order_id)
    return [(code, redemptions.show(code_id=code, person_id=person)[1]) for code in codes]


def money(here: World) -> dict[str, int]:
    """Balances by kind of account: what merchants are owed, what budgets hold, what is committed and spent."""
    rows = run(
        """
        select a.kind, coalesce(sum(e.amount), 0)::bigint as amount from accounts a
        left join entries e on e.account_id = a.id where a.program_id = %(program)s group by a.kind
        """,
        {"program": here.program_id},
    )
    return {row.kind: row.amount for row in rows}
