"""Org-units on boards: groups under five persons are not shown, and no difference of shown figures reveals one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from app.db import read
from app.leaderboards.boards import Board
from app.leaderboards.reading import GROUP_MINIMUM, Line, page
from app.memo import remember

MOST_UNITS = 5_000

_UNITS = """
    select u.id, u.parent_id, u.name, u.name_en, u.kind, u.code, u.path, (
      select count(*) from memberships m join org_units o on o.id = m.org_unit_id
      where m.program_id = u.program_id and m.state = 'active' and o.path like u.path || '%%'
    ) as people
    from org_units u where u.program_id = %(program)s order by u.id
"""


def visible_units(program_id: int) -> dict[int, Any]:
    """The org-units whose figures may be shown: at least five persons, and none that a subtraction would reveal.

    Where the hidden children of one parent hold fewer than five persons together, the parent's figure minus the shown
    children's would tell theirs, so the smallest shown child is hidden too, with everything below it, until five are
    reached or none is shown (invariants.md, BRD-3).
    """
    units = {row.id: row for row in read(_UNITS, {"program": program_id})}
    shown = {unit_id for unit_id, row in units.items() if row.people >= GROUP_MINIMUM}
    children: dict[int | None, list[Any]] = defaultdict(list)
    for row in units.values():
        children[row.parent_id].append(row)
    # From the root down: hiding a unit hides what is below it, and may leave its own children to be looked at.
    for parent in sorted(children, key=lambda unit_id: units[unit_id].path.count("/") if unit_id else 0):
        _protect(children[parent], shown, units)
    return {unit_id: units[unit_id] for unit_id in units if unit_id in shown}


def _protect(siblings: list[Any], shown: set[int], units: dict[int, Any]) -> None:
    while True:
        hidden = sum(row.people for row in siblings if row.id not in shown)
        standing = [row for row in siblings if row.id in shown]
        if not 0 < hidden < GROUP_MINIMUM or not standing:
            return
        smallest = min(standing, key=lambda row: (row.people, row.id))
        shown -= {unit_id for unit_id, row in units.items() if row.path.startswith(smallest.path)}


def unit_lines(board: Board, *, at: datetime, kind: str | None = None) -> list[Line]:
    """The visible org-units of a board, ranked among themselves, with the movement against the period before.

    ``kind`` keeps only the units of one kind: districts against districts, departments against departments.
    """
    return remember(("unit lines", board.key, kind), partial(_unit_lines, board, at, kind))


def _unit_lines(board: Board, at: datetime, kind: str | None) -> list[Line]:
    units = visible_units(board.program_id)
    visible = {unit_id: row for unit_id, row in units.items() if kind in (None, row.kind)}
    ranks = {line.subject_id: line.rank for line in _ranked(board.previous, visible, at)} if board.previous else {}
    return [
        replace(line, movement=ranks[line.subject_id] - line.rank if line.subject_id in ranks else None)
        for line in _ranked(board, visible, at)
    ]


def _ranked(board: Board, visible: dict[int, Any], at: datetime) -> list[Line]:
    found = page(board, offset=0, limit=MOST_UNITS, at=at).lines
    return [
        replace(line, rank=rank) for rank, line in enumerate((one for one in found if one.subject_id in visible), 1)
    ]
