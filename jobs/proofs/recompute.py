"""MET-4: numbers recompute. Each sampled reduction is computed again from what is stored with it, by its version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from app.methodologies import CalculationError, DivisionByZero, Method

SAMPLE = 300

_SAMPLED = text(
    """
    with size as (select greatest(max(id) / :sample, 1) as step, max(id) as newest from reductions)
    select d.id, d.record_id, d.version_id, d.region, d.raw_mg, d.counted_mg, d.credits_micro, d.inputs, d.parameters
    from reductions d, size s where d.id > s.newest - :sample or d.id % s.step = 0 order by d.id
    """
)
_VERSIONS = text("select id, content from methodology_versions where id = any (cast(:ids as bigint[]))")
_SHOWN = text("select id, record_id, raw_mg, credits_micro from reductions where id = any (cast(:ids as bigint[]))")


def differing(link: Any) -> Sequence[Any]:
    """The sampled reductions whose number, inputs or parameters are not what their version gives."""
    rows = link.execute(_SAMPLED, {"sample": SAMPLE}).all()
    wanted = sorted({row.version_id for row in rows})
    methods = {row.id: Method.from_content(row.content) for row in link.execute(_VERSIONS, {"ids": wanted})}
    wrong = [row.id for row in rows if not _agrees(row, methods[row.version_id])]
    shown: Sequence[Any] = link.execute(_SHOWN, {"ids": wrong}).all() if wrong else []
    return shown


def _agrees(row: Any, method: Method) -> bool:
    try:
        result = method.calculate(row.inputs, row.region)
    except (CalculationError, DivisionByZero):
        return False
    stored = (row.raw_mg, row.counted_mg, row.credits_micro, row.parameters)
    parameters = {name: taken["value"] for name, taken in result.parameters.items()}
    return stored == (result.raw_mg, result.counted_mg, result.credits_micro, parameters)
