"""What the clock does for contests: settle challenges that are over, correct published results, sweep reserves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from app import challenges, clock, funding, levels
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


def reward_levels(program_id: int, person_ids: Sequence[int], taken: bool) -> int:
    """Bonuses of levels that were reached, and badges; after a reversal what is not carried any more goes."""

    def command() -> int:
        with transaction():
            at = clock.now()
            moved = levels.reward(program_id=program_id, person_ids=person_ids, taken=taken, at=at)
            return moved + levels.refresh_badges(program_id, person_ids, taken=taken, at=at)

    return retrying(command)


def review_on_the_first() -> int:
    """Levels by the twelve months up to now, down too, on the first of a month; answers how many changed."""
    return review_levels() if clock.business_day(clock.now()).day == 1 else 0


def review_levels() -> int:
    """Levels by the twelve months up to now; answers how many changed."""
    with transaction():
        found = levels.programs_with_levels()
    changed = 0
    for program_id in found:
        after = 0
        while True:
            after, moved = retrying(partial(_review, program_id, after))
            changed += moved
            if after == 0:
                break
    return changed


def _review(program_id: int, after: int) -> tuple[int, int]:
    with transaction():
        return levels.review(program_id=program_id, after=after, at=clock.now())
