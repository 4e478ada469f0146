"""What the worker can do, and when: two tables. A name of app/later.py has its function here.

A job may run twice: its worker can die after the work and before saying so. A function opens its own transactions and
makes its calls over the network outside of them: read, call, record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from app import (
    clock,
    funding,
    green,
    later,
    leaderboards,
    people,
    records,
    redemptions,
    settlement,
    sources,
    welfare,
)
from app.db import retrying, transaction
from app.merchants import running
from jobs import contest, daily, mall, payments, rescue, social, wechat


@dataclass(frozen=True, slots=True)
class Cron:
    """A task that the clock starts. `schedule` is a cron line in UTC; midnight in Shanghai is 16:00."""

    name: str
    schedule: str
    run: Callable[[], Any]


def pay_pending(budget_id: int) -> int:
    """Pay the awards that wait for a budget, batch by batch, while its money lasts; answers how many."""
    total = 0
    while True:

        def batch() -> int:
            with transaction():
                return len(funding.pay_pending(budget_id=budget_id, at=clock.now()))

        paid = retrying(batch)
        total += paid
        if paid == 0:
            return total


def revive(record_id: int) -> int:
    """Count what had collapsed onto a record that was taken back; answers how many count now."""

    def command() -> int:
        with transaction():
            return len(records.revive([record_id], at=clock.now()))

    return retrying(command)


def close_days() -> int:
    """Make records of the days that have ended; answers how many."""
    total = 0
    while True:

        def batch() -> int:
            with transaction():
                return len(records.close_days(at=clock.now()))

        closed = retrying(batch)
        total += closed
        if closed == 0:
            return total


def heal_boards() -> int:
    """Boards that a flushed Redis has lost come back by themselves within a minute."""
    return leaderboards.heal()


def freeze_boards() -> int:
    """Freeze the boards whose period and grace are over."""
    with transaction():
        return len(leaderboards.freeze_due(at=clock.now()))


def expire_lots() -> int:
    """Remind of what expires soon, and expire what has ended; answers how many lots expired."""
    with transaction():
        funding.remind(at=clock.now())
    total = 0

    def batch() -> int:
        with transaction():
            return funding.expire_lots(at=clock.now())

    while expired := retrying(batch):
        total += expired
    return total


def expire_codes() -> int:
    """End the promises whose time is over, each in a transaction of its own; answers how many."""
    total = 0
    while True:
        with transaction():
            found = redemptions.due(at=clock.now())
        ended = [retrying(partial(_expire_code, row.id, row.person_id, row.program_id)) for row in found]
        total += sum(ended)
        if not any(ended):
            return total


def _expire_code(code_id: int, person_id: int, program_id: int) -> bool:
    with transaction():
        return redemptions.expire(code_id=code_id, person_id=person_id, program_id=program_id, at=clock.now())


def wind_up() -> int:
    """Programs on their way out take the steps that are due; answers how many programs there are."""
    with transaction():
        found = settlement.due()
    for program_id in found:
        while retrying(partial(_step_out, program_id)):
            pass
    return len(found)


def _step_out(program_id: int) -> bool:
    with transaction():
        return settlement.advance(program_id=program_id, at=clock.now())


def earn_green(redemption_id: int) -> str:
    """The act of a low-carbon product that was redeemed; answers what became of it."""

    def command() -> str:
        with transaction():
            taken = green.earn(redemption_id=redemption_id, at=clock.now())
            return "undone" if taken is None else taken.outcome

    return retrying(command)


def part_merchants() -> int:
    """Merchants on their way out that promise nothing any more have left; answers how many."""
    with transaction():
        found = running.leaving()
        for merchant in found:
            running.part(merchant=merchant, at=clock.now())
        return len(found)


def return_gifts() -> int:
    """What failed projects did not spend goes back to givers and sponsors; answers how many gifts."""
    total = 0

    def batch() -> int:
        with transaction():
            return welfare.return_due(at=clock.now())

    while done := retrying(batch):
        total += done
    return total


def purge_nonces() -> int:
    with transaction():
        return sources.purge_nonces(at=clock.now())


def purge_people() -> int:
    """Forget ended logins and remembered identities that have had their time."""
    with transaction():
        return people.purge(at=clock.now())


# Deferred with app.later.defer(NAME, ...); arguments arrive by name.
TASKS: dict[str, Callable[..., Any]] = {
    later.PAY_PENDING: pay_pending,
    later.PAYMENT_LOOK: payments.look,
    later.REFUND_LOOK: payments.refund,
    later.ORDER_END: payments.end_order,
    later.CHECK_TEXT: wechat.check_text,
    later.CHECK_MEDIUM: wechat.check_medium,
    later.MESSAGE: wechat.tell,
    later.HEARD: wechat.heard,
    later.REVIVE: revive,
    later.GREEN: earn_green,
    later.WAITLIST: mall.offer,
    later.STOCK_LOW: mall.tell_low,
    later.EXPIRED_MONEY: mall.refund_expired,
    later.CHALLENGE_CORRECT: contest.correct,
    later.LEVEL_REWARDS: contest.reward_levels,
}

CRON: tuple[Cron, ...] = (
    Cron("jobs.rescue", "* * * * *", rescue.rescue_stalled),
    Cron("jobs.purge", "17 19 * * *", rescue.purge),
    Cron("people.purge", "37 19 * * *", purge_people),
    Cron("records.close_days", "*/10 * * * *", close_days),
    Cron("checkins.beat", "* * * * *", daily.beat),
    Cron("checkins.remind", "*/10 * * * *", daily.remind),
    Cron("gatherings.settle", "*/5 * * * *", daily.settle_gatherings),
    Cron("leaderboards.heal", "* * * * *", heal_boards),
    Cron("leaderboards.freeze", "5 16 * * *", freeze_boards),
    Cron("funding.expire_lots", "10 16 * * *", expire_lots),
    Cron("redemptions.expire", "*/10 * * * *", expire_codes),
    Cron("settlement.wind_up", "40 16 * * *", wind_up),
    Cron("merchants.part", "25 16 * * *", part_merchants),
    Cron("welfare.return_due", "*/10 * * * *", return_gifts),
    Cron("snapshots.look_after", "*/10 * * * *", social.look_after_snapshots),
    Cron("surveys.shuffle", "*/10 * * * *", social.shuffle_surveys),
    Cron("appeals.tell_late", "20 1 * * *", social.tell_late_appeals),
    Cron("levels.review", "15 16 * * *", contest.review_on_the_first),
    Cron("challenges.settle", "*/5 * * * *", contest.settle),
    Cron("sources.purge_nonces", "*/15 * * * *", purge_nonces),
    Cron("payments.sweep", "* * * * *", payments.sweep),
    Cron("mall.sweep", "* * * * *", mall.sweep),
    Cron("mall.forget", "47 19 * * *", mall.forget),
    Cron("wechat.sweep", "* * * * *", wechat.sweep),
    Cron("wechat.tell_people", "*/10 * * * *", wechat.tell_people),
    Cron("wechat.purge", "*/30 * * * *", wechat.purge),
    Cron("payments.reconcile", "35 2,4,6 * * *", payments.reconcile),
)
