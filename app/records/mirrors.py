"""One person in several programs: an act is paid by the first program in the person's chosen order that offers it, and
shown unpaid in the others (domain.md, records 4). Totals over programs count the paying record only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.db import run
from app.records.acts import Work
from app.records.catalog import Catalog


@dataclass(slots=True)
class Mirror:
    """The showing of an act in a program that does not pay it."""

    program_id: int
    scenario_id: int
    org_unit_id: int | None
    tier: str
    record_id: int | None = None


def choose_payers(works: Sequence[Work], catalog: Catalog) -> None:
    """Move each act into the program that pays it, and note the others that will show it."""
    for work in works:
        memberships = catalog.memberships.get(work.act.person_id, [])
        if len(memberships) > 1:
            _choose(work, memberships, catalog)


def note_showings(work: Work, catalog: Catalog) -> None:
    """Note the person's other programs that will show an act which this program pays: for a release after a review."""
    for membership in catalog.memberships.get(work.act.person_id, []):
        if membership.program_id != work.program.id:
            offer = _offer(work, membership, catalog)
            if offer is not None:
                tier = offer.source_kinds[work.source.kind]
                work.mirrors.append(Mirror(membership.program_id, offer.id, membership.org_unit_id, tier))


def _choose(work: Work, memberships: Sequence[Any], catalog: Catalog) -> None:
    offers = []
    for membership in memberships:
        scenario = _offer(work, membership, catalog)
        if scenario is not None:
            offers.append((membership, scenario))
    if not offers:
        return
    payer, scenario = offers[0]
    shown = offers[1:]
    work.program, work.scenario = catalog.programs[payer.program_id], scenario
    work.org_unit_id = payer.org_unit_id
    work.tier = scenario.source_kinds[work.source.kind]
    work.region = work.program.region
    work.mirrors = [
        Mirror(other.program_id, offer.id, other.org_unit_id, offer.source_kinds[work.source.kind])
        for other, offer in shown
    ]


def _offer(work: Work, membership: Any, catalog: Catalog) -> Any | None:
    """The scenario of a program that takes this act from this kind of source, if it has one."""
    if membership.program_id == work.act.program_id:
        return work.scenario
    program = catalog.programs.get(membership.program_id)
    if program is None or program.state != "active" or program.starts_on > work.act.occurred_at.date():
        return None
    for scenario in catalog.by_methodology.get((membership.program_id, work.scenario.methodology), ()):
        if scenario.state != "active" or work.source.kind not in scenario.source_kinds:
            continue
        purpose = scenario.consent_purpose
        if purpose and not catalog.consents_to(work.act.person_id, purpose, membership.program_id):
            continue
        return scenario
    return None


_STORE = """
    insert into records (program_id, person_id, scenario_id, source_id, reference, facts, facts_hash, subject,
                         occurred_at, ended_at, received_at, tier, state, org_unit_id, primary_id)
    select x.program_id, r.person_id, x.scenario_id, r.source_id, r.reference, r.facts, r.facts_hash, r.subject,
           r.occurred_at, r.ended_at, %(at)s, x.tier, 'mirrored', x.org_unit_id, r.id
    from jsonb_to_recordset(%(rows)s::jsonb) as x (program_id bigint, scenario_id bigint, tier text,
         org_unit_id bigint, primary_id bigint)
    join records r on r.id = x.primary_id
    on conflict (program_id, source_id, reference) do nothing
    returning id, program_id, primary_id
"""


def store(works: Sequence[Work], at: datetime) -> None:
    """Store the showings of counted acts in the other programs."""
    pairs = [(work, mirror) for work in works if work.state == "counted" for mirror in work.mirrors]
    if not pairs:
        return
    rows = [
        {
            "program_id": mirror.program_id,
            "scenario_id": mirror.scenario_id,
            "tier": mirror.tier,
            "org_unit_id": mirror.org_unit_id,
            "primary_id": work.record_id,
        }
        for work, mirror in pairs
    ]
    found = {(row.program_id, row.primary_id): row.id for row in run(_STORE, {"rows": json.dumps(rows), "at": at})}
    for work, mirror in pairs:
        mirror.record_id = found.get((mirror.program_id, work.record_id))
