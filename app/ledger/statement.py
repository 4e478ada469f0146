"""A statement: the entries of one guarded account, newest first, each with the balance after it and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.db import read


@dataclass(frozen=True, slots=True)
class Line:
    """One entry. ``seq`` counts the account's entries from 1 and is the cursor; ``amount`` is signed."""

    seq: int
    amount: int
    balance_after: int
    reason: str
    source_ref: str
    transfer_id: int
    reverses: int | None
    posted_at: datetime
    memo: Mapping[str, Any]


_LINES = """
    select e.account_seq as seq, e.amount, e.balance_after, t.reason, t.source_ref, t.id as transfer_id, t.reverses,
           t.posted_at, t.memo
    from entries e join transfers t on t.id = e.transfer_id
    where e.account_id = %(account)s and e.account_seq < %(before)s
    order by e.account_seq desc limit %(limit)s
"""


def statement(account_id: int, *, before: int | None = None, limit: int = 20) -> list[Line]:
    """Lines of a guarded account, newest first, below the cursor ``before`` (a ``seq``)."""
    rows = read(_LINES, {"account": account_id, "before": before or 2**63 - 1, "limit": limit})
    return [Line(**row._asdict()) for row in rows]


_WORDS: Mapping[str, tuple[str, str]] = {
    "award.record": ("绿色行为获得", "Earned by a green act"),
    "award.carry": ("更正后零头凑成的整分", "Whole credits from the carry, after a correction"),
    "award.reverse": ("记录被更正，积分收回", "Taken back: the record was corrected"),
    "debt.advance": ("更正前预支", "Advanced before a correction"),
    "debt.book": ("更正后待补积分", "Owed after a correction"),
    "debt.repay": ("补足此前欠的积分", "Paid what was owed"),
    "order": ("兑换商品", "Spent on an order"),
    "order.refund": ("订单退回", "Order refunded"),
    "hold": ("为待支付订单冻结", "Held for an order that is to be paid"),
    "hold.end": ("订单未支付，积分退回", "Back: the order was not paid"),
    "hold.return": ("订单退款，积分退回", "Back: the order was refunded"),
    "code.return": ("券码到期，未使用部分的积分退回", "Back: a voucher ended and was not used"),
    "gift": ("捐赠公益项目", "Given to a welfare project"),
    "lot.expire": ("积分到期", "Expired"),
}
# What a rule paid, by the kind of rule; its own name follows.
_RULES: Mapping[str, tuple[str, str]] = {
    "award.boost.": ("额外奖励：", "Bonus: "),
    "award.challenge.": ("挑战奖励：", "Challenge prize: "),
    "award.streak.": ("连续签到奖励：", "Check-in streak: "),
    "award.level.": ("等级奖励：", "Level bonus: "),
    "award.": ("奖励：", "Award: "),
}


def words(reason: str) -> tuple[str, str]:
    """Why an entry was made, in plain Chinese and English; a rule's own name where it has one."""
    if reason in _WORDS:
        return _WORDS[reason]
    for rule, (zh, en) in _RULES.items():
        if reason.startswith(rule):
            name = reason.removeprefix(rule)
            return f"{zh}{name}", f"{en}{name}"
    return reason, reason
