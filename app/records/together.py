"""Acts that reach one process at the same moment go to the database in one transaction.

A transaction for one act costs nearly as much as one for eight. So whoever comes while another's transaction is under
way waits for it and goes with all the others who came meanwhile: nobody waits longer than for the transaction before
its own, and a lone act doesn't wait at all. Each act is judged and answered on its own (docs/decisions/together.md).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

MOST = 32
Fare = TypeVar("Fare")
Answer = TypeVar("Answer")
Command = Callable[[Sequence[Fare]], list[Answer]]


class _Seat(Generic[Fare, Answer]):
    """An act on its way. Woken without an answer, it drives; told that the ride failed, it goes alone."""

    def __init__(self, fare: Fare) -> None:
        self.fare = fare
        self.woken = threading.Event()
        self.answer: Answer | None = None
        self.alone = False


class Together(Generic[Fare, Answer]):
    """One queue of one process. A fare is an act (or a scan) with whatever its command must know of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: list[_Seat[Fare, Answer]] = []
        self._driven = False

    def take(self, fare: Fare, command: Command[Fare, Answer]) -> Answer:
        """Take an act by ``command``, a whole transaction for a batch, together with whoever else is waiting.

        Raises what the command raises for this act alone: when a ride of several fails, each of them goes alone.
        """
        seat: _Seat[Fare, Answer] = _Seat(fare)
        with self._lock:
            self._queue.append(seat)
            waits, self._driven = self._driven, True
        if waits:
            seat.woken.wait()
        if seat.answer is None and not seat.alone:
            self._drive(command)
        return seat.answer if seat.answer is not None else command([fare])[0]

    def _drive(self, command: Command[Fare, Answer]) -> None:
        """Take along all who wait, oneself first; whoever came meanwhile drives next."""
        with self._lock:
            riders, self._queue = self._queue[:MOST], self._queue[MOST:]
        try:
            answers = command([rider.fare for rider in riders])
            for rider, answer in zip(riders, answers, strict=True):
                rider.answer = answer
        except Exception:
            if len(riders) == 1:
                raise
        finally:
            for rider in riders:
                rider.alone = rider.answer is None
            with self._lock:
                following = self._queue[:1]
                self._driven = bool(following)
            for rider in riders[1:] + following:
                rider.woken.set()
