"""Risk: what looks like turns among colleagues is held with a reason, never refused, and not settled before release.

Judged after the commit, by the listener of ``code.redeemed``. T+3 counts from the release (docs/merchants.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from app import audit, ledger, notices
from app.db import run
from app.errors import NOT_FOUND, STATE_CONFLICT
from app.redemptions import expiring

WEEK = timedelta(days=7)
COLLEAGUES_A_WEEK = 3
SCANS_A_TEN_MINUTES = 40
LEAST_TO_COMPARE = 20
GREATEST_SHARE_PERCENT = 50

REASONS: Mapping[str, tuple[str, str]] = {
    "reciprocal": ("店员之间互相核销券码", "Two of the staff redeemed each other's codes"),
    "colleagues": (
        "一周内多次由同事核销店员自己的券码",
        "Colleagues redeemed a clerk's own codes several times in a week",
    ),
    "velocity": ("同一店员十分钟内核销过多", "One clerk redeemed very many in ten minutes"),
    "one_buyer": ("近 30 天核销大部分来自同一位顾客", "Most redemptions of 30 days are of one customer"),
    "same_device": ("顾客与店员用同一台设备登录", "Customer and clerk signed in on one device"),
}

_FACTS = """
    select r.id, r.merchant_id, r.staff_person_id as clerk, c.person_id as buyer, r.redeemed_at,
      exists (select from staff f join shops s on s.id = f.shop_id
              where s.merchant_id = r.merchant_id and f.person_id = c.person_id
                and f.active_from <= r.redeemed_at and coalesce(f.active_until > r.redeemed_at, true)) as colleague,
      (select count(*) from redemptions x join codes y on y.id = x.code_id
       where x.merchant_id = r.merchant_id and y.person_id = c.person_id and x.undone_at is null
         and x.redeemed_at > r.redeemed_at - interval '7 days' and x.redeemed_at <= r.redeemed_at) as of_buyer,
      (select count(*) from redemptions x join codes y on y.id = x.code_id
       where x.staff_person_id = c.person_id and y.person_id = r.staff_person_id and x.undone_at is null
         and x.redeemed_at > r.redeemed_at - interval '7 days') as turned,
      (select count(*) from redemptions x where x.staff_person_id = r.staff_person_id and x.shop_id = r.shop_id
         and x.redeemed_at > r.redeemed_at - interval '10 minutes' and x.redeemed_at <= r.redeemed_at) as fast,
      (select count(*) from redemptions x where x.merchant_id = r.merchant_id and x.undone_at is null
         and x.redeemed_at > r.redeemed_at - interval '30 days') as month,
      (select count(*) from redemptions x join codes y on y.id = x.code_id
       where x.merchant_id = r.merchant_id and y.person_id = c.person_id and x.undone_at is null
         and x.redeemed_at > r.redeemed_at - interval '30 days') as month_of_buyer,
      exists (select from sessions a join sessions b on b.token_hash <> a.token_hash and b.device = a.device
              where a.person_id = r.staff_person_id and b.person_id = c.person_id and a.device like 'id:%%'
                and a.revoked_at is null and b.created_at > r.redeemed_at - interval '30 days') as one_device
    from redemptions r join codes c on c.id = r.code_id
    where r.id = any (%(ids)s::bigint[]) and r.staff_person_id is not null and r.held_at is null
      and r.undone_at is null
    order by r.id
"""


def assess(redemption_ids: Sequence[int], *, at: datetime) -> dict[int, str]:
    """Hold what a rule names; answers the reason of each that is held now."""
    held = {row.id: reason for row in run(_FACTS, {"ids": list(redemption_ids)}) if (reason := _reason(row))}
    for redemption_id, reason in held.items():
        run(
            "update redemptions set held_reason = %(why)s, held_at = %(at)s where id = %(id)s and held_at is null",
            {"why": reason, "at": at, "id": redemption_id},
        )
    return held


def _reason(row: Any) -> str | None:
    if row.turned:
        return "reciprocal"
    if row.colleague and row.of_buyer > COLLEAGUES_A_WEEK:
        return "colleagues"
    if row.one_device:
        return "same_device"
    if row.fast > SCANS_A_TEN_MINUTES:
        return "velocity"
    if row.month >= LEAST_TO_COMPARE and row.month_of_buyer * 100 > row.month * GREATEST_SHARE_PERCENT:
        return "one_buyer"
    return None


_HELD = """
    select r.id, r.held_reason, r.held_at, m.code as merchant, s.name as shop, r.owed_fen + r.cash_fen as owed_fen,
           r.redeemed_at, k.pseudonym as clerk, b.pseudonym as buyer
    from redemptions r join codes c on c.id = r.code_id join merchants m on m.id = r.merchant_id
    join shops s on s.id = r.shop_id join persons k on k.id = r.staff_person_id join persons b on b.id = c.person_id
    where r.program_id = %(program)s and r.held_at is not null and r.released_at is null and r.undone_at is null
    order by r.held_at, r.id limit 500
"""


def holds(program_id: int) -> list[Any]:
    """What is held and waits for a person, longest first."""
    return run(_HELD, {"program": program_id})


def release(*, redemption_id: int, by: str, at: datetime) -> None:
    """It was in order: it is settled three days from now. Twice is once. Raises NOT_FOUND, STATE_CONFLICT."""
    row = _locked(redemption_id)
    if row.released_at is not None:
        return
    if row.held_at is None or row.undone_at is not None:
        raise STATE_CONFLICT(held="no")
    run(
        "update redemptions set released_at = %(at)s, released_by = %(by)s where id = %(id)s",
        {"at": at, "by": by, "id": redemption_id},
    )
    _audit("redemption.release", row, by, at)


def confirm(*, redemption_id: int, by: str, at: datetime) -> None:
    """It was fraud: the merchant is not owed, the promise ends and its credits return to their budgets.

    Exact opposite entries; the buyer is told and may object. Twice is once. Raises NOT_FOUND, STATE_CONFLICT.
    """
    row = _locked(redemption_id)
    if row.undone_at is not None:
        return
    if row.held_at is None or row.released_at is not None:
        raise STATE_CONFLICT(held="no")
    run(_BACK, {"code": row.code_id, "pieces": row.quantity})
    transfer_id = None
    if row.transfer_id is not None:
        draft = ledger.reversal_of(row.transfer_id, reason="redeem.fraud", source_ref=f"redemption:{row.id}")
        transfer_id = ledger.post([draft], at=at)[0].transfer_id
    run(
        "update redemptions set undone_at = %(at)s, undo_transfer_id = %(transfer)s where id = %(id)s",
        {"at": at, "transfer": transfer_id, "id": row.id},
    )
    expiring.forfeit(code_id=row.code_id, at=at)
    zh, en = REASONS[row.held_reason]
    notices.tell(
        key=f"redemption:{row.id}:fraud", person_id=row.buyer, program_id=row.program_id, kind="code.fraud",
        zh=f"券码核销经核实违规（{zh}），积分不予退回。如有异议请申诉。",
        en=f"Your code was used against the rules ({en}); its credits don't come back. You may object.",
        details={"code_id": str(row.code_id)}, at=at,
    )  # fmt: skip
    _audit("redemption.fraud", row, by, at)


_BACK = "update codes set state = 'issued', uses_left = uses_left + %(pieces)s where id = %(code)s"
_LOCK = """
    select r.id, r.code_id, r.program_id, r.quantity, r.transfer_id, r.held_at, r.held_reason, r.released_at,
           r.undone_at, c.person_id as buyer
    from redemptions r join codes c on c.id = r.code_id where r.id = %(id)s for no key update of c, r
"""


def _locked(redemption_id: int) -> Any:
    rows = run(_LOCK, {"id": redemption_id})
    if not rows:
        raise NOT_FOUND(redemption=str(redemption_id))
    return rows[0]


def _audit(action: str, row: Any, by: str, at: datetime) -> None:
    audit.write(
        actor=by, action=action, object_type="redemption", object_id=row.id, at=at, program_id=row.program_id,
        reason=row.held_reason,
    )  # fmt: skip
