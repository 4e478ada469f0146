"""Reads of surveys, and their results: by org-unit, hidden under five answers, also from who subtracts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select

from app import programs
from app.db import read, session
from app.errors import NOT_FOUND, Kind, declare
from app.surveys.models import Survey

FEWEST = 5

SURVEY_RUNNING = declare(
    "survey_running",
    Kind.CONFLICT,
    zh="问卷结束后才能查看结果，避免从前后变化推断个人答案。",
    en="Results are shown when the survey is over: their change from day to day would tell single answers.",
)

_OPEN = """
    select s.id, s.code, s.name, s.name_en, s.text_zh, s.text_en, s.questions, s.opens_at, s.closes_at,
           p.code as program, v.person_id is not null as answered
    from surveys s join programs p on p.id = s.program_id
    join memberships m on m.program_id = s.program_id and m.person_id = %(person)s and m.state = 'active'
    left join org_units asked on asked.id = s.org_unit_id left join org_units own on own.id = m.org_unit_id
    left join survey_voters v on v.survey_id = s.id and v.person_id = m.person_id
    where s.opens_at <= %(at)s and (s.org_unit_id is null or own.path like asked.path || '%%')
      and (%(survey)s::bigint is null and s.closes_at > %(at)s or s.id = %(survey)s)
    order by s.closes_at, s.id
"""


def for_person(person_id: int, at: datetime) -> list[Any]:
    """The surveys that a person is asked now, with whether they have answered."""
    return read(_OPEN, {"person": person_id, "at": at, "survey": None})


def one(survey_id: int, person_id: int, at: datetime) -> Any:
    """A survey that a person is or was asked. Raises NOT_FOUND."""
    rows = read(_OPEN, {"person": person_id, "at": at, "survey": survey_id})
    if not rows:
        raise NOT_FOUND(survey=str(survey_id))
    return rows[0]


def by_code(program_id: int, code: str) -> Survey:
    """A survey of a program. Raises NOT_FOUND."""
    found = session().scalars(select(Survey).where(Survey.program_id == program_id, Survey.code == code)).first()
    if found is None:
        raise NOT_FOUND(survey=code)
    return found


def listed(program_id: int) -> list[Any]:
    """A program's surveys for an operator; how many have answered only from five on."""
    query = """
        select s.code, s.name, s.opens_at, s.closes_at, coalesce(u.code, '') as org_unit,
               case when count(v.*) >= 5 then count(v.*)::text else '<5' end as answered
        from surveys s left join org_units u on u.id = s.org_unit_id left join survey_voters v on v.survey_id = s.id
        where s.program_id = %(program)s group by s.id, u.code order by s.opens_at, s.id
    """
    return read(query, {"program": program_id})


@dataclass(slots=True)
class Result:
    """What a group answered: how many, and per question how often each option. None where it is hidden."""

    unit: str
    name: str
    answers: int | None
    questions: dict[str, dict[str, int]] | None


@dataclass(slots=True)
class _Node:
    unit: Any
    direct: list[dict[str, Any]] = field(default_factory=list)
    children: list[_Node] = field(default_factory=list)

    def all(self) -> list[dict[str, Any]]:
        return [*self.direct, *(one for child in self.children for one in child.all())]


def results(survey: Survey, at: datetime) -> list[Result]:
    """The whole first, then the org-units from the top. A group under five answers is hidden, and so many of its
    neighbours with it that what is left over is nobody, or five and more. Raises SURVEY_RUNNING before the end."""
    if at < survey.closes_at:
        raise SURVEY_RUNNING(closes_at=survey.closes_at.isoformat())
    root = _tree(survey)
    found: list[Result] = []
    _show(survey, root, len(root.all()) >= FEWEST, found)
    return found


def _tree(survey: Survey) -> _Node:
    units = programs.org_units(survey.program_id)
    nodes = {unit.id: _Node(unit) for unit in units}
    root = _Node(None)
    for unit in units:
        parent = root if unit.parent_id is None else nodes[unit.parent_id]
        parent.children.append(nodes[unit.id])
    for row in read("select org_unit_id, answers from survey_answers where survey_id = %(id)s", {"id": survey.id}):
        (root if row.org_unit_id is None else nodes[row.org_unit_id]).direct.append(row.answers)
    return root


def _show(survey: Survey, node: _Node, shown: bool, found: list[Result]) -> None:
    given = node.all()
    code, name = ("", survey.name) if node.unit is None else (node.unit.code, node.unit.name)
    counts = _counts(survey, given) if shown else None
    found.append(Result(code, name, len(given) if shown else None, counts))
    open_ones = _open_children(node) if shown else set()
    for child in node.children:
        if child.all():
            _show(survey, child, id(child) in open_ones, found)


def _open_children(node: _Node) -> set[int]:
    """The children that can be shown: together they leave nobody over, or at least five, for who subtracts."""
    sizes = {id(child): len(child.all()) for child in node.children}
    shown = sorted((child for child, size in sizes.items() if size >= FEWEST), key=lambda child: sizes[child])
    total = len(node.all())
    while shown and 0 < total - sum(sizes[child] for child in shown) < FEWEST:
        shown.pop(0)
    return set(shown)


def _counts(survey: Survey, given: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    return {
        one["key"]: dict(sorted(Counter(str(answers[one["key"]]) for answers in given).items()))
        for one in survey.questions
    }
