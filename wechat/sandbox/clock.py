"""Two notions of time, else tests would contradict themselves.

*Wall time* is what signatures and their window of five minutes follow. *Business time* is what everything else follows
(the life of codes, tokens, prepay ids and orders, the repeats of notices, the progress of refunds, the days of bills);
it can be set, advanced and sped up, and never goes back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

BEIJING = timezone(timedelta(hours=8))


class Clock:
    """Both times. ``changed`` is notified whenever business time leaps or changes its pace."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._read = wall
        self.wall_skew = 0.0
        self.changed = threading.Condition()
        self._business = self._origin = wall()
        self._scale = 1.0

    def now(self) -> float:
        """Business time, seconds since 1970."""
        with self.changed:
            return self._business + (self._read() - self._origin) * self._scale

    def wall(self) -> float:
        """The time in signatures: the machine's clock, plus the planted fault of a server whose clock is wrong."""
        return self._read() + self.wall_skew

    @property
    def scale(self) -> float:
        """How many business seconds pass in one second."""
        return self._scale

    def pace(self, scale: float) -> None:
        """Let business time run ``scale`` times as fast from now on."""
        if scale <= 0:
            raise ValueError("scale must be above zero")
        self._leap(0, scale)

    def advance(self, seconds: float) -> None:
        """Leap forward in business time."""
        if seconds < 0:
            raise ValueError("the clock never goes back")
        self._leap(seconds, self._scale)

    def set(self, at: float) -> None:
        """Leap to a moment of business time."""
        with self.changed:
            self.advance(at - self.now())

    def _leap(self, seconds: float, scale: float) -> None:
        with self.changed:
            self._business, self._origin = self.now() + seconds, self._read()
            self._scale = scale
            self.changed.notify_all()


def beijing(at: float) -> datetime:
    """A moment as WeChat's books date it."""
    return datetime.fromtimestamp(at, BEIJING)


def rfc3339(at: float) -> str:
    """As WeChat writes times: seconds and the offset, ``2026-11-25T10:00:00+08:00``."""
    return beijing(at).isoformat(timespec="seconds")
