"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from app.db import run

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
    """Refunds on their way are told, though they are not lost: they still reach the payer, by WeChat's own number."""
    rows = run(
        "select g.code as program, r.out_refund_no as name, r.fen as amount from refunds r"
        " join payments p on p.id = r.payment_id join programs g on g.id = p.program_id"
        " where p.person_id = %(person)s and r.state in ('asked', 'processing', 'abnormal') order by r.id",
        {"person": person_id},
    )
    return [{"what": "refund_under_way", **row._asdict()} for row in rows]


def erase(person_id: int, at: datetime) -> None:
    """Nothing here names a person: the openid was never kept."""
