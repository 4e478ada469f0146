"""Where the payments of a proof take place: an item for credits and money, and buyers whom the local WeChat knows.

``python -m devkit.proof.shop open 24`` makes it; ``… refund ORDER …`` refunds orders, as an operator would.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from app import orders
from app.clock import now
from app.db import retrying, transaction
from app.errors import Refusal
from devkit.proof import town
from wechat.sandbox.identity import LOCAL_APPID, LOCAL_SECRET
from wechat.sandbox.state import State

PRICE_CREDITS, PRICE_FEN = 5, 990


def opened(buyers: int) -> dict[str, Any]:
    """The shop, as plain data."""
    place = town.build(f"shop-{now():%H%M%S}")
    with transaction():
        item_id = town.new_item(
            place, "kit", price_credits=PRICE_CREDITS, stock=10_000_000, per_person=None, price_fen=PRICE_FEN
        )
    state = State(LOCAL_APPID, LOCAL_SECRET)
    phones = []
    for number in range(buyers):
        user = f"buyer-{number}"
        made = town.phone(place, 20_000, now(), appid=LOCAL_APPID, openid=state.add_user(user).openid)
        phones.append({**made, "user": user})
    return {"item": str(item_id), "phones": phones}


def refund(order_ids: list[int]) -> dict[str, int]:
    """Refund orders; answers how many were, and what refused the others."""
    seen: dict[str, int] = {}
    for order_id in order_ids:
        at = now()

        def command(order_id: int = order_id, at: Any = at) -> None:
            with transaction():
                orders.refund(order_id=order_id, reason="证明", asked_by="system:proof", at=at)

        try:
            retrying(command)
            outcome = "refunded"
        except Refusal as refusal:
            outcome = refusal.code
        seen[outcome] = seen.get(outcome, 0) + 1
    return seen


def main() -> int:
    """Do what the words say, and print it."""
    import wsgi

    what, *rest = sys.argv[1:]
    with wsgi.create_app().app_context():
        print(json.dumps(opened(int(rest[0])) if what == "open" else refund([int(word) for word in rest])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
