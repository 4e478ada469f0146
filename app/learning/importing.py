"""Questions of a bank from a manager's file: judged row by row: good ones are kept, of broken ones we say why."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from app import audit
from app.db import session
from app.learning.models import Question

LETTERS = "ABCDEF"
COLUMNS = (
    "ref", "question", "question_en", *LETTERS, *(f"{letter}_en" for letter in LETTERS), "right", "explanation",
    "explanation_en", "source",
)  # fmt: skip
NEEDED = ("ref", "question", "A", "B", "right", "explanation")
LONGEST = {"question": 500, "question_en": 1000, "explanation": 1000, "explanation_en": 2000, "source": 300, "ref": 64}
OPTION_LONGEST = 200
_REF = re.compile(r"[A-Za-z0-9._:\-]{1,64}", re.ASCII)
_UNWANTED = re.compile("[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


@dataclass(frozen=True, slots=True)
class RowReport:
    """What became of a row: new, changed (a new version), unchanged, failed (with the problems)."""

    number: int
    ref: str
    outcome: str
    problems: tuple[str, ...] = ()


def import_questions(
    *, program_id: int, bank: str, rows: Iterable[tuple[int, Mapping[str, str]]], by: str, at: datetime
) -> list[RowReport]:
    """Bring a bank to a file's rows (number and cells by column). The same file again changes nothing.

    A question of the bank that the file does not name stays; ``retire`` takes one out.
    """
    known = _active(program_id, bank)
    versions = _versions(program_id, bank)
    seen: set[str] = set()
    reports = []
    for number, cells in rows:
        clean = {name: cells.get(name, "").strip() for name in COLUMNS}
        problems = _problems(clean)
        if not problems and clean["ref"] in seen:
            problems = ["ref: twice in this file"]
        if problems:
            reports.append(RowReport(number, clean["ref"][:64], "failed", tuple(problems)))
            continue
        seen.add(clean["ref"])
        reports.append(RowReport(number, clean["ref"], _keep(program_id, bank, clean, known, versions, by, at)))
    changed = sum(report.outcome in ("new", "changed") for report in reports)
    if changed:
        audit.write(
            actor=by, action="questions.import", object_type="program", object_id=program_id, at=at,
            program_id=program_id, after={"bank": bank, "changed": changed},
        )  # fmt: skip
    return reports


def retire(*, program_id: int, bank: str, ref: str, by: str, at: datetime) -> bool:
    """Draw a question no longer; attempts that hold it keep it. Answers whether it was active."""
    found = _active(program_id, bank).get(ref)
    if found is None:
        return False
    found.state = "retired"
    session().flush()
    audit.write(
        actor=by, action="question.retire", object_type="question", object_id=found.id, at=at, program_id=program_id
    )  # fmt: skip
    return True


def _keep(
    program_id: int, bank: str, clean: Mapping[str, str], known: dict[str, Question], versions: dict[str, int], by: str,
    at: datetime,
) -> str:  # fmt: skip
    options = [{"zh": clean[letter], "en": clean[f"{letter}_en"]} for letter in LETTERS if clean[letter]]
    right = sorted(LETTERS.index(letter) for letter in set(_right(clean)))
    content: dict[str, Any] = {
        "stem": clean["question"], "stem_en": clean["question_en"], "options": options, "right": right,
        "explanation": clean["explanation"], "explanation_en": clean["explanation_en"], "source": clean["source"],
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).digest()
    ref, before = clean["ref"], known.get(clean["ref"])
    if before is not None and before.content_hash == digest:
        return "unchanged"
    if before is not None:
        before.state = "retired"
        session().flush()
    versions[ref] = versions.get(ref, 0) + 1
    made = Question(
        program_id=program_id, bank=bank, ref=ref, version=versions[ref], content_hash=digest, state="active",
        made_by=by, made_at=at, **content,
    )  # fmt: skip
    session().add(made)
    session().flush()
    known[ref] = made
    return "changed" if before is not None else "new"


def _problems(clean: Mapping[str, str]) -> list[str]:
    found = [f"{name}: missing" for name in NEEDED if not clean[name]]
    if clean["ref"] and not _REF.fullmatch(clean["ref"]):
        found.append("ref: 1 to 64 letters, digits or ._:-")
    limits = {**LONGEST, **{name: OPTION_LONGEST for letter in LETTERS for name in (letter, f"{letter}_en")}}
    found += [f"{name}: at most {most} characters" for name, most in limits.items() if len(clean[name]) > most]
    found += [f"{name}: a formula; put its value there" for name, cell in clean.items() if cell.startswith(("=", "＝"))]
    found += [f"{name}: control characters" for name, cell in clean.items() if _UNWANTED.search(cell)]
    there = [letter for letter in LETTERS if clean[letter]]
    if there != list(LETTERS[: len(there)]):
        found.append("options: no gap between A and the last one")
    texts = [clean[letter] for letter in there]
    if len(set(texts)) < len(texts):
        found.append("options: two are the same")
    right = _right(clean)
    if clean["right"] and (not right or not set(right) <= set(there) or len(set(right)) < len(right)):
        found.append("right: letters of the options, for example A or AC")
    if right and len(set(right)) == len(there):
        found.append("right: not all of them")
    return found


def _right(clean: Mapping[str, str]) -> str:
    return re.sub(r"[\s,，、;；/]", "", clean["right"].upper())


def _active(program_id: int, bank: str) -> dict[str, Question]:
    query = select(Question).where(
        Question.program_id == program_id, Question.bank == bank, Question.state == "active"
    )  # fmt: skip
    return {found.ref: found for found in session().scalars(query.with_for_update())}


def _versions(program_id: int, bank: str) -> dict[str, int]:
    query = select(Question.ref, func.max(Question.version).label("version")).where(
        Question.program_id == program_id, Question.bank == bank
    )  # fmt: skip
    return {row.ref: row.version for row in session().execute(query.group_by(Question.ref))}
