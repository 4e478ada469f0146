"""The month's challenges, one of each kind: who sets them up, who takes part, and how they are settled."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from app import challenges, programs, teams
from app.clock import day_start
from app.db import run, transaction
from app.errors import Refusal
from demo.month import crowd
from demo.month.crowd import Somebody
from demo.places import CITY, COMMUNITY, ENTERPRISE

SEATS = 5
BY = "system:demo"
FILE = """
code = "{code}"
kind = "{kind}"
measure = "{measure}"
scenarios = [{scenarios}]
enrol_from = {before}
enrol_until = {until}
starts = {starts}
ends = {ends}
budget = "main"
{more}
name = {{ zh = "{name}", en = "{name_en}" }}
text = {{ zh = "{name}：一个月。", en = "{name_en}, for a month." }}
{prizes}
"""
REACH = '[[prizes]]\nreach = "{0}"\ncredits = {1}\nname = {{ zh = "达标", en = "Reached" }}\n'
RANKS = '[[prizes]]\nranks = [{0}, {1}]\ncredits = {2}\nname = {{ zh = "第 {0} 至 {1} 名", en = "{0} to {1}" }}\n'


@dataclass(frozen=True, slots=True)
class Plan:
    """One challenge. ``share`` of the program's people take part, one by one or with their team."""

    program: str
    code: str
    kind: str
    measure: str
    scenarios: tuple[str, ...]
    name: str
    name_en: str
    prizes: str
    more: str = "capacity = 5000"
    share: float = 0.5


PLANS = (
    Plan(CITY.code, "goal-10kg", "goal", "g", ("metro-ride", "bus-ride"), "个人减排目标", "Personal goal",
         REACH.format(5_000, 30)),
    Plan(CITY.code, "days-15", "streak", "days", ("metro-ride", "bus-ride", "cycling"), "连续出行", "Riding streak",
         REACH.format(4, 20)),
    Plan(CITY.code, "race-km", "race", "km", ("metro-ride",), "地铁里程赛", "Metro race",
         RANKS.format(1, 3, 200) + RANKS.format(4, 10, 80)),
    Plan(COMMUNITY.code, "team-sorting", "team", "count", ("waste-sorting",), "邻里分类接力", "Team relay",
         RANKS.format(1, 3, 60), more="capacity = 500", share=0.6),
    Plan(ENTERPRISE.code, "departments", "unit", "g", ("metro-ride", "paperless-office"), "部门对抗赛",
         "Department against department", RANKS.format(1, 1, 20),
         more='capacity = 1000\nunits = "department"\nper_head = true\nleast_members = 3', share=0.8),
)  # fmt: skip


def open_all(everybody: Sequence[Somebody], *, seed: int, first: date, last: date) -> None:
    """Launch what is planned, found the teams and let people enrol, before the month begins."""
    before = day_start(first) - timedelta(hours=4)
    for plan in PLANS:
        program_id = programs.by_code(plan.program).id
        mine = crowd.of(plan.program, everybody)
        if plan.kind == "team":
            found_teams(mine, seed=seed, at=before)
        definition = challenges.parse(_text(plan, seed, first, last))
        with transaction():
            known = run(
                "select 1 from challenges where program_id = %(p)s and code = %(c)s",
                {"p": program_id, "c": definition.code},
            )
            if not known:
                made = challenges.draft(program_id=program_id, definition=definition, actor=BY, at=before)
                challenges.launch(challenge_id=made.id, version=made.version, approval_id=None, at=before)
        for one in mine:
            if random.Random(f"{seed}:enrol:{plan.code}:{one.number}").random() < plan.share:
                _enrol(program_id, definition.code, one.person_id, before + timedelta(hours=1))


def settle_all(*, seed: int, at: datetime) -> int:
    """Take the settlements to their end; answers how many prizes were paid in this run."""
    paid = 0
    for plan in PLANS:
        with transaction():
            challenge_id = challenges.by_code(programs.by_code(plan.program).id, _code(plan, seed)).id
        state = ""
        while state != "settled":
            with transaction():
                step = challenges.settle(challenge_id=challenge_id, at=at)
            state, paid = step.state, paid + step.paid
    return paid


def found_teams(mine: Sequence[Somebody], *, seed: int, at: datetime) -> None:
    """Teams of five neighbours, in the order of their numbers."""
    for start in range(0, len(mine) - SEATS + 1, SEATS):
        captain, *rest = mine[start : start + SEATS]
        with transaction():
            if teams.of(person_id=captain.person_id, program_id=captain.program_id) is not None:
                continue
            made = teams.found(
                program_id=captain.program_id, person_id=captain.person_id, kind="team",
                name=f"邻里{seed}-{start // SEATS + 1}队", at=at,
            )  # fmt: skip
            for one in rest:
                teams.join(code=made.code, person_id=one.person_id, at=at)


def _enrol(program_id: int, code: str, person_id: int, at: datetime) -> None:
    try:
        with transaction():
            challenges.enrol(program_id=program_id, code=code, person_id=person_id, at=at)
    except Refusal as refusal:
        if refusal.code not in (challenges.CAPTAIN_ENROLS.code, challenges.TEAM_NEEDED.code):
            raise  # only the captain enrols a team, and some neighbours have none


def _code(plan: Plan, seed: int) -> str:
    return f"{plan.code}-{seed}"


def _text(plan: Plan, seed: int, first: date, last: date) -> str:
    starts = day_start(first)
    return FILE.format(
        code=_code(plan, seed), kind=plan.kind, measure=plan.measure, name=plan.name, name_en=plan.name_en,
        scenarios=", ".join(f'"{one}"' for one in plan.scenarios), prizes=plan.prizes, more=plan.more,
        before=(starts - timedelta(days=3)).isoformat(), until=(starts + timedelta(days=7)).isoformat(),
        starts=starts.isoformat(), ends=day_start(last + timedelta(days=1)).isoformat(),
    )  # fmt: skip
