"""Facts that other parts listen to. Each is an outbox row of the transaction that made it true (see app/outbox.py).

Listeners stand in one visible table, ``jobs/listeners.py``. Payloads carry ids and absolute values, no personal data.
"""

from __future__ import annotations

RECORD_COUNTED = "record.counted"
RECORD_REVERSED = "record.reversed"
AWARD_PAID = "award.paid"
BUDGET_FUNDED = "budget.funded"
CODE_REDEEMED = "code.redeemed"
CODE_EXPIRED = "code.expired"
PERSON_CHANGED = "person.changed"
PERSON_DELETED = "person.deleted"
WECHAT_TRADE = "wechat.trade"
TEAMS_CHANGED = "teams.changed"
CHALLENGE_JOINED = "challenge.joined"

ALL = (
    RECORD_COUNTED,
    RECORD_REVERSED,
    AWARD_PAID,
    BUDGET_FUNDED,
    CODE_REDEEMED,
    CODE_EXPIRED,
    PERSON_CHANGED,
    PERSON_DELETED,
    WECHAT_TRADE,
    TEAMS_CHANGED,
    CHALLENGE_JOINED,
)
