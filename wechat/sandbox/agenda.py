"""What happens later on the business clock: repeats of notices, ends of refunds, payments that finish late."""

from __future__ import annotations

import heapq
import itertools
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from wechat.sandbox.clock import Clock

Action = Callable[[float], object]


class Agenda:
    """Runs actions when business time reaches them, earliest first, on a few threads. An action is given its own due
    time: after a leap of a day it must not take "now" for the moment it belongs to."""

    def __init__(self, clock: Clock, *, threads: int = 8) -> None:
        self.clock = clock
        self._heap: list[tuple[float, int, bool, Action]] = []
        self._order = itertools.count()
        self._running = 0
        self._ended = False
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="agenda")
        self._slots = threading.Semaphore(threads * 4)
        self._loop = threading.Thread(target=self._run, name="agenda", daemon=True)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """Nothing more starts; what runs is waited for by nobody."""
        with self.clock.changed:
            self._ended = True
            self.clock.changed.notify_all()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def at(self, due: float, action: Action, *, aside: bool = False) -> None:
        """Do it at this business time, or at once when that is past. ``aside``: not what ``step`` leaps to (days
        away, and of no interest to most)."""
        with self.clock.changed:
            heapq.heappush(self._heap, (due, next(self._order), aside, action))
            self.clock.changed.notify_all()

    def next_due(self) -> float | None:
        """When the next thing comes that isn't aside."""
        with self.clock.changed:
            return min((due for due, _, aside, _ in self._heap if not aside), default=None)

    def step(self) -> float | None:
        """Leap to the next thing on the agenda and wait until it is done. None when there is nothing."""
        due = self.next_due()
        if due is not None:
            self.clock.advance(max(0.0, due - self.clock.now() + 0.001))
            self.quiet()
        return due

    def quiet(self, seconds: float = 30.0) -> bool:
        """Wait until nothing is due and nothing runs. False when that took longer than ``seconds``."""
        until = time.monotonic() + seconds
        with self.clock.changed:
            while self._running or (self._heap and self._heap[0][0] <= self.clock.now()):
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self.clock.changed.wait(min(left, 0.05))
        return True

    def _run(self) -> None:
        while True:
            self._slots.acquire()
            with self.clock.changed:
                while not self._ended and not (self._heap and self._heap[0][0] <= self.clock.now()):
                    self.clock.changed.wait(self._patience())
                if self._ended:
                    return
                due, _, _, action = heapq.heappop(self._heap)
                self._running += 1
            try:
                self._pool.submit(self._do, due, action)
            except RuntimeError:  # the pool was shut down between the two
                return

    def _patience(self) -> float:
        if not self._heap:
            return 5.0
        return min(5.0, max(0.0005, (self._heap[0][0] - self.clock.now()) / self.clock.scale))

    def _do(self, due: float, action: Action) -> None:
        try:
            action(due)
        except Exception:  # noqa: BLE001 - one failed action must not end the agenda
            sys.stderr.write(f"wechat.sandbox: {traceback.format_exc()}\n")
        finally:
            self._slots.release()
            with self.clock.changed:
                self._running -= 1
                self.clock.changed.notify_all()
