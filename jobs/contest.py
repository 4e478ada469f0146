"""What the clock does for contests: settle challenges that are over, correct published results, sweep reserves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from app import challenges, clock, funding
from app.db import retrying, transaction


def settle() -> int:
    """Settle challenges whose data had their time, a step in each transaction; answers how many prizes were paid."""
    with transaction():
        found = challenges.due(at=clock.now())
    paid = sum(settle_one(challenge_id) for challenge_id in found)
    with transaction():
        left = funding.reserves_to_sweep()
    for budget_id in left:
        retrying(partial(_sweep, budget_id))
    return paid


def settle_one(challenge_id: int) -> int:
    """All steps of one challenge; answers how many prizes were paid. Interrupted anywhere, it goes on from there."""
    paid = 0
    while True:
        step = retrying(partial(_step, challenge_id))
        paid += step.paid
        if step.state == "settled":
            return paid


def _step(challenge_id: int) -> challenges.Step:
    with transaction():
        return challenges.settle(challenge_id=challenge_id, at=clock.now())


def _sweep(budget_id: int) -> int:
    with transaction():
        return funding.release_reserve(budget_id=budget_id, at=clock.now())


def correct(challenge_id: int, person_ids: Sequence[int]) -> int:
    """Records of a published challenge changed: prizes follow its rule."""

    def command() -> int:
        with transaction():
            return challenges.correct(challenge_id=challenge_id, person_ids=person_ids, at=clock.now())

    return retrying(command)
