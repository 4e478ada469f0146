"""From a file to a live challenge: draft, launch with its prizes reserved, amend in favour of participants, cancel."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select

from app import audit, funding, notices, programs
from app.challenges.definition import CHALLENGE_INVALID, LESS_IS_BETTER, Definition, from_json
from app.challenges.models import Challenge, ChallengeVersion
from app.db import run, session
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.funding.models import Budget

CHALLENGE_OVER = declare(
    "challenge_over",
    Kind.CONFLICT,
    zh="报名截止时间已过，无法发布。请调整文件中的时间。",
    en="Its time to enrol has passed, so it can't be launched. Change the times in the file.",
)
CHANGE_AGAINST_PROMISE = declare(
    "change_against_promise",
    Kind.CONFLICT,
    zh="已有人报名，规则只能改得对参与者更有利；details 列出了不能改的内容。",
    en="People have enrolled, so the rules can change only in their favour; `details` lists what can't change.",
)
CHALLENGE_CHANGED = declare(
    "challenge_changed",
    Kind.CONFLICT,
    zh="挑战在申请审批后被修改，请重新申请。",
    en="The challenge was changed after approval was asked for. Ask again.",
)
# What may change at any time, and what only in one direction, once somebody has enrolled.
FREE = {"name", "name_en", "text_zh", "text_en"}
FIXED = {
    *("code", "kind", "measure", "scenarios", "enrol_from", "starts_at", "ends_at", "per_day", "norms", "unit_kind"),
    *("per_head", "on_reversal", "budget", "units", "tags"),
}


def draft(*, program_id: int, definition: Definition, actor: str, at: datetime) -> Challenge:
    """Keep a definition as a draft, or in place of the draft of this code. Raises CHALLENGE_INVALID, STATE_CONFLICT."""
    query = select(Challenge).where(Challenge.program_id == program_id, Challenge.code == definition.code)
    found = session().scalars(query.with_for_update()).first()
    if found is not None and found.state != "draft":
        raise STATE_CONFLICT(state=found.state, challenge=definition.code)
    columns = _columns(program_id, definition)
    if found is None:
        found = Challenge(program_id=program_id, state="draft", version=1, enrolled=0, reserved=0, **columns)
        session().add(found)
    else:
        _bring(found, columns)
        found.version += 1
    session().flush()
    _keep_version(found, definition, actor, at)
    return found


def launch(*, challenge_id: int, version: int, approval_id: int | None, at: datetime) -> Challenge:
    """Make a draft live and set the most that its prizes can cost aside. The version must be the one approved.

    Raises STATE_CONFLICT, CHALLENGE_CHANGED, CHALLENGE_OVER, RESERVE_SHORT.
    """
    found = _locked(challenge_id)
    if found.state != "draft":
        raise STATE_CONFLICT(state=found.state)
    if found.version != version:
        raise CHALLENGE_CHANGED(version=found.version, approved=version)
    if found.enrol_until <= at:
        raise CHALLENGE_OVER(enrol_until=found.enrol_until.isoformat())
    _reserve(found, definition_of(found).worst_case(), at)
    found.state, found.launched_at, found.approval_id = "live", at, approval_id
    session().flush()
    return found


def amend(*, challenge_id: int, definition: Definition, actor: str, at: datetime) -> Challenge:
    """Change a live challenge: anything before the first has enrolled, afterwards only in favour of who takes part.

    Enrolments keep the version that they were made under; what is better holds for all. Raises CHANGE_AGAINST_PROMISE
    with the fields, STATE_CONFLICT, RESERVE_SHORT, CHALLENGE_INVALID.
    """
    found = _locked(challenge_id)
    if found.state != "live" or found.ends_at <= at:
        raise STATE_CONFLICT(state=found.state if found.state != "live" else "over")
    before = definition_of(found)
    fixed = {"code", "kind", "budget"} & _differing(before, definition)
    against = worse(before, definition) if found.enrolled else sorted(fixed)
    if against:
        raise CHANGE_AGAINST_PROMISE(fields=against)
    _bring(found, _columns(found.program_id, definition))
    found.version += 1
    session().flush()
    _keep_version(found, definition, actor, at)
    _reserve(found, definition.worst_case(), at)
    return found


def cancel(*, challenge_id: int, words: str, actor: str, at: datetime) -> Challenge:
    """End a challenge without prizes; what was reserved goes back and everybody who takes part is told."""
    found = _locked(challenge_id)
    if found.state not in ("draft", "live"):
        raise STATE_CONFLICT(state=found.state)
    found.state, found.cancel_reason = "cancelled", words
    session().flush()
    if found.reserve_id is not None:
        funding.release_reserve(budget_id=found.reserve_id, at=at)
    for row in run(_TAKING_PART, {"id": challenge_id}):
        notices.tell(
            key=f"challenge:{challenge_id}:cancelled:{row.person_id}", person_id=row.person_id,
            program_id=found.program_id, kind="challenge.cancelled", zh=f"挑战「{found.name}」已取消：{words}",
            en=f"The challenge “{found.name_en}” was cancelled: {words}", at=at,
        )  # fmt: skip
    audit.write(
        actor=actor, action="challenge.cancel", object_type="challenge", object_id=challenge_id, at=at,
        program_id=found.program_id, reason=words,
    )  # fmt: skip
    return found


def worse(before: Definition, after: Definition) -> list[str]:
    """The fields in which a change would take something from people who have enrolled."""
    fields = _differing(before, after)
    against = fields & FIXED
    less = before.measure == LESS_IS_BETTER
    if after.enrol_until < before.enrol_until or (after.enrol_until > before.enrol_until and before.kind == "race"):
        against.add("enrol_until")
    if after.closes_at < before.closes_at:
        against.add("late_days")
    if before.capacity is not None and (after.capacity or 0) < before.capacity:
        against.add("capacity")
    for name in ("least_metres", "least_members", "least_level"):
        if getattr(after, name) > getattr(before, name):
            against.add(name)
    offered = {prize["no"]: prize for prize in after.prizes}
    if not all(_as_good(prize, offered.get(prize["no"]), less) for prize in before.prizes):
        against.add("prizes")
    return sorted(against - FREE)


def definition_of(challenge: Challenge) -> Definition:
    """The rules in force."""
    kept = session().get_one(ChallengeVersion, (challenge.id, challenge.version))
    return from_json(kept.definition)


def by_code(program_id: int, code: str) -> Challenge:
    """A challenge of any state. Raises NOT_FOUND."""
    query = select(Challenge).where(Challenge.program_id == program_id, Challenge.code == code)
    found = session().scalars(query).first()
    if found is None:
        raise NOT_FOUND(challenge=code)
    return found


def _as_good(before: dict[str, Any], after: dict[str, Any] | None, less: bool) -> bool:
    if after is None or after["credits"] < before["credits"] or ("reach" in before) != ("reach" in after):
        return False
    if "reach" in before:
        return bool(after["reach"] >= before["reach"] if less else after["reach"] <= before["reach"])
    return bool(after["rank_from"] <= before["rank_from"] and after["rank_to"] >= before["rank_to"])


def _differing(before: Definition, after: Definition) -> set[str]:
    old, new = before.as_json(), after.as_json()
    return {name for name in old if old[name] != new[name]}


_TAKING_PART = """
    select e.subject_id as person_id from enrolments e
    where e.challenge_id = %(id)s and e.subject_kind = 'person' and e.withdrawn_at is null
    union
    select m.person_id from enrolments e join team_members m on m.team_id = e.subject_id and m.left_at is null
    where e.challenge_id = %(id)s and e.subject_kind = 'team' and e.withdrawn_at is null order by 1
"""


def _locked(challenge_id: int) -> Challenge:
    found = session().get(Challenge, challenge_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NOT_FOUND(challenge=str(challenge_id))
    return found


def _bring(found: Challenge, columns: dict[str, Any]) -> None:
    for name, value in columns.items():
        setattr(found, name, value)


def _keep_version(found: Challenge, definition: Definition, actor: str, at: datetime) -> None:
    content = definition.as_json()
    row = ChallengeVersion(
        challenge_id=found.id, version=found.version, definition=content, definition_hash=audit.digest(content),
        made_by=actor, made_at=at,
    )  # fmt: skip
    session().add(row)
    session().flush()
    audit.write(
        actor=actor, action="challenge.define", object_type="challenge", object_id=found.id, at=at,
        program_id=found.program_id, after=content,
    )  # fmt: skip


def _reserve(found: Challenge, credits: int, at: datetime) -> None:
    """Bring the reserve up to what the prizes can cost. It never shrinks while the challenge lives."""
    if credits <= found.reserved or found.budget_id is None:
        return
    parent = session().get_one(Budget, found.budget_id)
    own = funding.reserve(
        parent=parent, purpose=f"challenge-{found.id}", name=f"挑战奖励：{found.name}", credits=credits, at=at
    )
    found.reserve_id, found.reserved = own.id, credits
    session().flush()


def _columns(program_id: int, one: Definition) -> dict[str, Any]:
    """The definition as columns, its codes looked up. Raises CHALLENGE_INVALID for codes that the program lacks."""
    scenarios = _ids("scenarios", program_id, one.scenarios)
    units = _ids("org_units", program_id, one.units)
    budget = _ids("budgets", program_id, [one.budget] if one.budget else [])
    problems = [f"scenarios: no {code}" for code in one.scenarios if code not in scenarios]
    problems += [f"audience.units: no {code}" for code in one.units if code not in units]
    problems += [f"budget: no {one.budget}"] if one.budget and one.budget not in budget else []
    if one.unit_kind and one.unit_kind not in {unit.kind for unit in programs.org_units(program_id)}:
        problems.append(f"units: the program has no {one.unit_kind}")
    if problems:
        raise CHALLENGE_INVALID(challenge=one.code, problems=problems)
    same = (
        *("code", "kind", "measure", "enrol_from", "enrol_until", "starts_at", "ends_at", "closes_at", "capacity"),
        *("per_day", "least_metres", "norms", "unit_kind", "per_head", "least_members", "on_reversal", "least_level"),
        *("name", "name_en", "text_zh", "text_en", "prizes"),
    )
    return {name: getattr(one, name) for name in same} | {
        "scenario_ids": sorted(scenarios.values()) or None,
        "audience_units": sorted(units.values()) or None,
        "audience_tags": one.tags or None,
        "budget_id": budget.get(one.budget),
    }


_FIND = {
    table: f"select code, id from {table} where program_id = %(program)s and code = any (%(codes)s::text[])"  # noqa: S608 - our own names
    for table in ("scenarios", "org_units", "budgets")
}


def _ids(table: str, program_id: int, codes: list[str]) -> dict[str, int]:
    return {row.code: row.id for row in run(_FIND[table], {"program": program_id, "codes": codes})} if codes else {}
