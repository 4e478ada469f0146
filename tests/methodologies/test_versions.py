"""Versions in the database: drafted, asked, approved by another, published for ever; one in force on any day."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from threading import Barrier, Thread
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app import approvals, methodologies
from app.db import db, transaction
from app.errors import STATE_CONFLICT, Refusal
from app.methodologies import library, queries
from app.methodologies.models import MethodologyVersion
from tests.methodologies.test_packs import GOOD

AT = datetime(2026, 1, 10, 4, tzinfo=UTC)
AUTHOR, OTHER, ASKER = "operator:1", "operator:2", "operator:3"


def refused(code: str, call: Callable[[], Any]) -> dict[str, Any]:
    with pytest.raises(Refusal) as caught:
        call()
    assert caught.value.code == code
    return caught.value.details


def version_text(number: str, first: str, end: str | None = None, value: str = "0.15", mg: str = "1350000") -> str:
    lines = f'version = "{number}"\nfrom = {first}' + (f"\nto = {end}" if end else "")
    changed = GOOD.replace('version = "1"\nfrom = 2026-01-01', lines).replace('value = "0.15"', f'value = "{value}"')
    return changed.replace('mg = "1350000"', f'mg = "{mg}"')


def published(pack_text: str, at: datetime = AT) -> MethodologyVersion:
    (version,) = methodologies.draft(pack_text=pack_text, author=AUTHOR, at=at)
    methodologies.submit(version_id=version.id, maker=AUTHOR, reason="for the pilot", at=at)
    return methodologies.approve_and_publish(version_id=version.id, approver=OTHER, at=at)


def test_a_draft_becomes_a_published_version_by_a_second_person(db_session: Session) -> None:
    with transaction():
        (draft,) = methodologies.draft(pack_text=GOOD, author=AUTHOR, at=AT)
    assert (draft.state, draft.approved_by) == ("draft", None)
    assert methodologies.version_in_force("test-ride", date(2026, 2, 1)) is None
    with transaction():
        methodologies.submit(version_id=draft.id, maker=AUTHOR, reason="for the pilot", at=AT)
    refused("maker_is_checker", lambda: methodologies.approve_and_publish(version_id=draft.id, approver=AUTHOR, at=AT))
    with transaction():
        methodologies.approve_and_publish(version_id=draft.id, approver=OTHER, at=AT)
    found = methodologies.version_in_force("test-ride", date(2026, 2, 1))
    assert found is not None
    assert (found.id, found.version, found.ends) == (draft.id, "1", None)
    assert methodologies.calculate(found, {"distance_km": "10"}, "CN-SC").counted_mg == 1_350_000
    assert methodologies.version_in_force("test-ride", date(2025, 12, 31)) is None
    assert methodologies.version_by_id(draft.id) == found
    page = methodologies.public_page("test-ride")
    assert page["published"] == {"drafted_by": AUTHOR, "approved_by": OTHER, "at": page["published"]["at"]}
    assert page["unverified"] == ["consumption"]
    assert page["content_hash"] == draft.content_hash
    log = db_session.execute(text("select action from audit where object_type = 'methodology_version' order by id"))
    assert log.scalars().all() == ["methodology.draft", "methodology.publish"]


def test_the_author_cannot_approve_what_another_submitted(db_session: Session) -> None:
    (draft,) = methodologies.draft(pack_text=GOOD, author=AUTHOR, at=AT)
    methodologies.submit(version_id=draft.id, maker=ASKER, reason="r", at=AT)
    refused("maker_is_checker", lambda: methodologies.approve_and_publish(version_id=draft.id, approver=AUTHOR, at=AT))
    refused("maker_is_checker", lambda: methodologies.approve_and_publish(version_id=draft.id, approver=ASKER, at=AT))
    methodologies.approve_and_publish(version_id=draft.id, approver=OTHER, at=AT)


def test_an_approval_goes_stale_and_is_for_this_content_only(db_session: Session) -> None:
    (draft,) = methodologies.draft(pack_text=GOOD, author=AUTHOR, at=AT)
    refused("state_conflict", lambda: methodologies.approve_and_publish(version_id=draft.id, approver=OTHER, at=AT))
    methodologies.submit(version_id=draft.id, maker=AUTHOR, reason="r", at=AT)
    late = AT + timedelta(hours=73)
    refused("approval_expired", lambda: methodologies.approve_and_publish(version_id=draft.id, approver=OTHER, at=late))
    db_session.execute(text("update methodology_versions set content = jsonb_set(content, '{formula}', '\"be\"')"))
    db_session.expire_all()
    refused("approval_changed", lambda: methodologies.approve_and_publish(version_id=draft.id, approver=OTHER, at=AT))


def test_a_stored_draft_is_checked_once_more_before_it_is_published(db_session: Session) -> None:
    (draft,) = methodologies.draft(pack_text=GOOD, author=AUTHOR, at=AT)
    draft.content = {**draft.content, "formula": draft.content["formula"].replace("be - pe", "be + pe")}
    db_session.flush()
    methodologies.submit(version_id=draft.id, maker=AUTHOR, reason="r", at=AT)
    call = partial(methodologies.approve_and_publish, version_id=draft.id, approver=OTHER, at=AT)
    assert refused("pack_invalid", call)["problems"] == ["example does not reproduce: expected 1350000, got 1650000"]


def test_changes_requested_gives_the_draft_back(db_session: Session) -> None:
    (draft,) = methodologies.draft(pack_text=GOOD, author=AUTHOR, at=AT)
    methodologies.submit(version_id=draft.id, maker=AUTHOR, reason="r", at=AT)
    taken = version_text("1", "2026-01-01", value="0.16", mg="1450000")
    refused("methodology_version_taken", lambda: methodologies.draft(pack_text=taken, author=AUTHOR, at=AT))
    methodologies.send_back(version_id=draft.id, checker=OTHER, words="the source is too weak", at=AT)
    assert draft.state == "draft"
    (again,) = methodologies.draft(pack_text=taken, author=AUTHOR, at=AT)
    assert again.id == draft.id
    methodologies.submit(version_id=draft.id, maker=AUTHOR, reason="r", at=AT)
    methodologies.approve_and_publish(version_id=draft.id, approver=OTHER, at=AT)
    refused("state_conflict", lambda: methodologies.submit(version_id=draft.id, maker=AUTHOR, reason="r", at=AT))


def test_a_broken_pack_is_refused_with_its_lines(db_session: Session) -> None:
    broken = GOOD.replace("be - pe", "be - pee")
    details = refused("pack_invalid", lambda: methodologies.draft(pack_text=broken, author=AUTHOR, at=AT))
    assert [(f["line"], f["code"]) for f in details["findings"] if f["severity"] == "error"] == [(9, "unknown_name")]


def test_a_successor_ends_its_predecessor_from_today_on(db_session: Session) -> None:
    first = published(GOOD)
    backdated = version_text("2", "2026-01-05", value="0.2", mg="1850000")
    refused("methodology_backdated", lambda: published(backdated))
    db_session.expire_all()
    second = published(version_text("3", "2026-01-10", value="0.2", mg="1850000"))
    db_session.expire_all()
    assert first.in_force.upper == date(2026, 1, 10)
    held = [queries.version_in_force("test-ride", date(2026, 1, day)) for day in (9, 10)]
    assert [v.version for v in held if v] == ["1", "3"]
    book = methodologies.book()
    assert [
        v and v.version for v in (book.in_force("test-ride", date(2026, 1, 9)), book.in_force("walking", AT.date()))
    ] == ["1", None]
    assert second.in_force.upper is None
    inside = version_text("4", "2026-02-01", "2026-03-01", value="0.2", mg="1850000")
    published(inside)  # ends the open one, and leaves nothing in force after March
    assert methodologies.version_in_force("test-ride", date(2026, 3, 1)) is None
    overlap = version_text("5", "2026-02-15", value="0.2", mg="1850000")
    refused("methodology_versions_overlap", lambda: published(overlap))


def forbidden(session: Session, statement: str) -> str:
    with pytest.raises(DBAPIError) as caught, session.begin_nested():
        session.execute(text(statement))
    return str(caught.value.orig)


def test_the_database_keeps_a_published_version_as_it_is(db_session: Session) -> None:
    version = published(GOOD)
    for change in (
        'content = content || \'{"formula": "be"}\'',
        "content_hash = 'x'",
        "state = 'draft'",
        "approved_by = 'operator:9'",
        "in_force = '[2025-01-01,)'",
        "in_force = 'empty'",
    ):
        assert "never changes" in forbidden(
            db_session, f"update methodology_versions set {change} where id = {version.id}"
        )
    assert "never changes" in forbidden(db_session, f"delete from methodology_versions where id = {version.id}")
    db_session.execute(
        text(f"update methodology_versions set in_force = '[2026-01-01,2026-05-01)' where id = {version.id}")
    )
    again = f"update methodology_versions set in_force = '[2026-01-01,2026-04-01)' where id = {version.id}"
    assert "never changes" in forbidden(db_session, again)


def test_the_database_refuses_two_in_force_and_one_person(db_session: Session) -> None:
    version = published(GOOD)
    copy = (
        "insert into methodology_versions (methodology_id, version, in_force, content, content_hash, state, "
        "drafted_by, drafted_at, approved_by, published_at) select methodology_id, '{number}', '{span}', content, "
        "content_hash, "
        "'published', drafted_by, drafted_at, {approver}, published_at from methodology_versions where id = {id}"
    )
    overlap = copy.format(number="9", span="[2026-06-01,)", approver="approved_by", id=version.id)
    assert "ex_methodology_versions_one_in_force" in forbidden(db_session, overlap)
    alone = copy.format(number="9", span="[2020-01-01,2020-02-01)", approver="drafted_by", id=version.id)
    assert "four_eyes" in forbidden(db_session, alone)
    nobody = copy.format(number="9", span="[2020-01-01,2020-02-01)", approver="null", id=version.id)
    assert "published_by_two" in forbidden(db_session, nobody)


def test_a_content_changed_behind_our_back_is_not_calculated_with(db_session: Session) -> None:
    version = published(GOOD)
    reference = methodologies.version_by_id(version.id)
    queries._methods.pop(reference.content_hash, None)
    db_session.execute(text("alter table methodology_versions disable trigger methodology_versions_published"))
    db_session.execute(
        text("update methodology_versions set content = jsonb_set(content, '{parameters,0,value}', '\"9\"')")
    )
    with pytest.raises(RuntimeError, match="does not have its hash"):
        methodologies.calculate(reference, {"distance_km": "10"}, "CN-SC")


def test_the_library_is_published_once(db_session: Session) -> None:
    with transaction():
        first = methodologies.publish_library(at=AT)
    assert first.unchanged == []
    assert len(first.published) == sum(len(report.contents) for _, report in library.reports())
    with transaction():
        second = methodologies.publish_library(at=AT + timedelta(days=1))
    assert second.published == []
    assert sorted(second.unchanged) == sorted(first.published)
    version = methodologies.version_in_force("ev-charging", date(2014, 11, 18))
    assert version is not None
    assert version.version == "demo-2014"
    page = methodologies.public_page("ev-charging", "demo-2014")
    assert page["demonstration"] is True
    assert page["versions"] == ["2023", "2022", "2021", "demo-2014"]
    assert methodologies.calculate(version, {"energy_kwh": "7.78"}, "CN-SC").counted_mg == 6_096_330
    rows = methodologies.listing()
    assert {row["state"] for row in rows} == {"published"}
    assert len({row["key"] for row in rows}) == 27


def test_a_changed_built_in_pack_is_refused_but_its_end_may_be_told(
    db_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    methodologies.publish_library(at=AT)
    quiz = next(report for _, report in library.reports() if report.key == "quiz")
    changed = methodologies.Report("quiz", (), tuple({**c, "sources": ["another"]} for c in quiz.contents))
    monkeypatch.setattr(library, "reports", lambda: iter([(library.pack_files()[0], changed)]))
    refused("methodology_version_taken", lambda: methodologies.publish_library(at=AT))
    last = quiz.contents[-1]
    ended = {**last, "in_force": {"from": last["in_force"]["from"], "to": "2027-01-01"}}
    successor = {**last, "version": "2", "in_force": {"from": "2027-01-01", "to": None}}
    grown = methodologies.Report("quiz", (), (*quiz.contents[:-1], ended, successor))
    monkeypatch.setattr(library, "reports", lambda: iter([(library.pack_files()[0], grown)]))
    outcome = methodologies.publish_library(at=AT)
    assert outcome.published == ["quiz 2"]
    version = methodologies.version_in_force("quiz", date(2026, 12, 31))
    assert version is not None
    assert (version.version, version.ends) == ("1", date(2027, 1, 1))


def test_retired_ones_are_shown_as_such(db_session: Session) -> None:
    published(GOOD)
    methodologies.retire(key="test-ride", by=AUTHOR, reason="replaced", at=AT)
    db_session.flush()
    assert methodologies.public_page("test-ride")["retired"] is True
    refused("not_found", lambda: methodologies.retire(key="none", by=AUTHOR, reason="r", at=AT))
    refused("not_found", lambda: methodologies.public_page("none"))
    refused("not_found", lambda: methodologies.version_by_id(10**9))


@pytest.mark.race
def test_two_servers_that_start_at_once_publish_the_library_once(clean_db: Any) -> None:
    barrier, outcomes, errors = Barrier(3), [], []

    def start() -> None:
        with clean_db.app_context():
            barrier.wait()
            try:
                with transaction():
                    outcomes.append(len(methodologies.publish_library(at=AT).published))
            except Exception as error:
                errors.append(error)
            finally:
                db.session.remove()

    threads = [Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    total = sum(len(report.contents) for _, report in library.reports())
    assert sorted(outcomes) == [0, 0, total]


@pytest.mark.race
def test_two_approvals_at_once_publish_once(clean_db: Any) -> None:
    with clean_db.app_context(), transaction():
        (draft,) = methodologies.draft(pack_text=GOOD, author=AUTHOR, at=AT)
        methodologies.submit(version_id=draft.id, maker=AUTHOR, reason="r", at=AT)
        version_id = draft.id
    barrier, outcomes = Barrier(4), []

    def approve(number: int) -> None:
        with clean_db.app_context():
            barrier.wait()
            try:
                with transaction():
                    methodologies.approve_and_publish(version_id=version_id, approver=f"operator:{number}", at=AT)
                outcomes.append("published")
            except Refusal as refusal:
                outcomes.append(refusal.code)
            finally:
                db.session.remove()

    threads = [Thread(target=approve, args=(number,)) for number in range(10, 14)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["published", *[STATE_CONFLICT.code] * 3]
    with clean_db.app_context():
        page = methodologies.public_page("test-ride")
        assert page["published"]["approved_by"].startswith("operator:1")
        assert approvals.Approval is not None
        db.session.remove()


def test_the_book_is_kept_until_something_changes(db_session: Session) -> None:
    empty = methodologies.book()
    assert list(empty) == []
    assert methodologies.book() is empty
    with transaction():
        first = published(GOOD)
    known = methodologies.book()
    assert [version.id for version in known] == [first.id]
    assert methodologies.book() is known
    methodologies.draft(pack_text=version_text("7", "2026-03-01", value="0.2", mg="1850000"), author=AUTHOR, at=AT)
    assert methodologies.book() is known  # drafts are in no book
    with pytest.raises(ZeroDivisionError), transaction():
        published(version_text("8", "2026-02-01", value="0.2", mg="1850000"))
        assert [version.version for version in methodologies.book()] == ["8", "1"]
        raise ZeroDivisionError
    assert [version.ends for version in methodologies.book()] == [None]  # what was undone is in no book either
