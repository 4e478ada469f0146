"""``take()``: the one road by which every act that earns becomes a record, a reduction and an award.

Batch by nature: one act is a batch of one, a file is batches of hundreds, and both take the same number of statements.
Locks in one order: wallets by id, standing claims, a slice of the budget, ledger accounts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from app import funding
from app.db import connection, run
from app.errors import Kind, declare
from app.records import claims, counting, mirrors, reversal, risk
from app.records.acts import Act, Taken, Work
from app.records.catalog import Catalog, Vehicles, vehicle_of
from app.records.checks import refusal_of
from app.records.reasons import Reason
from app.records.writing import write

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
    looked = look(acts)
    works = _new_works(acts, looked.known, answers, at)
    if works:
        catalog = Catalog([work.act for work in works], at, looked.belongings)
        vehicles = _vehicles(works)
        works = _judged(works, catalog, vehicles, answers)
        risk.assess_together(works, at)
        mirrors.choose_payers(works, catalog)
        risk.await_review(works)
        wallets = _with_new(looked.wallets, works, at)
        counting.calculate(works)
        claims.settle(works)
        for work, record_id in zip(works, looked.ids, strict=False):
            work.record_id = record_id
        _write(works, wallets, at)
        for work in works:
            answers[work.position] = counting.taken(work)
    _answer_repeats(answers, acts)
    return [answer for answer in answers if answer is not None]


def _write(works: Sequence[Work], wallets: funding.Wallets, at: datetime) -> None:
    """Write what was judged, in one call unless others must change after the records stand and before they count."""
    if not any(work.overtaken or work.mirrors for work in works):
        write(at=at, store=works, claim=works, count=works, wallets=wallets)
        return
    write(at=at, store=works)
    if _overtake(works, at):
        wallets = _lock(works, at)  # what was overtaken changed carries and debts
    mirrors.store(works, at)
    write(at=at, claim=works, count=works, wallets=wallets)


def _new_works(acts: Sequence[Act], known: Known, answers: list[Taken | None], at: datetime) -> list[Work]:
    """The acts that are not known yet; repeats are answered, other content under a known reference is refused."""
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


_LOOK = "select * from records_look(%(p)s::bigint[], %(s)s::bigint[], %(f)s::text[], %(people)s::bigint[])"
Known = dict[tuple[int, int, str], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Looked:
    """The first look at a batch: the persons' wallets, locked; the acts that are known by key; the persons' memberships
    and consents; ids for new records."""

    wallets: funding.Wallets
    known: Known
    belongings: list[dict[str, Any]]
    ids: list[int]


def look(acts: Sequence[Act]) -> Looked:
    """Lock everybody concerned and see what is known, in one statement."""
    values = {
        "p": [act.program_id for act in acts],
        "s": [act.source_id for act in acts],
        "f": [act.reference for act in acts],
        "people": list({act.person_id for act in acts}),
    }
    found = run(_LOOK, values)[0]
    known = {(row["program_id"], row["source_id"], row["reference"]): row for row in found.known}
    return Looked(funding.wallets_from(found.wallets), known, found.belongings, found.ids)


def _repeat(stored: dict[str, Any], act: Act, facts_hash: bytes, at: datetime) -> Taken:
    if stored["facts_hash"] != facts_hash.hex():
        _keep_conflict(stored["id"], act, facts_hash, at)
        return Taken("refused", stored["id"], stored["state"], refusal=CONTENT_CONFLICT(first=str(stored["id"])))
    why = Reason(stored["reason_code"], stored["reason_zh"], stored["reason_en"]) if stored["reason_code"] else None
    credits = int(stored["credits"])
    return Taken("duplicate", stored["id"], stored["state"], why, stored["mg"], credits, stored["award_state"])


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
    return funding.lock_wallets([(work.act.person_id, work.program.id) for work in works], at=at)


def _with_new(wallets: funding.Wallets, works: Sequence[Work], at: datetime) -> funding.Wallets:
    """The locked wallets of everybody concerned, made where this is somebody's first act in a program."""
    pairs = {(work.act.person_id, work.program.id) for work in works}
    missing = pairs - wallets.keys()
    return {**wallets, **funding.lock_wallets(missing, at=at)} if missing else wallets


def _overtake(works: Sequence[Work], at: datetime) -> bool:
    """Better evidence arrived: what it overtakes is reversed and names the record that counts now. Whether any did."""
    pairs = [(record_id, work.record_id or 0) for work in works for record_id in dict.fromkeys(work.overtaken)]
    for record_id, better_id in pairs:
        reversal.collapse_onto(record_id=record_id, better_id=better_id, at=at)
    return bool(pairs)


def _answer_repeats(answers: list[Taken | None], acts: Sequence[Act]) -> None:
    """Answer repeats within the batch from what stands now."""
    again = [number for number, answer in enumerate(answers) if answer is not None and answer.outcome == "again"]
    if not again:
        return
    known = look([acts[number] for number in again]).known
    for number in again:
        stored = known.get(acts[number].key)
        if stored is None:
            first = next(a for n, a in enumerate(answers) if a is not None and acts[n].key == acts[number].key)
            answers[number] = Taken("refused", refusal=first.refusal)
        else:
            at = datetime.fromisoformat(stored["received_at"])
            answers[number] = _repeat(stored, acts[number], acts[number].hash(), at)
