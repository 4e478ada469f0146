"""Import a file: batch by batch, each its own transaction, so that a killed run goes on where it was."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert

from app import clock, programs, records
from app.db import connection, retrying, transaction
from app.errors import Kind, declare
from app.imports.models import Import
from app.records import Act, Taken
from app.sources.models import Source
from ingestion.files.mapping import Mapped, Problem, understand
from ingestion.files.persons import Finder
from ingestion.files.preset import Preset
from ingestion.files.reading import Row, file_hash, rows_of

BATCH = 500

NO_SOURCE = declare(
    "no_source",
    Kind.NOT_FOUND,
    zh="该项目没有这个数据源。请先登记数据源。",
    en="The program has no such source. Register it first.",
)


@dataclass(slots=True)
class Line:
    """What became of one row."""

    row_no: int
    outcome: str
    code: str | None = None
    zh: str | None = None
    en: str | None = None
    reference: str | None = None
    record_id: int | None = None
    mg: int = 0
    credits: int = 0


@dataclass(slots=True)
class Report:
    """What became of a file. ``outcomes`` sum to ``rows``: every row is accounted for."""

    import_id: int | None
    rows: int = 0
    mg: int = 0
    credits: int = 0
    pending_credits: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    already_done: bool = False

    def add(self, lines: list[Line], pending: int) -> None:
        self.rows += len(lines)
        self.pending_credits += pending
        for line in lines:
            self.outcomes[line.outcome] += 1
            self.mg += line.mg
            self.credits += line.credits
            if line.code:
                self.reasons[f"{line.outcome}/{line.code}"] += 1

    def as_json(self) -> dict[str, Any]:
        return {
            "import_id": None if self.import_id is None else str(self.import_id),
            "rows": self.rows,
            "outcomes": dict(sorted(self.outcomes.items())),
            "reasons": dict(sorted(self.reasons.items())),
            "mg": str(self.mg),
            "credits": str(self.credits),
            "pending_credits": str(self.pending_credits),
            "already_done": self.already_done,
        }

    @classmethod
    def from_json(cls, import_id: int, kept: dict[str, Any]) -> Report:
        return cls(
            import_id,
            int(kept.get("rows", 0)),
            int(kept.get("mg", 0)),
            int(kept.get("credits", 0)),
            int(kept.get("pending_credits", 0)),
            Counter(kept.get("outcomes", {})),
            Counter(kept.get("reasons", {})),
        )


class _DryRun(Exception):
    """Rolls a dry run back."""


def import_file(
    path: Path,
    *,
    preset: Preset,
    program_code: str,
    by: str,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda rows: None,
) -> Report:
    """Import a file into a program; opens its own transactions. Answers the report.

    The same file again is answered with the first report; an interrupted one goes on after its last whole batch. A dry
    run does everything in one transaction and takes it back. Raises FILE_UNREADABLE, COLUMNS_WRONG, PRESET_INVALID,
    NOT_FOUND, NO_SOURCE.
    """
    if dry_run:
        return _dry(path, preset, program_code, by, progress)
    with transaction():
        run = _begin(path, preset, program_code, by)
    report = Report.from_json(run.id, run.counts)
    report.already_done = run.state == "done"
    if report.already_done:
        return report
    with rows_of(path, preset.columns) as rows:
        for batch in _batches(rows, after=run.next_row):

            def one(batch: list[Row] = batch) -> Report:
                with transaction():
                    return _batch(batch, preset, run.id, program_code)

            done = retrying(one)
            report = _sum(report, done)
            progress(report.rows)
    with transaction():
        finished = {"state": "done", "finished_at": clock.now(), "counts": report.as_json()}
        connection().execute(update(Import).where(Import.id == run.id).values(**finished))
    return report


def _dry(path: Path, preset: Preset, program_code: str, by: str, progress: Callable[[int], None]) -> Report:
    report = Report(None)
    try:
        with transaction(), rows_of(path, preset.columns) as rows:
            run = _begin(path, preset, program_code, by)
            for batch in _batches(rows, after=run.next_row if run.state != "done" else 0):
                report = _sum(report, _batch(batch, preset, run.id, program_code))
                progress(report.rows)
            raise _DryRun
    except _DryRun:
        report.import_id = None
        return report


def _batches(rows: Iterator[Row], *, after: int) -> Iterator[list[Row]]:
    fresh = (row for row in rows if row.number > after)
    while batch := list(islice(fresh, BATCH)):
        yield batch


def _begin(path: Path, preset: Preset, program_code: str, by: str) -> Any:
    """The run of this file under this preset; a changed preset starts over (rows that stand are repeats)."""
    program = programs.by_code(program_code)
    digest = file_hash(path)
    row = insert(Import).values(
        program_id=program.id,
        preset=preset.name,
        preset_hash=preset.content_hash,
        file_name=path.name[:200],
        file_hash=digest,
        state="running",
        next_row=0,
        counts={},
        started_at=clock.now(),
        started_by=by,
    )
    connection().execute(row.on_conflict_do_nothing())
    key = (Import.program_id == program.id, Import.preset == preset.name, Import.file_hash == digest)
    run = connection().execute(select(Import).where(*key).with_for_update()).one()
    if bytes(run.preset_hash) == preset.content_hash:
        return run
    again = {"preset_hash": preset.content_hash, "state": "running", "next_row": 0, "counts": {}}
    connection().execute(update(Import).where(*key).values(**again))
    return connection().execute(select(Import).where(*key)).one()


def _batch(rows: list[Row], preset: Preset, import_id: int, program_code: str) -> Report:
    """One batch in the running transaction: understood, taken, written down, and where to go on."""
    at = clock.now()
    program = programs.by_code(program_code)
    source_id = _source(program.id, preset.source)
    lines: dict[int, Line] = {}
    understood: list[Mapped] = []
    for row in rows:
        found = understand(row, preset)
        if isinstance(found, Problem):
            lines[row.number] = Line(row.number, "rejected", found.code, found.zh, found.en)
        else:
            understood.append(found)
    pending = _take(understood, lines, Finder(program=program, source_id=source_id, preset=preset, at=at), import_id)
    ordered = [lines[row.number] for row in rows]
    _write_rows(import_id, ordered)
    report = Report(import_id)
    report.add(ordered, pending)
    _note(import_id, rows[-1].number, report)
    return report


def _take(understood: list[Mapped], lines: dict[int, Line], finder: Finder, import_id: int) -> int:
    acts: list[tuple[Mapped, Act]] = []
    people = finder.find(understood)
    for row, person, subject in zip(understood, people, finder.subjects(people), strict=True):
        if isinstance(person, Problem):
            lines[row.number] = Line(row.number, "rejected", person.code, person.zh, person.en, row.reference)
            continue
        act = Act(
            program_id=finder.program.id,
            scenario=row.scenario,
            person_id=person,
            source_id=finder.source_id,
            reference=row.reference,
            facts=row.facts,
            occurred_at=row.occurred_at,
            ended_at=row.ended_at,
            subject=subject,
            import_id=import_id,
        )
        acts.append((row, act))
    pending = 0
    for (row, _), taken in zip(acts, records.take_many([act for _, act in acts], at=finder.at), strict=True):
        lines[row.number] = _line(row, taken)
        if taken.award_state == "pending" and taken.outcome == "accepted":
            pending += taken.credits
    return pending


def _line(row: Mapped, taken: Taken) -> Line:
    line = Line(row.number, "accepted", reference=row.reference, record_id=taken.record_id)
    if taken.refusal is not None:
        refusal = taken.refusal
        line.outcome = "conflict" if refusal.code == "content_conflict" else "rejected"
        line.code, line.zh, line.en = refusal.code, refusal.message("zh"), refusal.message("en")
        return line
    if taken.reason is not None:
        line.code, line.zh, line.en = taken.reason.code, taken.reason.zh, taken.reason.en
    if taken.outcome == "duplicate":
        line.outcome = "repeated"
    elif taken.state != "counted":
        line.outcome = "same_act" if taken.state == "duplicate" else str(taken.state)
    else:
        line.mg = taken.mg
        line.credits = taken.credits if taken.award_state == "paid" else 0
    return line


def _source(program_id: int, code: str) -> int:
    query = select(Source.id).where(Source.program_id == program_id, Source.code == code)
    found = connection().execute(query).scalar_one_or_none()
    if found is None:
        raise NO_SOURCE(source=code)
    return found


_ROWS = text(
    """
    insert into import_rows (import_id, row_no, outcome, code, words_zh, words_en, reference, record_id)
    select :run, x.row_no, x.outcome, x.code, x.zh, x.en, x.reference, x.record_id
    from jsonb_to_recordset(cast(:rows as jsonb)) as x (row_no bigint, outcome text, code text, zh text, en text,
         reference text, record_id bigint)
    on conflict (import_id, row_no) do update set outcome = excluded.outcome, code = excluded.code,
      words_zh = excluded.words_zh, words_en = excluded.words_en, record_id = excluded.record_id
    """
)


def _write_rows(import_id: int, lines: list[Line]) -> None:
    """Keep what became of each row that was not simply accepted."""
    rows = [
        {
            "row_no": line.row_no,
            "outcome": line.outcome,
            "code": line.code,
            "zh": line.zh,
            "en": line.en,
            "reference": line.reference,
            "record_id": line.record_id,
        }
        for line in lines
        if line.outcome != "accepted"
    ]
    if rows:
        connection().execute(_ROWS, {"run": import_id, "rows": json.dumps(rows, ensure_ascii=False)})


def _note(import_id: int, last_row: int, report: Report) -> None:
    """Where to go on after a kill, and the counts so far."""
    query = select(Import.counts).where(Import.id == import_id)
    before = Report.from_json(import_id, connection().execute(query).scalar_one())
    sofar = _sum(before, report)
    done = update(Import).where(Import.id == import_id).values(next_row=last_row, counts=sofar.as_json())
    connection().execute(done)


def _sum(a: Report, b: Report) -> Report:
    return Report(
        a.import_id if a.import_id is not None else b.import_id,
        a.rows + b.rows,
        a.mg + b.mg,
        a.credits + b.credits,
        a.pending_credits + b.pending_credits,
        a.outcomes + b.outcomes,
        a.reasons + b.reasons,
    )
