"""Caps: how many credits a person can earn by a scenario (and in a program) per day, week and year (MET-6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app import clock
from app.db import run
from app.units import MICRO

if TYPE_CHECKING:
    from app.funding.awards import AwardRequest

Key = tuple[int, str, str]
ENDED = "ended"
"""Scope of the cap of zero in a program that is wound up."""


def limits(request: AwardRequest, terms: Any) -> list[tuple[Key, int]]:
    """The caps that hold for a request by its act's day, each as (person, scope, period) and micro-credits.

    Each line is cut to what they leave, in order; ``award_batch`` does that under the wallet's lock.
    """
    day = clock.business_day(request.occurred_at)
    found = []
    if request.scenario_id is not None:
        for kind, credits in sorted(request.caps.items()):
            key = (request.person_id, f"scenario:{request.scenario_id}", clock.period(kind, day).key)
            found.append((key, int(credits) * MICRO))
    if terms.daily_credits_cap is not None:
        scope = f"program:{request.program_id}"
        found.append(((request.person_id, scope, day.isoformat()), terms.daily_credits_cap * MICRO))
    return found


def give_back(*, person_id: int, line_keys: Sequence[tuple[str, str]], micro: int) -> None:
    """Free the room that a reversed award had used."""
    freed = (
        "update cap_uses set used_micro = greatest(used_micro - %(micro)s, 0)"
        " where person_id = %(person)s and scope = %(scope)s and period = %(period)s"
    )
    for scope, period in line_keys:
        values = {"micro": micro, "person": person_id, "scope": scope, "period": period}
        run(freed, values)
