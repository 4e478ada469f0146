"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

COLUMNS: Mapping[str, str] = {
    "payments.person_id": "kept: commercial record under a pseudonym",
    "payments.payer_hash": "kept: proof of who paid, as a keyed hash that names nobody",
}
EXPORT: Mapping[str, str] = {
    "payments": (
        "select p.out_trade_no, g.code as program, p.subject_ref::text as order_id, p.total_fen, p.state, p.success_at,"
        " p.refunded_fen, p.created_at from payments p join programs g on g.id = p.program_id"
        " where p.person_id = :person_id order by p.id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing is lost: what is to be refunded still reaches the payer, by WeChat's own number."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """Nothing here names a person: the openid was never kept."""
