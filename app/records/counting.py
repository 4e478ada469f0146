"""From a record to its number: the reduction by the version in force, the milligrams in the ledger, the award."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from app import funding, ledger, methodologies
from app.db import run
from app.funding import AwardRequest
from app.ledger import Draft
from app.memo import remember
from app.methodologies import CalculationError, DivisionByZero, ParameterMissing
from app.records.acts import Taken, Work
from app.records.checks import EVIDENCE
from app.records.reasons import reason
from app.units import MG


def calculate(works: Sequence[Work]) -> None:
    """Compute each counted act; what cannot be computed is held with the reason, never guessed."""
    for work in works:
        if work.state != "counted":
            continue
        inputs = {name: value for name, value in work.act.facts.items() if name not in EVIDENCE}
        try:
            work.result = methodologies.calculate(work.version, {**inputs, **work.scenario.fixed_facts}, work.region)
        except ParameterMissing as missing:
            work.hold(reason("parameter_missing", missing.parameter))
        except (CalculationError, DivisionByZero) as error:
            work.hold(reason("not_computable", getattr(error, "code", "division_by_zero")))


def taken(work: Work) -> Taken:
    """The answer for a work that is done."""
    if work.state != "counted":
        return Taken("accepted", work.record_id, work.state, work.reason)
    result, award = work.result
    shown = next((mirror for mirror in work.mirrors if mirror.program_id == work.act.program_id), None)
    answer = Taken("accepted", work.record_id, work.state, None, result.counted_mg, award.credits, award.state)
    if shown is not None:
        answer.record_id, answer.state, answer.paid_in = shown.record_id, "mirrored", work.program.id
    return answer


def request(work: Work) -> AwardRequest:
    """What a computed act earned, before shares and caps."""
    return AwardRequest(
        program_id=work.program.id,
        person_id=work.act.person_id,
        reason="record",
        source_ref=f"record:{work.record_id}",
        occurred_at=work.act.occurred_at,
        mg=work.result.counted_mg,
        base_micro=work.result.credits_micro,
        tier=work.tier,
        record_id=work.record_id,
        scenario_id=work.scenario.id,
        caps=work.scenario.caps,
    )


def milligrams(works: Sequence[Work], wallets: funding.Wallets) -> dict[int | None, Draft]:
    """From the program's avoided emissions to the person's own account, one transfer a record; by record."""
    earning = [work for work in works if work.result.counted_mg > 0]
    if not earning:
        return {}
    programs = {work.program.id for work in earning}
    avoided = {program: _avoided(program) for program in programs}
    return {
        work.record_id: Draft(
            program_id=work.program.id,
            reason="reduction",
            source_ref=f"record:{work.record_id}",
            legs=[
                (avoided[work.program.id], -work.result.counted_mg),
                (wallets[work.act.person_id, work.program.id].mg_account_id, work.result.counted_mg),
            ],
        )
        for work in earning
    }


def _avoided(program_id: int) -> int:
    """The program's account of avoided emissions: remembered, once it is committed."""
    known = remember(("avoided", program_id), partial(_committed, program_id))
    return known or ledger.account(program_id=program_id, asset=MG, kind="avoided")


# An account that this very transaction has opened is not to be remembered: a rollback would take it away.
_COMMITTED = """
    select id from accounts where program_id = %(program)s and asset = 'mg' and kind = 'avoided' and owner_key = ''
      and xmin is distinct from pg_current_xact_id_if_assigned()::xid
"""


def _committed(program_id: int) -> int | None:
    rows = run(_COMMITTED, {"program": program_id})
    return int(rows[0].id) if rows else None


def reductions(works: Sequence[Work], grams: Mapping[int | None, Draft]) -> list[dict[str, Any]]:
    """The reductions of computed acts; ``draft`` is the place (from 1) of the transfer that posts the milligrams."""
    places = {record_id: number for number, record_id in enumerate(grams, start=1)}
    return [_reduction(work, places.get(work.record_id)) for work in works]


def _reduction(work: Work, draft: int | None) -> dict[str, Any]:
    """What is needed to repeat the number. The parameters' values are kept here, their sources with the version."""
    result = work.result
    return {
        "record_id": work.record_id,
        "version_id": work.version.id,
        "region": result.region,
        "inputs": dict(result.inputs),
        "parameters": {name: taken_from["value"] for name, taken_from in result.parameters.items()},
        "raw_mg": result.raw_mg,
        "counted_mg": result.counted_mg,
        "credits_micro": result.credits_micro,
        "draft": draft,
    }
