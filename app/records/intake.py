"""``take()``: the one road by which every act that earns becomes a record, a reduction and an award.

Batch by nature: one act is a batch of one, a file is batches of hundreds, and both take the same number of statements.
Locks in one order: wallets by id, standing claims, a slice of the budget, ledger accounts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from app import events, funding, outbox
from app.db import connection, run
from app.errors import Kind, declare
from app.records import claims, counting, mirrors, reversal, risk
from app.records.acts import Act, Taken, Work
from app.records.catalog import Catalog, Vehicles, vehicle_of
from app.records.checks import refusal_of
from app.records.reasons import Reason

CONTENT_CONFLICT = declare(
    "content_conflict",
    Kind.CONFLICT,
    zh="同一编号此前已提交过不同的内容，第一次的记录保持不变，本次内容已留存待核对。更正请使用新的编号并注明被更正的记录。",
    en="This reference was sent before with other content. The first stands, this one is kept for review. "
    "Send a correction under a new reference that names the record it corrects.",
)


def take(act: Act, *, at: datetime) -> Taken:
    """Take one act: a batch of one. A refusal is in the answer; the edge raises it after its commit, so that what the
    refusal keeps (a conflict for review) is kept."""
    return take_many([act], at=at)[0]


def take_many(acts: Sequence[Act], *, at: datetime) -> list[Taken]:
    """Take a batch inside the running transaction; answers in order, each act on its own.

    The same act again (program, source, reference) is answered with the first; with other content it is refused with
    CONTENT_CONFLICT and kept for review. Refusals store nothing; held, duplicate and mirrored records are stored with
    their reason.
    """
    answers: list[Taken | None] = [None] * len(acts)
    works = _new_works(acts, answers, at)
    if works:
        catalog = Catalog([work.act for work in works], at)
        vehicles = _vehicles(works)
        works = _judged(works, catalog, vehicles, answers)
        risk.assess_together(works, at)
        mirrors.choose_payers(works, catalog)
        wallets = _lock(works, at)
        counting.calculate(works)
        claims.settle(works)
        _store(works, at)
        works = _without_raced(works, answers)
        if _overtake(works, at):
            wallets = _lock(works, at)  # what was overtaken changed carries and debts
        claims.make(works)
        counting.count(works, at=at, wallets=wallets)
        publish(works)
        for work in works:
            answers[work.position] = counting.taken(work)
    _answer_repeats(answers, acts)
    return [answer for answer in answers if answer is not None]


def _new_works(acts: Sequence[Act], answers: list[Taken | None], at: datetime) -> list[Work]:
    """The acts that are not known yet; repeats are answered, other content under a known reference is refused."""
    known = _known([act.key for act in acts])
    first: dict[tuple[int, int, str], Work] = {}
    works = []
    for position, act in enumerate(acts):
        facts_hash = act.hash()
        stored = known.get(act.key)
        if stored is not None:
            answers[position] = _repeat(stored, act, facts_hash, at)
        elif act.key in first:
            same = first[act.key].facts_hash == facts_hash
            answers[position] = Taken("again" if same else "refused", refusal=None if same else CONTENT_CONFLICT())
        else:
            first[act.key] = work = Work(act, position, facts_hash)
            works.append(work)
    return works


# A source belongs to one program, so (source, reference) finds an act in whatever program pays it; the showing in the
# program that it was sent to comes first.
_KNOWN = """
    select distinct on (x.p, x.s, x.f) x.p as program_id, x.s as source_id, x.f as reference,
           r.id, r.facts_hash, r.state, r.reason_code, r.reason_zh, r.reason_en, coalesce(d.counted_mg, 0) as mg,
           (select coalesce(sum(w.credits), 0) from awards w where w.record_id = r.id) as credits,
           (select min(w.state) from awards w where w.record_id = r.id and w.reason = 'record') as award_state
    from unnest(%(p)s::bigint[], %(s)s::bigint[], %(f)s::text[]) as x (p, s, f)
    join records r on r.source_id = x.s and r.reference = x.f
    left join reductions d on d.record_id = coalesce(r.primary_id, r.id)
    order by x.p, x.s, x.f, (r.program_id = x.p) desc
"""


def _known(keys: Sequence[tuple[int, int, str]]) -> dict[tuple[int, int, str], Any]:
    values = {"p": [key[0] for key in keys], "s": [key[1] for key in keys], "f": [key[2] for key in keys]}
    return {(row.program_id, row.source_id, row.reference): row for row in run(_KNOWN, values)}


def _repeat(stored: Any, act: Act, facts_hash: bytes, at: datetime) -> Taken:
    if bytes(stored.facts_hash) != facts_hash:
        _keep_conflict(stored.id, act, facts_hash, at)
        return Taken("refused", stored.id, stored.state, refusal=CONTENT_CONFLICT(first=str(stored.id)))
    why = Reason(stored.reason_code, stored.reason_zh, stored.reason_en) if stored.reason_code else None
    return Taken("duplicate", stored.id, stored.state, why, stored.mg, int(stored.credits), stored.award_state)


def _keep_conflict(record_id: int, act: Act, facts_hash: bytes, at: datetime) -> None:
    kept = text(
        "insert into conflicting_records (record_id, facts, facts_hash, received_at)"
        " values (:record, cast(:facts as jsonb), :hash, :at) on conflict do nothing"
    )
    facts = json.dumps(dict(act.facts), ensure_ascii=False)
    connection().execute(kept, {"record": record_id, "facts": facts, "hash": facts_hash, "at": at})


def _vehicles(works: Sequence[Work]) -> Vehicles:
    named = {vehicle for work in works if (vehicle := vehicle_of(work.act.subject)) is not None}
    unnamed = {work.act.person_id for work in works if work.act.subject is None and "energy_kwh" in work.act.facts}
    return Vehicles(named, unnamed)


def _judged(works: Sequence[Work], catalog: Catalog, vehicles: Vehicles, answers: list[Taken | None]) -> list[Work]:
    kept = []
    for work in works:
        refusal = refusal_of(work, catalog, vehicles)
        if refusal is None:
            kept.append(work)
        else:
            answers[work.position] = Taken("refused", refusal=refusal)
    return kept


def _lock(works: Sequence[Work], at: datetime) -> funding.Wallets:
    """The wallets of everybody concerned, so that two acts of one person are judged one after the other."""
    return funding.lock_wallets([(work.act.person_id, work.program.id) for work in works], at=at)


_STORE = """
    insert into records (program_id, person_id, scenario_id, source_id, reference, facts, facts_hash, subject,
                         occurred_at, ended_at, received_at, tier, state, reason_code, reason_zh, reason_en,
                         org_unit_id, supersedes_id, import_id)
    select x.program_id, x.person_id, x.scenario_id, x.source_id, x.reference, x.facts,
           decode(x.facts_hash, 'hex'), x.subject, x.occurred_at, x.ended_at, %(at)s, x.tier, x.state, x.reason_code,
           x.reason_zh, x.reason_en, x.org_unit_id, x.supersedes_id, x.import_id
    from jsonb_to_recordset(%(rows)s::jsonb) as x (n int, program_id bigint, person_id bigint, scenario_id bigint,
         source_id bigint, reference text, facts jsonb, facts_hash text, subject text, occurred_at timestamptz,
         ended_at timestamptz, tier text, state text, reason_code text, reason_zh text, reason_en text,
         org_unit_id bigint, supersedes_id bigint, import_id bigint)
    order by x.n
    on conflict (program_id, source_id, reference) do nothing
    returning id, program_id, source_id, reference
"""


def _store(works: Sequence[Work], at: datetime) -> None:
    rows = json.dumps([_row(number, work) for number, work in enumerate(works)], ensure_ascii=False)
    found = run(_STORE, {"rows": rows, "at": at})
    ids = {(row.program_id, row.source_id, row.reference): row.id for row in found}
    for work in works:
        work.record_id = ids.get((work.program.id, work.act.source_id, work.act.reference))


def _row(number: int, work: Work) -> dict[str, Any]:
    act, why = work.act, work.reason
    return {
        "n": number,
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


def _without_raced(works: Sequence[Work], answers: list[Taken | None]) -> list[Work]:
    """Somebody else stored the same reference while we looked: that one is the first, ours is a repeat."""
    for work in works:
        if work.record_id is None:
            answers[work.position] = Taken("again")
    return [work for work in works if work.record_id is not None]


def _overtake(works: Sequence[Work], at: datetime) -> bool:
    """Better evidence arrived: what it overtakes is reversed and names the record that counts now. Whether any did."""
    pairs = [(record_id, work.record_id or 0) for work in works for record_id in dict.fromkeys(work.overtaken)]
    for record_id, better_id in pairs:
        reversal.collapse_onto(record_id=record_id, better_id=better_id, at=at)
    return bool(pairs)


def publish(works: Sequence[Work]) -> None:
    """Put it into the outbox which records count now, so that boards hear of it."""
    counted: dict[int, list[int]] = {}
    for work in works:
        if work.state == "counted" and work.record_id is not None:
            counted.setdefault(work.program.id, []).append(work.record_id)
            for mirror in work.mirrors:
                if mirror.record_id is not None:
                    counted.setdefault(mirror.program_id, []).append(mirror.record_id)
    facts = [(events.RECORD_COUNTED, program_id, {"record_ids": ids}) for program_id, ids in sorted(counted.items())]
    outbox.publish_many(facts)


def _answer_repeats(answers: list[Taken | None], acts: Sequence[Act]) -> None:
    """Answer repeats within the batch, and raced ones, from what stands now."""
    again = [number for number, answer in enumerate(answers) if answer is not None and answer.outcome == "again"]
    if not again:
        return
    known = _known([acts[number].key for number in again])
    for number in again:
        stored = known.get(acts[number].key)
        if stored is None:
            first = next(a for n, a in enumerate(answers) if a is not None and acts[n].key == acts[number].key)
            answers[number] = Taken("refused", refusal=first.refusal)
        else:
            answers[number] = _repeat(stored, acts[number], acts[number].hash(), stored_at(stored))


def stored_at(stored: Any) -> datetime:
    """When a stored record arrived; only asked for a conflict that was raced."""
    query = text("select received_at from records where id = :id")
    found: datetime = connection().execute(query, {"id": stored.id}).scalar_one()
    return found
