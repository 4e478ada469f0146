"""Writes: draft a version, ask for a second person, publish, retire; publish the built-in library."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import Range, insert
from sqlalchemy.exc import IntegrityError

from app import approvals, audit
from app.clock import business_day
from app.db import connection, session
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.methodologies import library
from app.methodologies.check import Report, check_pack, check_stored
from app.methodologies.models import DRAFT, PENDING, PUBLISHED, Methodology, MethodologyVersion
from app.methodologies.pack import Content, content_hash

PUBLISH = "methodology.publish"
LIBRARY_AUTHOR, LIBRARY_APPROVER = "library:authors", "library:review"
"""Built-in packs are written by one person and merged by another, before the code is released."""

PACK_INVALID = declare(
    "pack_invalid",
    Kind.INVALID,
    zh="方法学文件有问题，请按 details 中的行号逐条修改。",
    en="The methodology file has problems. Mend them line by line as `details` names them.",
)
VERSION_TAKEN = declare(
    "methodology_version_taken",
    Kind.CONFLICT,
    zh="该版本号已有不同内容且不可更改，请使用新的版本号。",
    en="This version exists with other content and never changes. Give the new content a new version.",
)
VERSIONS_OVERLAP = declare(
    "methodology_versions_overlap",
    Kind.CONFLICT,
    zh="生效期与已发布的版本重叠，请调整起止日期。",
    en="The time in force overlaps that of a published version. Change its first or last day.",
)
BACKDATED = declare(
    "methodology_backdated",
    Kind.CONFLICT,
    zh="新版本不能从过去的日期起取代现行版本：已计算的记录不会被悄悄改变。请把生效日改为今天或以后。",
    en="A new version cannot replace the present one from a day in the past: settled records never change silently. "
    "Let it start today or later.",
)


def draft(*, pack_text: str, author: str, at: datetime) -> list[MethodologyVersion]:
    """Keep every version of a pack text as a draft; a draft of the same version is replaced.

    Raises PACK_INVALID with all findings, VERSION_TAKEN when a version is pending or published with other content.
    """
    report = check_pack(pack_text)
    if not report.ok:
        raise PACK_INVALID(findings=findings(report))
    methodology = _methodology(report.key, at)
    return [_draft_one(methodology, content, author, at) for content in report.contents]


def findings(report: Report) -> list[dict[str, Any]]:
    """The findings of a report as plain data."""
    return [
        {"line": f.line, "column": f.column, "code": f.code, "zh": f.zh, "en": f.en, "severity": f.severity}
        for f in report.findings
    ]


def _draft_one(methodology: Methodology, content: Content, author: str, at: datetime) -> MethodologyVersion:
    version = _find(methodology.id, content["version"])
    if version is not None and version.state != DRAFT:
        if version.content_hash == content_hash(content):
            return version
        raise VERSION_TAKEN(key=methodology.key, version=content["version"], state=version.state)
    if version is None:
        version = MethodologyVersion(methodology_id=methodology.id, version=content["version"], state=DRAFT)
        session().add(version)
    version.in_force, version.content, version.content_hash = _span(content), content, content_hash(content)
    version.drafted_by, version.drafted_at = author, at
    session().flush()
    _audit(version, author, "methodology.draft", at)
    return version


def submit(*, version_id: int, maker: str, reason: str, at: datetime) -> MethodologyVersion:
    """Ask for a second person: draft → pending. Raises NOT_FOUND, STATE_CONFLICT."""
    version = _locked(version_id, DRAFT)
    version.content_hash = content_hash(version.content)
    request = approvals.ask(action=PUBLISH, payload=_payload(version), reason=reason, maker=maker, at=at)
    version.state, version.approval_id = PENDING, request.id
    session().flush()
    return version


def send_back(*, version_id: int, checker: str, words: str, at: datetime) -> MethodologyVersion:
    """Changes requested: pending → draft, with words for the author. Raises as `approvals.reject`."""
    version = _locked(version_id, PENDING)
    approvals.reject(approval_id=_approval(version), checker=checker, text=words, at=at)
    version.state, version.approval_id = DRAFT, None
    session().flush()
    return version


def approve_and_publish(*, version_id: int, approver: str, at: datetime) -> MethodologyVersion:
    """Publish a pending version as another person than its author and its asker; the open predecessor ends.

    Raises MAKER_IS_CHECKER, STATE_CONFLICT, NOT_FOUND, APPROVAL_EXPIRED, APPROVAL_CHANGED, PACK_INVALID,
    BACKDATED, VERSIONS_OVERLAP.
    """
    version = _locked(version_id, PENDING)
    if approver == version.drafted_by:
        raise approvals.MAKER_IS_CHECKER()
    approvals.approve(approval_id=_approval(version), checker=approver, at=at)
    approvals.execute(approval_id=_approval(version), action=PUBLISH, payload=_payload(version), at=at)
    wrong = check_stored(version.content)
    if wrong:
        raise PACK_INVALID(findings=[], problems=wrong)
    predecessor = _open_predecessor(version.methodology_id, version.in_force)
    if predecessor is not None and _first_day(version.in_force) < business_day(at):
        raise BACKDATED(first_day=_first_day(version.in_force).isoformat(), replaces=predecessor.version)
    _close(predecessor, _first_day(version.in_force))
    version.state, version.approved_by, version.published_at = PUBLISHED, approver, at
    _flush_published(version)
    _audit(version, approver, "methodology.publish", at)
    return version


def retire(*, key: str, by: str, reason: str, at: datetime) -> Methodology:
    """No new scenario may use it. What was counted stays, and scenarios that have it keep it.

    Raises NOT_FOUND.
    """
    methodology = session().scalar(select(Methodology).where(Methodology.key == key).with_for_update())
    if methodology is None:
        raise NOT_FOUND(methodology=key)
    methodology.retired_at = methodology.retired_at or at
    audit.write(
        actor=by, action="methodology.retire", object_type="methodology", object_id=methodology.id, at=at, reason=reason
    )
    return methodology


@dataclass
class LibraryOutcome:
    """What publishing the library did, as `key version` texts."""

    published: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)


def publish_library(*, at: datetime) -> LibraryOutcome:
    """Publish what the built-in packs hold and the database does not. A second run changes nothing.

    Raises PACK_INVALID for a broken pack, VERSION_TAKEN when a shipped pack changed a version that is published.
    """
    connection().execute(text("select pg_advisory_xact_lock(hashtext('methodologies.library'))"))
    outcome = LibraryOutcome()
    for path, report in library.reports():
        if not report.ok:
            raise PACK_INVALID(file=path.name, findings=findings(report))
        methodology = _methodology(report.key, at)
        for content in sorted(report.contents, key=lambda c: str(c["in_force"]["from"])):
            published = _publish_built_in(methodology, content, at)
            (outcome.published if published else outcome.unchanged).append(f"{report.key} {content['version']}")
    return outcome


def _publish_built_in(methodology: Methodology, content: Content, at: datetime) -> bool:
    found = _find(methodology.id, content["version"])
    span = _span(content)
    if found is not None:
        if found.state != PUBLISHED or not _same_apart_from_end(found.content, content):
            raise VERSION_TAKEN(key=methodology.key, version=content["version"], state=found.state)
        if span.upper is not None and found.in_force.upper is None:
            found.in_force = span
            session().flush()
        return False
    _close(_open_predecessor(methodology.id, span), _first_day(span))
    version = MethodologyVersion(
        methodology_id=methodology.id,
        version=content["version"],
        in_force=span,
        content=content,
        content_hash=content_hash(content),
        state=PUBLISHED,
        drafted_by=LIBRARY_AUTHOR,
        drafted_at=at,
        approved_by=LIBRARY_APPROVER,
        published_at=at,
    )
    session().add(version)
    _flush_published(version)
    _audit(version, LIBRARY_AUTHOR, "methodology.publish", at)
    return True


def _same_apart_from_end(stored: Content, shipped: Content) -> bool:
    """A later release may say when a version ended; nothing else of it may differ."""
    if stored["in_force"]["to"] not in (None, shipped["in_force"]["to"]):
        return False
    return stored == {**shipped, "in_force": stored["in_force"]} and (
        stored["in_force"]["from"] == shipped["in_force"]["from"]
    )


def _methodology(key: str, at: datetime) -> Methodology:
    """The methodology of this key, made if there is none; locked, so that its versions are changed one at a time."""
    statement = insert(Methodology).values(key=key, created_at=at).on_conflict_do_nothing(index_elements=["key"])
    session().execute(statement)
    return session().scalars(select(Methodology).where(Methodology.key == key).with_for_update()).one()


def _find(methodology_id: int, version: str) -> MethodologyVersion | None:
    wanted = MethodologyVersion.methodology_id == methodology_id, MethodologyVersion.version == version
    return session().scalar(select(MethodologyVersion).where(*wanted).with_for_update())


def _locked(version_id: int, state: str) -> MethodologyVersion:
    """A version, its methodology locked first and itself second: the order everywhere in this module."""
    version = session().get(MethodologyVersion, version_id)
    if version is None:
        raise NOT_FOUND(version=str(version_id))
    session().execute(select(Methodology.id).where(Methodology.id == version.methodology_id).with_for_update())
    session().refresh(version, with_for_update=True)
    if version.state != state:
        raise STATE_CONFLICT(state=version.state)
    return version


def _approval(version: MethodologyVersion) -> int:
    assert version.approval_id is not None  # pending versions have one
    return version.approval_id


def _payload(version: MethodologyVersion) -> dict[str, Any]:
    return {"version_id": str(version.id), "content_hash": content_hash(version.content)}


def _open_predecessor(methodology_id: int, span: Range[date]) -> MethodologyVersion | None:
    """The published version without an end that began earlier."""
    wanted = (
        MethodologyVersion.methodology_id == methodology_id,
        MethodologyVersion.state == PUBLISHED,
        text("upper_inf(in_force) and lower(in_force) < :first").bindparams(first=_first_day(span)),
    )
    return session().scalar(select(MethodologyVersion).where(*wanted).with_for_update())


def _close(predecessor: MethodologyVersion | None, end: date) -> None:
    if predecessor is not None:
        predecessor.in_force = Range(predecessor.in_force.lower, end)
        session().flush()


def _flush_published(version: MethodologyVersion) -> None:
    try:
        session().flush()
    except IntegrityError as error:
        if "ex_methodology_versions_one_in_force" in str(error.orig):
            raise VERSIONS_OVERLAP(version=version.content["version"], **version.content["in_force"]) from error
        raise


def _span(content: Content) -> Range[date]:
    first, end = content["in_force"]["from"], content["in_force"]["to"]
    return Range(date.fromisoformat(first), date.fromisoformat(end) if end else None)


def _first_day(span: Range[date]) -> date:
    assert span.lower is not None  # a CHECK of the table
    return span.lower


def _audit(version: MethodologyVersion, actor: str, action: str, at: datetime) -> None:
    audit.write(
        actor=actor,
        action=action,
        object_type="methodology_version",
        object_id=version.id,
        at=at,
        after={"content_hash": version.content_hash},
    )
