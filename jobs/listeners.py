"""Who listens to what: the one table. A new listener is a line here and a function in the feature it serves.

A listener gets the events of one claimed batch that it hasn't applied before, in the order of their ids, inside the
relay's transaction. It touches PostgreSQL and Redis only, never the network beyond. It may see an event again after a
crash (its inbox row and its rows in PostgreSQL vanish together), so what it writes to Redis is absolute: it reads the
present value and sets it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import till
from app import challenges, checkins, clock, events, funding, green, grove, later, leaderboards, levels, redemptions
from app.payments import trade
from app.redemptions import risk, telling


@dataclass(frozen=True, slots=True)
class Event:
    """One fact from the outbox."""

    id: int
    event: str
    program_id: int | None
    payload: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Listener:
    """`name` is its inbox key: renaming one makes it hear old events again. `events` are names of app/events.py."""

    name: str
    events: frozenset[str]
    apply: Callable[[Sequence[Event]], None]


def _scores(heard: Sequence[Event]) -> None:
    """Scores in PostgreSQL, then absolute ranks in Redis. Gone records are counted first, then taken away."""
    kinds = {
        events.RECORD_COUNTED: ("record_ids", leaderboards.add_records),
        events.AWARD_PAID: ("award_ids", leaderboards.add_awards),
        events.RECORD_REVERSED: ("record_ids", leaderboards.subtract_records),
    }
    standing: dict[tuple[Any, ...], Any] = {}
    for kind, (field, change) in kinds.items():
        ids = [found for event in heard if event.event == kind for found in event.payload[field]]
        for row in change(ids):
            standing[tuple(row[:5])] = row
    leaderboards.push(list(standing.values()))


def _person_on_boards(heard: Sequence[Event]) -> None:
    for event in heard:
        leaderboards.forget_person(event.payload["person_id"])


def _pending_awards(heard: Sequence[Event]) -> None:
    """Money has arrived: a job pays those who wait, in their order."""
    for event in heard:
        budget_id = event.payload["budget_id"]
        later.defer(later.PAY_PENDING, key=f"pay-pending:{budget_id}", budget_id=budget_id)


def _paid_awards(heard: Sequence[Event]) -> None:
    """Whoever has waited for money is told."""
    for event in heard:
        funding.tell_paid(event.payload["award_ids"], at=event.created_at)


def _trade(heard: Sequence[Event]) -> None:
    """What WeChat says about our orders' goods; once it controls a mini-program, it is asked anew whether it does."""
    for event in heard:
        facts = event.payload
        trade.heard(kind=facts["kind"], appid=facts["appid"], facts=facts, at=event.created_at)
        if facts["kind"] in trade.CONTROLLED:
            till.forget_managed(facts["appid"])


def _expired_codes(heard: Sequence[Event]) -> None:
    """What was paid in money for codes that ended unused goes back: by a job, for WeChat hears of it."""
    for event in heard:
        if event.payload["cash_fen"] > 0:
            order_id = event.payload["order_id"]
            later.defer(later.EXPIRED_MONEY, key=f"expired:{order_id}", order_id=order_id)


def _risk(heard: Sequence[Event]) -> None:
    """What looks like turns among colleagues is held before it can be settled."""
    risk.assess([event.payload["redemption_id"] for event in heard], at=clock.now())


def _code_used(heard: Sequence[Event]) -> None:
    """Whose code was used is told."""
    telling.tell_used([event.payload["redemption_id"] for event in heard], at=clock.now())


def _green(heard: Sequence[Event]) -> None:
    """Low-carbon products earn as soon as their redemption can't be undone any more."""
    at = {event.payload["redemption_id"]: event.created_at for event in heard}
    for redemption_id in green.to_earn(list(at)):
        due = at[redemption_id] + redemptions.UNDO_WITHIN + timedelta(minutes=1)
        later.defer(later.GREEN, key=f"green:{redemption_id}", at=due, redemption_id=redemption_id)


def _streaks(heard: Sequence[Event]) -> None:
    """Streaks that a record taken back or restored belongs to are counted anew."""
    checkins.heard([found for event in heard for found in event.payload["record_ids"]], at=clock.now())


def _challenges(heard: Sequence[Event]) -> None:
    """Live challenges are computed anew for whoever is concerned; published ones are corrected by a job."""
    for event in heard:
        if event.event == events.CHALLENGE_JOINED:
            challenges.refresh(event.payload["challenge_id"], people=event.payload["person_ids"])
    records = [found for event in heard for found in event.payload.get("record_ids", ())]
    for challenge_id, people in challenges.heard(records).items():
        later.defer(later.CHALLENGE_CORRECT, challenge_id=challenge_id, person_ids=people)


def _levels(heard: Sequence[Event]) -> None:
    """Levels follow the months' scores, which the boards' listener has brought up to date before; badges by a job."""
    for kind, taken in ((events.RECORD_COUNTED, False), (events.RECORD_REVERSED, True)):
        found = [one for event in heard if event.event == kind for one in event.payload["record_ids"]]
        levels.heard(found, reversed_too=taken, at=clock.now())


def _trees(heard: Sequence[Event]) -> None:
    """Trees that have what they need are full-grown."""
    grove.heard([one for event in heard for one in event.payload["record_ids"]], at=clock.now())


def _person_in_challenges(heard: Sequence[Event]) -> None:
    for event in heard:
        challenges.forget_person(event.payload["person_id"])


LISTENERS: tuple[Listener, ...] = (
    Listener("checkins", frozenset({events.RECORD_COUNTED, events.RECORD_REVERSED}), _streaks),
    Listener("boards", frozenset({events.RECORD_COUNTED, events.AWARD_PAID, events.RECORD_REVERSED}), _scores),
    Listener("boards-person", frozenset({events.PERSON_CHANGED, events.PERSON_DELETED}), _person_on_boards),
    Listener("funding-pending", frozenset({events.BUDGET_FUNDED}), _pending_awards),
    Listener("expired-money", frozenset({events.CODE_EXPIRED}), _expired_codes),
    Listener("award-notices", frozenset({events.AWARD_PAID}), _paid_awards),
    Listener("payments-trade", frozenset({events.WECHAT_TRADE}), _trade),
    Listener("redemption-risk", frozenset({events.CODE_REDEEMED}), _risk),
    Listener("green", frozenset({events.CODE_REDEEMED}), _green),
    Listener("code-notices", frozenset({events.CODE_REDEEMED}), _code_used),
    Listener(
        "challenges", frozenset({events.RECORD_COUNTED, events.RECORD_REVERSED, events.CHALLENGE_JOINED}), _challenges
    ),
    Listener("grove", frozenset({events.RECORD_COUNTED}), _trees),
    Listener("levels", frozenset({events.RECORD_COUNTED, events.RECORD_REVERSED}), _levels),
    Listener("challenges-person", frozenset({events.PERSON_CHANGED, events.PERSON_DELETED}), _person_in_challenges),
)
