"""Reads: which version is in force, its compiled method, lists, and the data of its public page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Row, Select, func, select, text

from app.db import connection
from app.errors import NOT_FOUND
from app.methodologies.method import FactProblem, Input, Method, Result
from app.methodologies.models import PUBLISHED, Methodology, MethodologyVersion
from app.methodologies.pack import content_hash

MAX_METHODS = 2_000
_methods: dict[str, Method] = {}
"""Compiled methods of this process by content hash: the same hash is the same content, in every database."""


@dataclass(frozen=True, slots=True)
class Version:
    """A published version without its content. `ends` is the first day on which it is not in force any more."""

    id: int
    key: str
    version: str
    starts: date
    ends: date | None
    content_hash: str

    def holds(self, day: date) -> bool:
        """Whether it is in force on a Shanghai day."""
        return self.starts <= day and (self.ends is None or day < self.ends)


class Book:
    """All published versions, for whoever asks for many days. It never changes, so that threads may share it."""

    def __init__(self, versions: Iterable[Version]) -> None:
        self._by_key: dict[str, list[Version]] = {}
        for version in versions:
            self._by_key.setdefault(version.key, []).append(version)

    def __iter__(self) -> Iterator[Version]:
        return (version for versions in self._by_key.values() for version in versions)

    def in_force(self, key: str, day: date) -> Version | None:
        """The version in force on a Shanghai day; None when there is none, and the record is held."""
        return next((version for version in self._by_key.get(key, ()) if version.holds(day)), None)


def _published() -> Select[Any]:
    in_force = MethodologyVersion.in_force
    return (
        select(
            MethodologyVersion.id,
            Methodology.key,
            MethodologyVersion.version,
            func.lower(in_force).label("starts"),
            func.upper(in_force).label("ends"),
            MethodologyVersion.content_hash,
        )
        .join(Methodology, Methodology.id == MethodologyVersion.methodology_id)
        .where(MethodologyVersion.state == PUBLISHED)
        .order_by(Methodology.key, func.lower(in_force).desc())
    )


def _version(row: Row[Any]) -> Version:
    return Version(row.id, row.key, row.version, row.starts, row.ends, row.content_hash)


_MARK = text(
    """
    select count(*), coalesce(sum(hashtextextended(id || content_hash || in_force::text, 0)), 0)
    from methodology_versions where state = 'published'
    """
)
"""What the published versions add up to: equal marks, equal versions. A sixth of the time of reading them."""
_book: tuple[tuple[int, int], Book] | None = None


def book() -> Book:
    """All published versions as this transaction sees them. One short statement, unless something was published."""
    global _book
    mark = _mark()
    known = _book
    while known is None or known[0] != mark:
        fresh = Book(_version(row) for row in connection().execute(_published()))
        known = mark, fresh
        mark = _mark()  # somebody may have published between the two statements
    _book = known
    return known[1]


def _mark() -> tuple[int, int]:
    count, total = connection().execute(_MARK).one()
    return int(count), int(total)


def version_in_force(key: str, on_date: date) -> Version | None:
    """The published version in force on a Shanghai day, or None."""
    return book().in_force(key, on_date)


def version_by_id(version_id: int) -> Version:
    """A published version. Raises NOT_FOUND."""
    row = connection().execute(_published().where(MethodologyVersion.id == version_id)).first()
    if row is None:
        raise NOT_FOUND(version=str(version_id))
    return _version(row)


def book_of_all() -> Book:
    """All published versions of all methodologies, in one statement."""
    return Book(_version(row) for row in connection().execute(_published()))


def method(version: Version) -> Method:
    """The compiled method of a version, made once per process.

    Raises RuntimeError when the stored content does not have its hash: then somebody changed a published version
    behind the database's back, and nothing may be calculated with it.
    """
    found = _methods.get(version.content_hash)
    if found is not None:
        return found
    wanted = MethodologyVersion.id == version.id
    content = connection().execute(select(MethodologyVersion.content).where(wanted)).scalar_one()
    if content_hash(content) != version.content_hash:
        raise RuntimeError(f"methodology {version.key} {version.version}: content does not have its hash")
    if len(_methods) >= MAX_METHODS:
        _methods.clear()
    return _methods.setdefault(version.content_hash, Method.from_content(content))


def calculate(version: Version, inputs: Mapping[str, Input], region: str) -> Result:
    """The reduction or credits of one act under a version: see `Method.calculate` for units and errors."""
    return method(version).calculate(inputs, region)


def check_facts(
    version: Version, facts: Mapping[str, Any], *, evidence: frozenset[str] = frozenset()
) -> list[FactProblem]:
    """Everything wrong with the facts of a record: kind "invalid" is refused, kind "range" is held for review."""
    return method(version).check_facts(facts, evidence=evidence)


def listing() -> list[dict[str, Any]]:
    """Every methodology with its versions of any state, newest first, as plain data."""
    rows = connection().execute(
        select(
            Methodology.key,
            Methodology.retired_at,
            MethodologyVersion.id,
            MethodologyVersion.version,
            MethodologyVersion.state,
            MethodologyVersion.content_hash,
            MethodologyVersion.content["name"].label("name"),
            MethodologyVersion.content["result"].as_string().label("result"),
            func.lower(MethodologyVersion.in_force).label("starts"),
            func.upper(MethodologyVersion.in_force).label("ends"),
        )
        .join(MethodologyVersion, MethodologyVersion.methodology_id == Methodology.id)
        .order_by(Methodology.key, func.lower(MethodologyVersion.in_force).desc(), MethodologyVersion.id)
    )
    return [
        {
            "id": str(row.id),
            "key": row.key,
            "version": row.version,
            "state": row.state,
            "name": row.name,
            "result": row.result,
            "in_force": {"from": row.starts.isoformat(), "to": row.ends.isoformat() if row.ends else None},
            "content_hash": row.content_hash,
            "retired": row.retired_at is not None,
        }
        for row in rows
    ]


def public_page(key: str, version: str | None = None) -> dict[str, Any]:
    """What the public page of a published version shows; without `version`, the newest. Raises NOT_FOUND.

    Formula, parameters with their sources, examples, who published it and when, and which values are still
    unverified.
    """
    statement = (
        select(MethodologyVersion, Methodology.retired_at)
        .join(Methodology, Methodology.id == MethodologyVersion.methodology_id)
        .where(Methodology.key == key, MethodologyVersion.state == PUBLISHED)
        .order_by(func.lower(MethodologyVersion.in_force).desc())
    )
    if version is not None:
        statement = statement.where(MethodologyVersion.version == version)
    row = connection().execute(statement.with_only_columns(*_PAGE, Methodology.retired_at)).first()
    if row is None:
        raise NOT_FOUND(methodology=key, version=version)
    content = row.content
    return {
        "id": str(row.id),
        "key": key,
        **{name: content[name] for name in _SHOWN},
        "in_force": {"from": row.starts.isoformat(), "to": row.ends.isoformat() if row.ends else None},
        "unverified": unverified(content["parameters"]),
        "content_hash": row.content_hash,
        "published": {
            "drafted_by": row.drafted_by,
            "approved_by": row.approved_by,
            "at": row.published_at.isoformat(),
        },
        "retired": row.retired_at is not None,
        "versions": _versions_of(key),
    }


_PAGE = (
    MethodologyVersion.id,
    MethodologyVersion.content,
    MethodologyVersion.content_hash,
    MethodologyVersion.drafted_by,
    MethodologyVersion.approved_by,
    MethodologyVersion.published_at,
    func.lower(MethodologyVersion.in_force).label("starts"),
    func.upper(MethodologyVersion.in_force).label("ends"),
)
_SHOWN = (
    "version", "name", "summary", "result", "sources", "regions", "demonstration", "variables", "parameters",
    "formula", "examples",
)  # fmt: skip


def unverified(parameters: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of parameters, and of their regions, that still need to be confirmed against the official text."""
    names: list[str] = []
    for entry in parameters:
        if entry["evidence"] == "U":
            names.append(entry["name"])
        names += [f"{entry['name']} {r}" for r, mark in entry.get("evidence_by_region", {}).items() if mark == "U"]
    return names


def _versions_of(key: str) -> list[str]:
    return [row.version for row in connection().execute(_published().where(Methodology.key == key))]


def unverified_parameters() -> list[dict[str, Any]]:
    """Every value from memory in a published version that still serves: to be confirmed against the official text."""
    columns = MethodologyVersion.content["parameters"].label("parameters")
    rows = connection().execute(_published().where(func.upper_inf(MethodologyVersion.in_force)).add_columns(columns))
    return [
        {"key": row.key, "version": row.version, "parameter": name}
        for row in rows
        for name in unverified(row.parameters)
    ]
