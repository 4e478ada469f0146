"""What the worker can do, and when: two tables. A name of app/later.py has its function here.

A job may run twice: its worker can die after the work and before saying so. A function opens its own transactions and
makes its calls over the network outside of them: read, call, record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobs import rescue


@dataclass(frozen=True, slots=True)
class Cron:
    """A task that the clock starts. `schedule` is a cron line in UTC; midnight in Shanghai is 16:00."""

    name: str
    schedule: str
    run: Callable[[], Any]


# Deferred with app.later.defer(NAME, ...); arguments arrive by name.
TASKS: dict[str, Callable[..., Any]] = {}

CRON: tuple[Cron, ...] = (
    Cron("jobs.rescue", "* * * * *", rescue.rescue_stalled),
    Cron("jobs.purge", "17 19 * * *", rescue.purge),
)
