"""Proofs: what must be true of the stored data at every commit, as SQL that must answer no rows.

Each file here holds statements, each under a comment line ``-- ID: sentence`` (or ``-- ID light: sentence``). They are
read in one read-only transaction, so all look at the same instant. A violation is corrected by a compensating entry,
never by an edit.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from app.db import db
from jobs.proofs.recompute import differing

HERE = Path(__file__).parent
FILES = (
    *("ledger", "funding", "mall", "welfare", "settlement", "payments", "records", "daily", "contest", "social"),
    "ground",
)
BOOKS = ("LED", "BUD", "AWD", "WAL", "IDM", "PAY", "SET")
SHOWN = 5
_HEAD = re.compile(r"^-- ([A-Z]{3}-\d+)( light)?: (.+)$")


@dataclass(frozen=True, slots=True)
class Proof:
    """One invariant. ``light``: cheap enough for every five minutes. ``find`` answers the rows that break it."""

    id: str
    sentence: str
    light: bool
    sql: str = ""
    search: Callable[[Any], Sequence[Any]] | None = None

    def find(self, link: Any) -> Sequence[Any]:
        """The violating rows, seen through a connection."""
        if self.search is not None:
            return self.search(link)
        rows: Sequence[Any] = link.execute(text(self.sql.replace(":", r"\:"))).all()
        return rows


@dataclass(frozen=True, slots=True)
class Finding:
    """What a proof answered: how many rows break it, and the first of them."""

    proof: Proof
    rows: int
    first: list[dict[str, Any]]
    seconds: float

    @property
    def held(self) -> bool:
        return self.rows == 0


def proofs(*, light: bool = False, ids: Iterable[str] = ()) -> list[Proof]:
    """All proofs in their order, or the light ones, or those whose id begins with one of ``ids``."""
    wanted = tuple(ids)
    found = [proof for name in FILES for proof in _parse((HERE / f"{name}.sql").read_text())]
    sentence = "A number recomputes from its inputs, parameters and version (a sample of the newest and of all)."
    found.append(Proof("MET-4", sentence, False, search=differing))
    return [proof for proof in found if (proof.light or not light) and (not wanted or proof.id.startswith(wanted))]


def prove(chosen: Sequence[Proof]) -> Iterator[Finding]:
    """Run proofs on one snapshot, in a transaction that can write nothing; yields each finding as it is known."""
    with db.engine.connect() as link:
        link.execute(text("set transaction isolation level repeatable read, read only"))
        for proof in chosen:
            began = time.perf_counter()
            rows = proof.find(link)
            first = [dict(row._mapping) for row in rows[:SHOWN]]
            yield Finding(proof, len(rows), first, time.perf_counter() - began)
        link.rollback()


def _parse(source: str) -> list[Proof]:
    """The proofs of one file. A sentence may go on in the comment lines below its head."""
    found: list[Proof] = []
    head: re.Match[str] | None = None
    words: list[str] = []
    body: list[str] = []
    for line in [*source.splitlines(), "-- END-0: end"]:
        begins = _HEAD.match(line)
        if begins:
            if head is not None:
                statement = "\n".join(body).strip().rstrip(";")
                found.append(Proof(head[1], " ".join(words), head[2] is not None, statement))
            head, words, body = begins, [begins[3]], []
        elif head is not None and line.startswith("-- ") and not any(body):
            words.append(line.removeprefix("-- "))
        else:
            body.append(line)
    return found


__all__ = ["BOOKS", "Finding", "Proof", "proofs", "prove"]
