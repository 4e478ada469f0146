"""From a record to its number: the reduction by the version in force, the milligrams in the ledger, the award."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from app import funding, ledger, methodologies
from app.db import run
from app.funding import Awarded, AwardRequest
from app.ledger import Draft
from app.memo import remember
from app.methodologies import CalculationError, DivisionByZero, ParameterMissing
from app.records import mirrors
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


def count(works: Sequence[Work], *, at: datetime, wallets: funding.Wallets) -> None:
    """Store reductions, show the act in the person's other programs, post milligrams and awards in one statement.

    ``wallets`` are the locked ones of everybody concerned.
    """
    counted = [work for work in works if work.state == "counted"]
    mirrors.store(counted, at)
    if not counted:
        return
    requests = [_request(work) for work in counted]
    grams = _milligrams(counted, wallets)
    awarded = funding.award(requests, at=at, with_drafts=list(grams.values()), wallets=wallets)
    _store_reductions(counted, grams)
    for work, award in zip(counted, awarded, strict=True):
        work.result = (work.result, award)


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


def _request(work: Work) -> AwardRequest:
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


def _milligrams(works: Sequence[Work], wallets: funding.Wallets) -> dict[int | None, Draft]:
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


_STORE = """
    insert into reductions (record_id, version_id, region, inputs, parameters, raw_mg, counted_mg, credits_micro,
                            transfer_id)
    select x.record_id, x.version_id, x.region, x.inputs, x.parameters, x.raw_mg, x.counted_mg, x.credits_micro,
           x.transfer_id
    from jsonb_to_recordset(%(rows)s::jsonb) as x (record_id bigint, version_id bigint, region text, inputs jsonb,
         parameters jsonb, raw_mg bigint, counted_mg bigint, credits_micro bigint, transfer_id bigint)
"""


def _store_reductions(works: Sequence[Work], grams: Mapping[int | None, Draft]) -> None:
    rows = [_reduction(work, grams.get(work.record_id)) for work in works]
    run(_STORE, {"rows": json.dumps(rows, ensure_ascii=False)})


def _reduction(work: Work, posted: Draft | None) -> dict[str, Any]:
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
        "transfer_id": posted.transfer_id if posted else None,
    }


__all__ = ["Awarded", "calculate", "count", "taken"]
