"""What the clock does for people together: late answers to appeals, photos that need no look, photos that go."""

from __future__ import annotations

from app import appeals, snapshots, surveys
from app.clock import now
from app.db import transaction


def tell_late_appeals() -> int:
    """Tell who waits too long for the answer to an appeal."""
    with transaction():
        return appeals.tell_late(at=now())


def look_after_snapshots() -> int:
    """Photos that did not pass their content check are refused, old ones go; answers how many."""
    with transaction():
        return snapshots.refuse_unsafe(at=now()) + snapshots.thin(at=now())


def shuffle_surveys() -> int:
    """Nothing about the rows of a survey that is over tells who answered what."""
    with transaction():
        return surveys.shuffle(at=now())
