"""The book in a small file, so that orders outlive a restart: the application's own database does too."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wechat.sandbox.pay.book import Book, Move, Order, Refund

if TYPE_CHECKING:
    from wechat.sandbox.box import Sandbox

PLAIN = ("balance_fen", "fee_rate_ppm", "by_transaction", "by_prepay")


def keep(box: Sandbox, path: Path) -> None:
    """Write the book whole, then put it in the place of the old one."""
    book = box.book
    with book.lock:
        kept: dict[str, Any] = {name: getattr(book, name) for name in PLAIN}
        kept |= {
            "ahead": box.clock.now() - time.time(),
            "orders": [asdict(order) for order in book.orders.values()],
            "refunds": [asdict(refund) for refund in book.refunds.values()],
            "moves": [asdict(move) for move in book.moves],
            "next": next(book._numbers),
            "users": [user.name for user in box.state.users.values()],
        }
        text = json.dumps(kept, ensure_ascii=False)
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)


def recall(box: Sandbox, path: Path) -> bool:
    """Take the kept book over, before the start. False when there is none, or none that can be read."""
    try:
        kept = json.loads(path.read_text())
        orders = {one["number"]: Order(**one) for one in kept["orders"]}
        refunds = {one["number"]: Refund(**one) for one in kept["refunds"]}
        moves = [Move(**one) for one in kept["moves"]]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    _fill(box.book, kept, orders, refunds, moves)
    for name in kept["users"]:
        box.state.add_user(name)
    box.clock.advance(max(0.0, time.time() + kept["ahead"] - box.clock.now()))
    for refund in refunds.values():
        if refund.status == "PROCESSING":
            box.follow_refund(refund)
    return True


def _fill(
    book: Book, kept: dict[str, Any], orders: dict[str, Order], refunds: dict[str, Refund], moves: list[Move]
) -> None:
    book.orders, book.refunds, book.moves = orders, refunds, moves
    for name in PLAIN:
        setattr(book, name, kept[name])
    for order in orders.values():
        order.begun = False
    book._numbers = itertools.count(kept["next"])
