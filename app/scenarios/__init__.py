"""Scenarios: what a program offers: method + source + tier + caps + text."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from app.db import connection, session
from app.errors import NOT_FOUND, Kind, declare
from app.methodologies.models import Methodology
from app.programs import ScenarioDraft
from app.scenarios.models import Scenario

TIERS = ("A", "B", "C", "D", "E")
CLAIMS = ("trip", "day", "vehicle", "meter", "none")
CAP_PERIODS = ("day", "week", "month", "year")
SOURCE_KINDS = ("citizen", "partner", "file", "device", "office", "system")

SCENARIO_INVALID = declare(
    "scenario_invalid",
    Kind.INVALID,
    zh="场景定义有误，请按 details 的说明修改。",
    en="The scenario's definition is not right; `details` says what to mend.",
)


def offer(*, program_id: int, definition: ScenarioDraft) -> Scenario:
    """Offer a scenario in a program; the one of this code is brought to the definition. Raises SCENARIO_INVALID."""
    _check(definition)
    query = select(Scenario).where(Scenario.program_id == program_id, Scenario.code == definition.code)
    found = session().scalars(query).first()
    if found is None:
        found = Scenario(program_id=program_id, code=definition.code, state="active")
        session().add(found)
    for name in ("methodology", "name", "name_en", "claim", "consent_purpose", "text_zh", "text_en", "picture"):
        setattr(found, name, getattr(definition, name))
    found.source_kinds, found.caps = dict(definition.source_kinds), dict(definition.caps)
    found.fixed_facts = dict(definition.fixed_facts)
    session().flush()
    return found


def retire(*, program_id: int, code: str, at: datetime) -> Scenario:
    """Offer it no longer; what was recorded stays. Raises NOT_FOUND."""
    query = select(Scenario).where(Scenario.program_id == program_id, Scenario.code == code)
    found = session().scalars(query).first()
    if found is None:
        raise NOT_FOUND(scenario=code)
    found.state, found.retired_at = "retired", found.retired_at or at
    session().flush()
    return found


def listing(program_id: int, *, retired: bool = False) -> list[Scenario]:
    """A program's scenarios by code."""
    query = select(Scenario).where(Scenario.program_id == program_id).order_by(Scenario.code)
    return list(session().scalars(query if retired else query.where(Scenario.state == "active")))


def draft_of(scenario: Scenario) -> ScenarioDraft:
    """A scenario as a template holds it, to copy a program."""
    return ScenarioDraft(
        code=scenario.code,
        methodology=scenario.methodology,
        name=scenario.name,
        name_en=scenario.name_en,
        text_zh=scenario.text_zh,
        text_en=scenario.text_en,
        source_kinds=dict(scenario.source_kinds),
        caps=dict(scenario.caps),
        claim=scenario.claim,
        consent_purpose=scenario.consent_purpose,
        fixed_facts=dict(scenario.fixed_facts),
        picture=scenario.picture,
    )


def _check(definition: ScenarioDraft) -> None:
    problems = []
    known = select(Methodology.id).where(Methodology.key == definition.methodology, Methodology.retired_at.is_(None))
    if connection().execute(known).first() is None:
        problems.append(f"methodology: no {definition.methodology!r} is published")
    if not definition.source_kinds or any(
        kind not in SOURCE_KINDS or tier not in TIERS for kind, tier in definition.source_kinds.items()
    ):
        problems.append(f"source_kinds: {', '.join(SOURCE_KINDS)}, each with a tier of {', '.join(TIERS)}")
    if any(kind not in CAP_PERIODS or int(most) < 1 for kind, most in definition.caps.items()):
        problems.append(f"caps: whole credits per {', '.join(CAP_PERIODS)}")
    if definition.claim not in CLAIMS:
        problems.append(f"claim: one of {', '.join(CLAIMS)}")
    if problems:
        raise SCENARIO_INVALID(scenario=definition.code, problems=problems)


__all__ = ["SCENARIO_INVALID", "Scenario", "draft_of", "listing", "offer", "retire"]
