"""Limits of a person: the rows of ``item_purchases`` are the guard (STK-3), written when an order is placed."""

from __future__ import annotations

from sqlalchemy import update

from app.db import connection
from app.orders.models import ItemPurchase, Order


def uncount(order: Order, pieces: int) -> None:
    """Pieces that came to nothing free their place, over all time and in the period they were ordered in."""
    rows = update(ItemPurchase).where(
        ItemPurchase.item_id == order.item_id,
        ItemPurchase.person_id == order.person_id,
        ItemPurchase.period_key.in_({"", order.period_key}),
    )
    connection().execute(rows.values(pieces=ItemPurchase.pieces - pieces))
