"""What a program's grove offers, from a TOML file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from app import audit, clock
from app.db import run, session
from app.errors import Kind, declare
from app.grove.models import Grove
from app.memo import remember

MOST_SHAPES, MOST_GIFT = 50, 100_000
_CODE = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)

GROVE_INVALID = declare(
    "grove_invalid",
    Kind.INVALID,
    zh="绿色家园定义有误，请按 details 的说明修改文件。",
    en="The grove's definition is not right; `details` says what to mend.",
)


def parse(text: str) -> dict[str, Any]:
    """A file's shapes and gift, checked. Raises GROVE_INVALID with every problem at once."""
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        raise GROVE_INVALID(problems=[str(error)[:200]]) from None
    problems = [f"{name}: no such field" for name in content if name not in ("shapes", "gift", "starts")]
    shapes = content.get("shapes", [])
    found = [_shape(number, one, problems) for number, one in enumerate(shapes if isinstance(shapes, list) else [], 1)]
    if not 1 <= len(found) <= MOST_SHAPES or len({one["code"] for one in found}) != len(found):
        problems.append(f"shapes: 1 to {MOST_SHAPES}, each code once")
    gift = _gift(content.get("gift"), problems)
    starts = content.get("starts")
    if not isinstance(starts, datetime):
        problems.append("starts: a time such as 2026-12-01T00:00:00+08:00")
        starts = datetime(2000, 1, 1, tzinfo=clock.SHANGHAI)
    if problems:
        raise GROVE_INVALID(problems=problems[:20])
    starts_at = starts if starts.tzinfo else starts.replace(tzinfo=clock.SHANGHAI)
    return {"shapes": found, "gift": gift, "starts_at": starts_at.isoformat()}


def _shape(number: int, one: Any, problems: list[str]) -> dict[str, Any]:
    one = one if isinstance(one, dict) else {}
    names, grams, seasons = one.get("name", {}), one.get("grams"), one.get("seasons", [])
    good = (
        isinstance(one.get("code"), str)
        and _CODE.fullmatch(one["code"])
        and isinstance(names, dict)
        and isinstance(names.get("zh"), str)
        and type(grams) is int
        and 0 < grams <= 10**9
        and isinstance(seasons, list)
        and all(isinstance(season, str) and re.fullmatch(r"20\d\d-Q[1-4]", season) for season in seasons)
        and set(one) <= {"code", "name", "grams", "seasons"}
    )
    if not good:
        problems.append(f"shapes {number}: code, name, whole grams above zero, seasons such as 2026-Q4")
        return {"code": str(number)}
    named = {"name": names["zh"], "name_en": names.get("en") or names["zh"]}
    return {"code": one["code"], **named, "mg": grams * 1000, "seasons": seasons}


def _gift(one: Any, problems: list[str]) -> dict[str, Any] | None:
    if one is None:
        return None
    credits = one.get("credits") if isinstance(one, dict) else None
    if type(credits) is not int or not 1 <= credits <= MOST_GIFT or not one.get("project") or not one.get("budget"):
        problems.append(f"gift: project, budget, credits from 1 to {MOST_GIFT}")
        return None
    return {"project": str(one["project"]), "budget": str(one["budget"]), "credits": credits}


_FIND = {
    table: f"select id from {table} where program_id = %(program)s and code = %(code)s"  # noqa: S608 - our own names
    for table in ("welfare_projects", "budgets")
}


def put(*, program_id: int, content: Mapping[str, Any], actor: str, at: datetime) -> Grove:
    """Open a program's grove or change it. Trees that are planted keep what they need. Raises GROVE_INVALID."""
    gift = content["gift"]
    project = _id(program_id, "welfare_projects", gift["project"]) if gift else None
    budget = _id(program_id, "budgets", gift["budget"]) if gift else None
    values = {
        "shapes": content["shapes"], "starts_at": datetime.fromisoformat(content["starts_at"]), "project_id": project,
        "budget_id": budget, "gift_credits": gift["credits"] if gift else 0, "updated_at": at, "updated_by": actor,
    }  # fmt: skip
    found = session().get(Grove, program_id, with_for_update=True)
    if found is None:
        found = Grove(program_id=program_id, **values)
        session().add(found)
    else:
        for name, value in values.items():
            setattr(found, name, value)
    session().flush()
    audit.write(
        actor=actor, action="grove.put", object_type="program", object_id=program_id, at=at, program_id=program_id,
        after=dict(content),
    )  # fmt: skip
    return found


def in_force(program_id: int) -> Grove | None:
    """A program's grove, remembered for a moment."""

    def load() -> Grove | None:
        found = session().get(Grove, program_id)
        if found is not None:
            session().expunge(found)
        return found

    return remember(("grove", program_id), partial(load))


def _id(program_id: int, table: str, code: str) -> int:
    rows = run(_FIND[table], {"program": program_id, "code": code})
    if not rows:
        raise GROVE_INVALID(problems=[f"gift: no {code}"])
    return int(rows[0].id)
