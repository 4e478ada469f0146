"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

COLUMNS: Mapping[str, str] = {
    "orders.person_id": "kept: commercial record under a pseudonym",
    "item_purchases.person_id": "kept: proof that a limit held",
}
EXPORT: Mapping[str, str] = {
    "orders": (
        "select o.id::text, p.code as program, i.code as item, o.client_ref, o.quantity, o.credits,"
        " o.state, o.placed_at,"
        " o.fulfilled_at from orders o join programs p on p.id = o.program_id join items i on i.id = o.item_id"
        " where o.person_id = :person_id order by o.id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing is lost."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """Nothing here names a person: the pseudonym stays."""
