"""Time: aware UTC instants inside, Asia/Shanghai for business days. Edges ask :func:`now`; the domain takes ``at=``."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
_frozen: ContextVar[datetime | None] = ContextVar("frozen_clock", default=None)

PERIODS = ("day", "week", "month", "season", "all")


def now() -> datetime:
    """The present instant, aware, in UTC."""
    return _frozen.get() or datetime.now(UTC)


@contextmanager
def frozen(at: datetime) -> Iterator[datetime]:
    """Hold :func:`now` still in this context: for demos and tests that tell a story over days."""
    token = _frozen.set(at.astimezone(UTC))
    try:
        yield at
    finally:
        _frozen.reset(token)


def business_day(at: datetime) -> date:
    """The Shanghai calendar day of an instant."""
    return at.astimezone(SHANGHAI).date()


@lru_cache(maxsize=4096)
def day_start(day: date) -> datetime:
    """The instant at which a Shanghai day begins, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=SHANGHAI).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open span of Shanghai days with a readable key: ``2026-11-24``, ``2026-W48``, ``2026-11``, ``2026-Q4``."""

    kind: str
    key: str
    first_day: date
    end_day: date | None

    @property
    def starts(self) -> datetime:
        return day_start(self.first_day)

    @property
    def ends(self) -> datetime | None:
        return day_start(self.end_day) if self.end_day else None


EXAMPLE_DAY = date(2026, 11, 24)


@lru_cache(maxsize=4096)
def period(kind: str, day: date) -> Period:
    """The period of ``kind`` that holds ``day``. Weeks are ISO weeks (ISO 8601: year and week belong together)."""
    if kind == "day":
        return Period(kind, day.isoformat(), day, day + timedelta(days=1))
    if kind == "week":
        year, week, weekday = day.isocalendar()
        monday = day - timedelta(days=weekday - 1)
        return Period(kind, f"{year}-W{week:02d}", monday, monday + timedelta(days=7))
    if kind == "month":
        first = day.replace(day=1)
        return Period(kind, f"{day.year}-{day.month:02d}", first, add_months(first, 1))
    if kind == "season":
        quarter = (day.month - 1) // 3
        first = date(day.year, quarter * 3 + 1, 1)
        return Period(kind, f"{day.year}-Q{quarter + 1}", first, add_months(first, 3))
    if kind == "year":
        return Period(kind, str(day.year), date(day.year, 1, 1), date(day.year + 1, 1, 1))
    if kind == "all":
        return Period(kind, "all", date(2000, 1, 1), None)
    raise ValueError(f"unknown period kind {kind!r}")


def period_by_key(kind: str, key: str) -> Period:
    """The period that a key names. Raises ValueError for a key that is none of its kind."""
    try:
        found = _named(kind, key)
    except (ValueError, IndexError):
        found = None
    if found is None or found.key != key:
        raise ValueError(f"{key!r} names no {kind}; write it like {period(kind, EXAMPLE_DAY).key}")
    return found


def _named(kind: str, key: str) -> Period | None:
    if kind == "all":
        return period(kind, date(2000, 1, 1))
    if kind == "day":
        return period(kind, date.fromisoformat(key))
    if kind == "week":
        return period(kind, date.fromisocalendar(int(key[:4]), int(key[6:]), 1))
    if kind == "month":
        return period(kind, date(int(key[:4]), int(key[5:]), 1))
    if kind == "season":
        return period(kind, date(int(key[:4]), int(key[6:]) * 3 - 2, 1))
    return None


def add_months(day: date, months: int) -> date:
    """The same day some months on; the last day of the month where the month is shorter (31 Jan + 1 = 28 or 29 Feb)."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
