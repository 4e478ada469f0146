"""A challenge in the books of a busy day: begun before anybody waits for money, settled at its end."""

from __future__ import annotations

from datetime import timedelta

from app import levels
from app.challenges import Challenge
from app.db import transaction
from tests.contest import field
from tests.world import AT, World

DAY = timedelta(days=1)


LEVELS = """
[[levels]]
code = "sprout"
grams = 1
name = { zh = "新芽" }
"""


def begin(here: World) -> Challenge:
    """A goal for whoever rides today, in which the first four take part."""
    text = field.toml("goal", prizes=field.REACH.format(reach="5", credits=3), more="capacity = 5")
    for before, after in (
        ("enrol_from = 2026-11-10T00:00:00+08:00", AT - DAY), ("enrol_until = 2026-11-21T00:00:00+08:00", AT + DAY),
        ("starts = 2026-11-16T00:00:00+08:00", AT - DAY), ("ends = 2026-11-23T00:00:00+08:00", AT + DAY),
    ):  # fmt: skip
        text = text.replace(before, f"{before.split(' = ')[0]} = {after.isoformat()}")
    goal = field.live(here, text, at=AT - DAY)
    field.join(here, *here.people[:4], at=AT)
    return goal


def end(goal: Challenge) -> None:
    """Settled: whoever rode has a prize, and the rest of the reserve has gone back."""
    field.settle(goal, at=goal.closes_at + DAY)
    assert field.wins(goal)


def climb(here: World) -> None:
    """Levels begin, and somebody's acts of before have reached the first."""
    with transaction():
        levels.put(program_id=here.program_id, content=levels.parse(LEVELS), actor="operator:lin", at=AT)
    with transaction():
        levels.refresh(here.program_id, here.people[:3], cause="rules", at=AT)
