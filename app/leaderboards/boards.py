"""Which boards there are, and the one order on them.

A board is a program × subjects (persons, org-units or teams) × metric (grams or credits earned) × period. Its order is
the rank score: the value plus a fraction below one that is larger the earlier the value was reached, so ties go to
whoever was first; equal to the second, the larger id as text. PostgreSQL and Redis use the same number, which SQL
computes once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from app import clock
from app.clock import Period

SUBJECTS = ("person", "unit", "team")
METRICS = ("mg", "credits")


@dataclass(frozen=True, slots=True)
class Board:
    """One board of one program."""

    program_id: int
    subject_kind: str
    metric: str
    period: Period

    @property
    def key(self) -> str:
        """Its Redis key; the hash tag keeps one board on one node."""
        return redis_key(self.program_id, self.subject_kind, self.metric, self.period.kind, self.period.key)

    @property
    def names_key(self) -> str:
        """The Redis key of the names beside it, on the same node; one for all periods of a kind."""
        return names_key(self.program_id, self.subject_kind, self.metric, self.period.kind)

    @property
    def previous(self) -> Board | None:
        """The same board one period earlier, for the movement; the all-time board has none."""
        if self.period.kind == "all":
            return None
        before = clock.period(self.period.kind, date.fromordinal(self.period.first_day.toordinal() - 1))
        return Board(self.program_id, self.subject_kind, self.metric, before)

    def where(self) -> dict[str, object]:
        """Its place in the tables, as values for a statement."""
        return {
            "program": self.program_id,
            "subjects": self.subject_kind,
            "metric": self.metric,
            "kind": self.period.kind,
            "key": self.period.key,
        }


def redis_key(program_id: int, subject_kind: str, metric: str, period_kind: str, period_key: str) -> str:
    return f"board:{{{program_id}:{subject_kind}:{metric}:{period_kind}}}:{period_key}"


def names_key(program_id: int, subject_kind: str, metric: str, period_kind: str) -> str:
    return f"beside:{{{program_id}:{subject_kind}:{metric}:{period_kind}}}"


def board_of(
    *, program_id: int, subject_kind: str, metric: str, period_kind: str, day: date, key: str | None = None
) -> Board:
    """The board of a day, or of a period's key. Raises ValueError for a key that is none."""
    period = clock.period_by_key(period_kind, key) if key else clock.period(period_kind, day)
    return Board(program_id, subject_kind, metric, period)
