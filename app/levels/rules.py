"""A program's levels and badges as a manager writes them: a TOML file, read strictly; setting them writes boosts."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import func, select, update

from app import audit
from app.db import run, session
from app.errors import Kind, declare
from app.funding.models import Boost
from app.levels.models import LevelSet
from app.memo import remember
from app.units import BPS

BADGE_RULES = ("acts", "days", "grams", "streak", "prizes", "level")
FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
MOST_LEVELS, MOST_BADGES = 20, 100

LEVELS_INVALID = declare(
    "levels_invalid",
    Kind.INVALID,
    zh="等级或徽章定义有误，请按 details 的说明修改文件。",
    en="The levels or badges are not right; `details` says what to mend.",
)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules in force: levels from the lowest, badges by code. Milligrams, basis points, whole credits."""

    version: int
    levels: list[dict[str, Any]]
    badges: list[dict[str, Any]]
    budget_id: int | None

    def level_at(self, mg: int) -> int:
        """The level that an amount of twelve months reaches; 0 below the first."""
        return max((level["level"] for level in self.levels if level["mg"] <= mg), default=0)

    def named(self, number: int) -> dict[str, Any] | None:
        """A level by its number."""
        return next((level for level in self.levels if level["level"] == number), None)


def parse(text: str) -> dict[str, Any]:
    """A file's levels and badges, checked. Raises LEVELS_INVALID with every problem at once."""
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        raise LEVELS_INVALID(problems=[str(error)[:200]]) from None
    problems = [f"{name}: no such field" for name in content if name not in ("levels", "badges", "budget")]
    levels = _each(content.get("levels", []), "levels", _level, problems, MOST_LEVELS)
    badges = _each(content.get("badges", []), "badges", _badge, problems, MOST_BADGES)
    grams = [level["mg"] for level in levels]
    if not levels or grams != sorted(set(grams)):
        problems.append("levels: at least one, each from more grams than the one before")
    if len({level["code"] for level in levels}) != len(levels) or len({one["code"] for one in badges}) != len(badges):
        problems.append("code: each once")
    budget = content.get("budget", "")
    if not isinstance(budget, str) or (not budget and any(level["bonus"] for level in levels)):
        problems.append("budget: the code of the budget that pays the bonuses")
    if problems:
        raise LEVELS_INVALID(problems=problems[:20])
    numbered = [{"level": number, **level} for number, level in enumerate(levels, start=1)]
    return {"levels": numbered, "badges": badges, "budget": budget}


def _each(given: Any, name: str, read: Any, problems: list[str], most: int) -> list[dict[str, Any]]:
    if not isinstance(given, list) or len(given) > most:
        problems.append(f"{name}: at most {most}")
        return []
    found = []
    for number, one in enumerate(given, start=1):
        try:
            found.append(read(one))
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"{name} {number}: {error}")
    return found


def _level(one: Mapping[str, Any]) -> dict[str, Any]:
    _known(one, {"code", "name", "grams", "boost_percent", "bonus", "privileges"})
    return {
        **_named(one),
        "mg": _whole(one, "grams", 0, 10**9) * 1000,
        "boost_bps": BPS + _whole(one, "boost_percent", 0, 200, 0) * 100,
        "bonus": _whole(one, "bonus", 0, 1_000_000, 0),
        "privileges": [{"zh": part["zh"], "en": part.get("en") or part["zh"]} for part in one.get("privileges", [])],
    }


def _badge(one: Mapping[str, Any]) -> dict[str, Any]:
    _known(one, {"code", "name", "rule", "least", "scenario"})
    if one["rule"] not in BADGE_RULES:
        raise ValueError(f"rule: one of {', '.join(BADGE_RULES)}")
    scale = 1000 if one["rule"] == "grams" else 1
    return {**_named(one), "rule": one["rule"], "least": _whole(one, "least", 1, 10**9) * scale,
            "scenario": one.get("scenario", "")}  # fmt: skip


def _named(one: Mapping[str, Any]) -> dict[str, Any]:
    code, names = one["code"], one["name"]
    if not isinstance(code, str) or not code.replace("-", "").isalnum() or not code.isascii() or len(code) > 40:
        raise ValueError("code: letters, digits and hyphens")
    return {"code": code, "name": names["zh"], "name_en": names.get("en") or names["zh"]}


def _known(one: Mapping[str, Any], fields: set[str]) -> None:
    unknown = sorted(set(one) - fields)
    if unknown:
        raise ValueError(f"no such field: {', '.join(unknown)}")


def _whole(one: Mapping[str, Any], name: str, least: int, most: int, default: int | None = None) -> int:
    value = one.get(name, default)
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name}: a whole number from {least} to {most}")
    return value


def put(
    *, program_id: int, content: Mapping[str, Any], actor: str, at: datetime, approval_id: int | None = None
) -> LevelSet:
    """Set a program's levels and badges from now on. The boosts of the levels before end, those of the new ones begin.

    Raises LEVELS_INVALID for a budget or scenario that the program lacks.
    """
    budget_id = _budget(program_id, content["budget"])
    _scenarios(program_id, content["badges"])
    newest = session().scalar(select(func.max(LevelSet.version)).where(LevelSet.program_id == program_id)) or 0
    made = LevelSet(
        program_id=program_id, version=newest + 1, levels=content["levels"], badges=content["badges"],
        budget_id=budget_id, effective_at=at, approval_id=approval_id, made_by=actor,
    )  # fmt: skip
    session().add(made)
    standing = (Boost.program_id == program_id, Boost.level.is_not(None), Boost.ends_at > at)
    session().execute(update(Boost).where(*standing).values(ends_at=at))
    for level in content["levels"]:
        if level["boost_bps"] > BPS:
            session().add(
                Boost(
                    program_id=program_id, level=level["level"], name=f"level-{level['code']}",
                    multiplier_bps=level["boost_bps"], starts_at=at, ends_at=FOREVER,
                )
            )  # fmt: skip
    session().flush()
    audit.write(
        actor=actor, action="levels.put", object_type="program", object_id=program_id, at=at, program_id=program_id,
        after=dict(content),
    )  # fmt: skip
    return made


def in_force(program_id: int) -> Rules | None:
    """The rules in force, remembered for a moment; None where a program has no levels."""
    return remember(("levels", program_id), partial(_newest, program_id))


def _newest(program_id: int) -> Rules | None:
    query = select(LevelSet).where(LevelSet.program_id == program_id).order_by(LevelSet.version.desc()).limit(1)
    found = session().scalars(query).first()
    return None if found is None else Rules(found.version, found.levels, found.badges, found.budget_id)


def _budget(program_id: int, code: str) -> int | None:
    if not code:
        return None
    rows = run("select id from budgets where program_id = %(p)s and code = %(c)s", {"p": program_id, "c": code})
    if not rows:
        raise LEVELS_INVALID(problems=[f"budget: no {code}"])
    return int(rows[0].id)


def _scenarios(program_id: int, badges: list[dict[str, Any]]) -> None:
    wanted = sorted({badge["scenario"] for badge in badges if badge["scenario"]})
    known = {row.code for row in run("select code from scenarios where program_id = %(p)s", {"p": program_id})}
    unknown = [code for code in wanted if code not in known]
    if unknown:
        raise LEVELS_INVALID(problems=[f"scenario: no {code}" for code in unknown])
