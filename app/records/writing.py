"""A judged batch goes to the database in one call: records, claims, awards, reductions, facts for the outbox."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app import events, funding, outbox
from app.db import run
from app.records import claims, counting
from app.records.acts import Work

_WRITE = "select * from record_batch(%(batch)s::jsonb, %(at)s)"


def write(
    *,
    at: datetime,
    store: Sequence[Work] = (),
    claim: Sequence[Work] = (),
    count: Sequence[Work] = (),
    wallets: funding.Wallets | None = None,
) -> None:
    """Store records, make the claims of counted ones, count those: grams, credits, reductions; boards hear of them.

    The parts may come in one call, or apart where something must happen between them. ``wallets`` are the locked ones
    of everybody in ``count``. A reference or a claim that was taken since our look raises UniqueViolation or
    ExclusionViolation: the whole command is to be run again (``retrying``).
    """
    counted = [work for work in count if work.state == "counted"]
    drafts = counting.milligrams(counted, wallets or {})
    prepared = funding.prepare(
        [counting.request(work) for work in counted], at=at, wallets=wallets or {}, with_drafts=list(drafts.values())
    )
    batch = {
        "records": [_row(work) for work in store],
        "claims": claims.rows(claim),
        "award": prepared.body if counted else None,
        "reductions": counting.reductions(counted, drafts),
        "facts": outbox.as_json(_facts(counted)),
    }
    rows = run(_WRITE, {"batch": json.dumps(batch, ensure_ascii=False, separators=(",", ":")), "at": at})
    made = funding.finish(prepared, rows, at=at)
    for work in counted:
        work.result = (work.result, made["record", f"record:{work.record_id}"])


def _row(work: Work) -> dict[str, Any]:
    act, why = work.act, work.reason
    return {
        "id": work.record_id,
        "program_id": work.program.id,
        "person_id": act.person_id,
        "scenario_id": work.scenario.id,
        "source_id": act.source_id,
        "reference": act.reference,
        "facts": dict(act.facts),
        "facts_hash": work.facts_hash.hex(),
        "subject": act.subject,
        "occurred_at": act.occurred_at.isoformat(),
        "ended_at": act.until.isoformat(),
        "tier": work.tier,
        "state": work.state,
        "reason_code": why.code if why else None,
        "reason_zh": why.zh if why else None,
        "reason_en": why.en if why else None,
        "org_unit_id": work.org_unit_id,
        "supersedes_id": act.supersedes_id,
        "import_id": act.import_id,
    }


def _facts(counted: Sequence[Work]) -> list[outbox.Fact]:
    """Which records count now, by program, showings included."""
    by_program: dict[int, list[int]] = {}
    for work in counted:
        by_program.setdefault(work.program.id, []).append(work.record_id or 0)
        for mirror in work.mirrors:
            if mirror.record_id is not None:
                by_program.setdefault(mirror.program_id, []).append(mirror.record_id)
    return [(events.RECORD_COUNTED, program_id, {"record_ids": ids}) for program_id, ids in sorted(by_program.items())]
