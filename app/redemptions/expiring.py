"""The end of a promise: unused codes expire, by the rule that was told before buying, or are prolonged once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from app import clock, events, funding, ledger, notices, outbox
from app.db import run
from app.errors import NOT_FOUND, Kind, declare
from app.funding import holds
from app.funding.actions import return_account
from app.ledger import Draft, LotPart
from app.redemptions.scanning import UNDO_WITHIN
from app.units import CREDITS

EXTEND_UNTIL = timedelta(days=7)

NOT_EXTENDABLE = declare(
    "not_extendable",
    Kind.CONFLICT,
    zh="该券码不能延期：商品未提供延期、已延期过，或已结束超过 7 天。",
    en="This code can't be prolonged: its item doesn't offer that, it was prolonged before, or it ended a week ago.",
)

# An undo may still bring uses back for ten minutes after the last moment, and a person may prolong for seven days.
_DUE = """
    select c.id, c.person_id, c.program_id from codes c
    where c.state = 'issued' and c.how = 'scan' and c.valid_until <= %(before)s
      and (c.extend_days = 0 or c.extended_at is not null or c.valid_until <= %(prolonged)s)
    order by c.valid_until, c.id limit %(limit)s
"""
_LOCK = """
    select c.id, c.program_id, c.person_id, c.order_id, c.on_expiry, c.title, c.title_en, c.uses, c.uses_left,
           p.state = 'deleted' as gone,
           (select coalesce(sum(k * c.cash_fen / c.uses - (k - 1) * c.cash_fen / c.uses), 0)
            from generate_series(1, c.uses) k
            where not exists (select from redemptions r where r.code_id = c.id and r.undone_at is null
                                and k = any (r.use_numbers)))::bigint as cash_fen
    from codes c join persons p on p.id = c.person_id
    where c.id = %(code)s and c.state = 'issued' and c.valid_until <= %(before)s for no key update of c
"""
_EXPIRED = """
    with code as (update codes set state = 'expired' where id = %(code)s returning order_id)
    update orders o set state = 'fulfilled', fulfilled_at = %(at)s from code
    where o.id = code.order_id and o.state = 'paid'
      and exists (select from codes c join redemptions r on r.code_id = c.id and r.undone_at is null
                  where c.order_id = o.id)
      and not exists (select from codes c where c.order_id = o.id and c.state = 'issued' and c.id <> %(code)s)
"""


def due(*, at: datetime, limit: int = 200) -> list[Any]:
    """Codes whose time is over, to be expired one by one with :func:`expire`: id, person_id, program_id."""
    values = {"before": at - UNDO_WITHIN, "prolonged": at - EXTEND_UNTIL, "limit": limit}
    return run(_DUE, values)


def expire(*, code_id: int, person_id: int, program_id: int, at: datetime) -> bool:
    """End a promise whose time is over; false when it was used, refunded or prolonged meanwhile.

    The credits of what was not used return to the lots they came from, or to their budgets: by the item's rule, and
    for somebody who has left. A part that was paid in money is named in ``code.expired``; whoever holds the order gives
    it back. Locks: wallet, code, order, ledger accounts.
    """
    wallet = funding.lock_wallet(person_id=person_id, program_id=program_id, at=at)
    rows = run(_LOCK, {"code": code_id, "before": at - UNDO_WITHIN})
    if not rows:
        return False
    code = rows[0]
    rest = run("select * from code_rest(%(code)s)", {"code": code.id})
    run(_EXPIRED, {"code": code.id, "at": at})
    returned = _end(code, wallet, rest, at)
    payload = {
        "code_id": code.id,
        "order_id": code.order_id,
        "uses": code.uses_left,
        "credits": returned,
        "cash_fen": code.cash_fen,
    }
    outbox.publish(events.CODE_EXPIRED, payload, program_id=code.program_id)
    if not code.gone:
        _tell(code, returned, at)
    return True


_TO_FORFEIT = """
    select c.id, c.program_id, c.order_id, 'forfeit' as on_expiry, false as gone from codes c
    where c.id = %(code)s and c.state = 'issued' for no key update
"""


def forfeit(*, code_id: int, at: datetime) -> bool:
    """End a promise now and for ever; what stands behind it returns to its budgets. False when it has ended."""
    rows = run(_TO_FORFEIT, {"code": code_id})
    if not rows:
        return False
    rest = run("select * from code_rest(%(code)s)", {"code": code_id})
    run(_EXPIRED, {"code": code_id, "at": at})
    _end(rows[0], None, rest, at)
    return True


def _end(code: Any, wallet: funding.Wallet | None, rest: list[Any], at: datetime) -> int:
    """Move the credits that still stand behind a code; answers how many came back to the person."""
    back = wallet is not None and code.on_expiry == "return" and not code.gone
    program = code.program_id
    committed = ledger.account(program_id=program, asset=CREDITS, kind="committed")
    spent = ledger.account(program_id=program, asset=CREDITS, kind="spent")
    legs: list[tuple[int, int]] = []
    for row in rest:
        free, over = max(row.free_credits, 0), row.left_credits - max(row.free_credits, 0)
        to = wallet.credits_account_id if wallet and back else return_account(row.budget_id, code.id)
        legs += [
            (account, amount) for account, amount in ((committed, -free - over), (to, free), (spent, over)) if amount
        ]
    if not legs:
        return 0
    reason = "code.return" if back else "code.forfeit"
    done = ledger.post([Draft(program, reason, f"code:{code.id}", legs)], at=at)[0]
    if not back:
        return 0
    parts = [
        LotPart(row.lot_id, row.budget_id, row.price_fen, row.free_credits) for row in rest if row.free_credits > 0
    ]
    ledger.give_back(parts, transfer_id=done.transfer_id, at=at, grace_until=holds.grace(at))
    return sum(part.credits for part in parts)


def _tell(code: Any, returned: int, at: datetime) -> None:
    zh, en = f"兑换券“{code.title}”已到期。", f"Your voucher “{code.title_en or code.title}” has ended."
    if returned:
        zh, en = f"{zh}未使用部分的 {returned} 积分已退回。", f"{en} {returned} credits of what was not used are back."
    notices.tell(
        key=f"code:{code.id}:expired", person_id=code.person_id, program_id=code.program_id, kind="code.expired",
        zh=zh, en=en, details={"code_id": str(code.id)}, at=at,
    )  # fmt: skip


_TO_EXTEND = """
    select person_id, state, valid_until, extended_at, extend_days from codes where id = %(code)s for no key update
"""
_EXTEND = """
    update codes set valid_until = %(until)s, extended_at = %(at)s
    where id = %(code)s and state = 'issued' and extended_at is null and extend_days > 0
      and valid_until > %(not_before)s
    returning valid_until
"""


def extend(*, code_id: int, person_id: int, at: datetime) -> datetime:
    """Prolong an own code once, by its item's rule, before its end or within seven days after it; answers the new end.

    A second time is answered with the same end. Raises NOT_FOUND, NOT_EXTENDABLE.
    """
    rows = run(_TO_EXTEND, {"code": code_id})
    if not rows or rows[0].person_id != person_id:
        raise NOT_FOUND(code=str(code_id))
    code = rows[0]
    if code.state == "issued" and code.extended_at is not None and code.valid_until > at:
        return code.valid_until  # type: ignore[no-any-return]
    last_day = clock.business_day(max(code.valid_until - timedelta(seconds=1), at))
    until = clock.day_start(last_day + timedelta(days=code.extend_days + 1))
    values = {"until": until, "at": at, "code": code_id, "not_before": at - EXTEND_UNTIL}
    done = run(_EXTEND, values)
    if not done:
        raise NOT_EXTENDABLE()
    return done[0].valid_until  # type: ignore[no-any-return]
