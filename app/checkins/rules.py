"""The rules of a program's check-in, in versions: milestones of a streak, make-up cards and their limits.

A milestone is paid when a streak reaches it, by the rules in force when the streak began or by those of that day,
whichever is better. The ladder starts anew after its highest step (a *cycle*), and each step is paid once a cycle: so
whoever breaks off and begins again never earns more than whoever comes every day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from app import audit, clock
from app.checkins.models import CheckInRules
from app.db import read, session
from app.errors import Kind, declare
from app.memo import remember

MOST_CREDITS = 10_000

RULES_INVALID = declare(
    "check_in_rules_invalid",
    Kind.INVALID,
    zh="签到规则有误，请按 details 的说明修改。",
    en="The check-in rules are not right; `details` says what to mend.",
)


@dataclass(frozen=True, slots=True)
class Milestone:
    """A step of the ladder: so many days in a row earn so many credits."""

    name: str
    days: int
    credits: int
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Rules:
    """One version. Days and cards as in ``models.CheckInRules``."""

    version: int
    effective_at: datetime
    milestones: tuple[Milestone, ...]
    card_every: int
    cards_most: int
    makeup_month: int
    makeup_days: int


DEFAULT = Rules(
    version=0,
    effective_at=datetime(2000, 1, 1, tzinfo=UTC),
    milestones=(
        Milestone("week", 7, 5, "连续签到 7 天", "7 days in a row"),
        Milestone("fortnight", 14, 10, "连续签到 14 天", "14 days in a row"),
        Milestone("month", 30, 30, "连续签到 30 天", "30 days in a row"),
    ),
    card_every=7,
    cards_most=3,
    makeup_month=2,
    makeup_days=7,
)


def versions(program_id: int) -> list[Rules]:
    """A program's rules, the newest first; the built-in ones come last."""
    return remember(("check-in rules", program_id), partial(_versions, program_id))


def in_force(program_id: int, at: datetime) -> Rules:
    """The rules at an instant."""
    return next(found for found in versions(program_id) if found.effective_at <= at)


def ladder(program_id: int, *, began: date, day: date) -> dict[int, Milestone]:
    """The steps for a streak that began on a day and has come to another, by days: the better of both rules."""
    steps: dict[int, Milestone] = {}
    for rules in (in_force(program_id, clock.day_start(began)), in_force(program_id, clock.day_start(day))):
        for step in rules.milestones:
            if step.days not in steps or step.credits > steps[step.days].credits:
                steps[step.days] = step
    return steps


def set_rules(*, program_id: int, definition: Mapping[str, Any], by: str, at: datetime) -> Rules:
    """A new version, in force from the next Shanghai day on. Raises RULES_INVALID."""
    known = {"milestones", "card_every", "cards_most", "makeup_month", "makeup_days"}
    problems = [f"unknown: {name}" for name in sorted(set(definition) - known)]
    cards = {name: definition.get(name, getattr(DEFAULT, name)) for name in sorted(known - {"milestones"})}
    problems += [f"{name}: a whole number from 0 to 366" for name, value in cards.items() if not _whole(value, 0, 366)]
    steps = definition.get("milestones", [])
    problems += _problems(steps) if isinstance(steps, list) else ["milestones: a list"]
    if problems:
        raise RULES_INVALID(problems=problems)
    tomorrow = clock.period("day", clock.business_day(at)).ends
    made = CheckInRules(
        program_id=program_id,
        version=versions(program_id)[0].version + 1,
        effective_at=tomorrow,
        milestones=steps,
        made_by=by,
        **cards,
    )
    session().add(made)
    session().flush()
    audit.write(
        actor=by, action="check-in.rules", object_type="check_in_rules", object_id=made.id, at=at,
        program_id=program_id, after={"version": made.version, "milestones": steps, **cards},
    )  # fmt: skip
    return _rules(made)


def _problems(steps: Sequence[Any]) -> list[str]:
    found = []
    for number, step in enumerate(steps, start=1):
        if not isinstance(step, dict) or set(step) != {"name", "days", "credits", "zh", "en"}:
            found.append(f"milestone {number}: name, days, credits, zh, en")
        elif not _whole(step["days"], 1, 366) or not _whole(step["credits"], 1, MOST_CREDITS):
            found.append(f"milestone {number}: days 1 to 366, credits 1 to {MOST_CREDITS}")
    days = [step["days"] for step in steps if isinstance(step, dict) and "days" in step]
    names = [step["name"] for step in steps if isinstance(step, dict) and "name" in step]
    if len(set(map(str, days))) != len(days) or len(set(map(str, names))) != len(names):
        found.append("milestones: days and names occur once")
    return found


def _whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


_VERSIONS = "select * from check_in_rules where program_id = %(program)s order by version desc"


def _versions(program_id: int) -> list[Rules]:
    return [*map(_rules, read(_VERSIONS, {"program": program_id})), DEFAULT]


def _rules(row: Any) -> Rules:
    steps = tuple(Milestone(**step) for step in row.milestones)
    return Rules(
        row.version, row.effective_at, steps, row.card_every, row.cards_most, row.makeup_month, row.makeup_days
    )
