"""What days make a streak: pure, so that the fast road and a recount agree."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from app.checkins.rules import Milestone

DAY = timedelta(days=1)
Ladder = Mapping[int, Milestone]


@dataclass(slots=True)
class Run:
    """Days in a row; frozen ones between them are skipped and not counted."""

    days: list[date]

    @property
    def first(self) -> date:
        return self.days[0]

    @property
    def last(self) -> date:
        return self.days[-1]


def bridged(last: date, day: date, frozen: Collection[date]) -> bool:
    """Whether a streak that came to ``last`` goes on at ``day``: every day between them is frozen."""
    between = (last + DAY * step for step in range(1, (day - last).days))
    return day > last and all(missed in frozen for missed in between)


def runs(days: Iterable[date], frozen: Collection[date]) -> list[Run]:
    """The streaks of some days, oldest first."""
    found: list[Run] = []
    for day in sorted(set(days)):
        if found and bridged(found[-1].last, day, frozen):
            found[-1].days.append(day)
        else:
            found.append(Run([day]))
    return found


def reached(length: int, ladder: Ladder) -> Milestone | None:
    """The step that a streak of this length has just reached; the ladder starts anew after its highest."""
    cycle = max(ladder, default=0)
    return ladder.get((length - 1) % cycle + 1) if cycle else None


def payable(step: Milestone, day: date, ladder: Ladder, paid: Iterable[date]) -> bool:
    """Whether a step reached on a day is paid: none of the same was, within a cycle before or after."""
    cycle = timedelta(days=max(ladder))
    return all(abs(day - before) >= cycle for before in paid)


def upcoming(
    length: int, ladder: Ladder, *, since: date, paid: Mapping[int, Sequence[date]]
) -> list[tuple[int, date, Milestone]]:
    """What lies ahead of a streak that stands at ``length`` on ``since``: days still to come, the day, the step."""
    cycle = max(ladder, default=0)
    ahead = []
    for more in range(1, cycle + 1):
        step = ladder.get((length + more - 1) % cycle + 1)
        if step is not None and payable(step, since + DAY * more, ladder, paid.get(step.days, ())):
            ahead.append((more, since + DAY * more, step))
    return ahead


def due(
    found: Iterable[Run], ladder_of: Callable[[date, date], Ladder], paid: Mapping[int, Sequence[date]]
) -> Iterator[tuple[date, Milestone]]:
    """The steps that runs reached and that nobody has paid, in order of their days."""
    known = {days: list(when) for days, when in paid.items()}
    for run in found:
        for length, day in enumerate(run.days, start=1):
            ladder = ladder_of(run.first, day)
            step = reached(length, ladder)
            if step is not None and payable(step, day, ladder, known.get(step.days, ())):
                known.setdefault(step.days, []).append(day)
                yield day, step
