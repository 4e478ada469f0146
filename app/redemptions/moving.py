"""A merchant that leaves hands its live codes to another one, who redeems them and is owed for them."""

from __future__ import annotations

from datetime import datetime

from app import audit, notices
from app.db import run
from app.errors import Kind, declare
from app.merchants import Merchant

NOT_A_SUCCESSOR = declare(
    "not_a_successor",
    Kind.CONFLICT,
    zh="券码只能转给同一项目、同一商户组的在营商户。",
    en="Codes can only move to an active merchant of the same program and group.",
)
_MOVE = """
    with moved as (
      update codes set merchant_id = %(to)s where merchant_id = %(from)s and state = 'issued' and how = 'scan'
      returning id, person_id, program_id, title, title_en
    ), kept as (
      insert into code_moves (code_id, from_merchant_id, to_merchant_id, moved_at, moved_by)
      select id, %(from)s, %(to)s, %(at)s, %(by)s from moved
    )
    select * from moved order by id
"""


def move(*, leaving: Merchant, to: Merchant, by: str, at: datetime) -> int:
    """Move all live codes; their owners are told. Answers how many. Raises NOT_A_SUCCESSOR.

    The price stays as it was frozen; terms of use that name shops of the old merchant no longer bind.
    """
    same_group = leaving.group_code is not None and leaving.group_code == to.group_code
    if not same_group or to.program_id != leaving.program_id or to.state != "active" or to.id == leaving.id:
        raise NOT_A_SUCCESSOR(to=to.code)
    moved = run(_MOVE, {"to": to.id, "from": leaving.id, "at": at, "by": by})
    for row in moved:
        notices.tell(
            key=f"code:{row.id}:moved:{to.id}", person_id=row.person_id, program_id=row.program_id, kind="code.moved",
            zh=f"兑换券“{row.title}”改由“{to.name}”兑付，可在其门店使用。",
            en=f"Your voucher “{row.title_en or row.title}” is honoured by “{to.name_en or to.name}” from now on.",
            details={"code_id": str(row.id)}, at=at,
        )  # fmt: skip
    audit.write(
        actor=by, action="codes.move", object_type="merchant", object_id=leaving.id, at=at,
        program_id=leaving.program_id, after={"to": to.code, "codes": len(moved)},
    )  # fmt: skip
    return len(moved)
