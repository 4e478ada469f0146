"""Notices: each once, the inbox gets all, messages only where wanted and not at night."""

from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import funding, messages, notices, records
from app.clock import now
from app.db import connection, transaction
from app.messages.templates import TEMPLATES, template_for
from app.notices import Choice
from devkit import ROOT
from tests import given, world
from tests.edges.conftest import Phone, code_of
from tests.races.crowd import at_once

AT = given.AT


def tell(person_id: int, *, key: str, kind: str = "record.held", at: datetime = AT) -> None:
    notices.tell(key=key, person_id=person_id, kind=kind, zh="您好", en="Hello", at=at)


def one(sql: str, **values: Any) -> Any:
    return connection().execute(text(sql), values).scalar_one()


@pytest.mark.parametrize(
    ("hour", "minute", "sent"),
    [
        (21, 59, "21:59 same"),
        (22, 0, "08:00 next"),
        (23, 59, "08:00 next"),
        (0, 0, "08:00 same"),
        (7, 59, "08:00 same"),
        (8, 0, "08:00 same"),
    ],
)
def test_nobody_is_woken_at_night(hour: int, minute: int, sent: str) -> None:
    """Hours of Shanghai, half-open, whatever zone the server stands in."""
    local = datetime(2026, 11, 20, hour, minute, tzinfo=UTC) - timedelta(hours=8)
    found = Choice().after_quiet(local)
    shown = found + timedelta(hours=8)
    day = {20: "same", 21: "next"}[shown.day]
    assert f"{shown:%H:%M} {day}" == sent


def test_quiet_hours_as_chosen() -> None:
    noon = datetime(2026, 11, 20, 4, 30, tzinfo=UTC)  # 12:30 in Shanghai
    assert Choice(quiet_from=12, quiet_until=14).after_quiet(noon) == datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
    assert Choice(quiet_from=0, quiet_until=0).after_quiet(noon) == noon
    assert Choice(quiet_from=13, quiet_until=12).after_quiet(noon) == noon


def test_the_same_is_told_once_also_when_eight_tell_it_at_once(crowd: Any) -> None:
    with transaction():
        person_id = given.person()
    at_once(crowd, *[partial(tell, person_id, key="record:1:held")] * 8)
    assert one("select count(*) from notices") == 1
    assert one("select count(*) from procrastinate_jobs where task_name = 'messages.send'") == 1


def test_a_muted_topic_stays_in_the_inbox(db_session: Session) -> None:
    with transaction():
        person_id = given.person()
        notices.choose(person_id=person_id, muted=["acts"], quiet_from=22, quiet_until=8, at=AT)
        tell(person_id, key="a")
        tell(person_id, key="b", kind="award.manual")
        tell(person_id, key="c", kind="recovery.asked")
        queued = {
            row.kind: messages.queue(notice_id=row.id, at=AT)
            for row in notices.of_person(person_id, before=None, limit=10)
        }
    assert queued["record.held"] is None
    assert queued["award.manual"] and queued["recovery.asked"], "and what concerns the account can't be muted"
    assert len(notices.of_person(person_id, before=None, limit=10)) == 3


def test_a_message_waits_for_the_persons_own_morning(db_session: Session) -> None:
    with transaction():
        person_id = given.person()
        notices.choose(person_id=person_id, muted=[], quiet_from=11, quiet_until=15, at=AT)
        tell(person_id, key="a")  # at 12:00 in Shanghai
        (notice,) = notices.of_person(person_id, before=None, limit=1)
        delivery = messages.queue(notice_id=notice.id, at=AT)
        assert messages.queue(notice_id=notice.id, at=AT) is None, "a job that runs twice queues nothing new"
    assert one("select send_at from message_deliveries where id = :d", d=delivery) == AT + timedelta(hours=3)


def told_kinds() -> set[str]:
    """The kinds that the code tells, as far as they are written out: ``record.held``, or ``record.`` for f-strings."""
    found = set()
    for folder in ("app", "commands", "courier", "jobs", "till"):
        for path in (ROOT / folder).rglob("*.py"):
            for call in ast.walk(ast.parse(path.read_text())):
                if isinstance(call, ast.Call) and getattr(call.func, "attr", getattr(call.func, "id", "")) == "tell":
                    parts = [word.value for word in call.keywords if word.arg == "kind"]
                    parts = [part.values[0] if isinstance(part, ast.JoinedStr) else part for part in parts]
                    found |= {str(part.value) for part in parts if isinstance(part, ast.Constant)}
    return found


def test_every_kind_has_a_topic_and_every_message_its_template() -> None:
    """A new kind of notice needs its first word in app/notices/kinds.py."""
    known = {first for firsts in notices.TOPICS.values() for first in firsts}
    found = told_kinds()
    assert len(found) > 25 and {"team.captain", "post.", "code.redeemed", "record."} <= found
    assert {kind.partition(".")[0] for kind in found} - known == set()
    assert {kind for kind in notices.ALSO_BY_MESSAGE if template_for(kind) is None} == set()
    assert {kind for one_ in TEMPLATES for kind in one_.kinds} - notices.ALSO_BY_MESSAGE == set()


def test_prizes_that_are_told_to_many_become_messages_for_who_allows_them(db_session: Session) -> None:
    with transaction():
        ann, ben, cleo = (given.person() for _ in range(3))
        for person in (ann, ben, cleo):
            tell(person, key=f"challenge:1:prize:{person}:1", kind="challenge.prize")
        connection().execute(text("delete from procrastinate_jobs"))  # told with one statement: no job for each
        for person in (ann, cleo):
            messages.allow(person_id=person, appid="a", template_id="t", at=AT)
        notices.choose(person_id=cleo, muted=["together"], quiet_from=22, quiet_until=8, at=AT)
        assert messages.queue_bulk(at=AT + timedelta(minutes=5)) == 1
        assert messages.queue_bulk(at=AT + timedelta(minutes=5)) == 0
    assert one("select person_id from message_deliveries") == ann


def test_a_record_that_somebody_released_is_told_once(db_session: Session) -> None:
    with transaction():
        city = world.build(people=1)
        held = world.take(city, city.people[0], facts={"distance_km": "100"}).record_id or 0
        records.release(record_id=held, by="operator:ops", at=AT)
    told = notices.of_person(city.people[0], before=None, limit=9)
    assert [(row.kind, row.details["record_id"]) for row in told] == [("record.counted", str(held))]


def test_expired_credits_are_told(db_session: Session) -> None:
    with transaction():
        city = world.build(people=1)
        world.rich(city, city.people[0], 5)
    ends = one("select max(expires_at) from lots")
    with transaction():
        funding.expire_lots(at=ends + timedelta(seconds=1))
        funding.expire_lots(at=ends + timedelta(seconds=2))
    assert one("select count(*) from notices where kind = 'credits.expired'") == 1


def test_the_inbox_through_the_api(alice: Phone, bob: Phone, db_session: Session) -> None:
    me = int(alice.get("/me").json["id"])  # type: ignore[index]
    with transaction():
        for number, kind in enumerate(["record.held", "award.manual", "team.closed", "record.reversed"]):
            tell(me, key=f"k{number}", kind=kind, at=now())
    assert alice.get("/notices/summary").json == {"unread": 4, "topics": {"acts": 2, "credits": 1, "together": 1}}
    acts = alice.get("/notices?topic=acts&unread=true").json["items"]
    assert [one_["kind"] for one_ in acts] == ["record.reversed", "record.held"]
    alice.post("/notices/read", {"up_to": acts[1]["id"]})
    assert alice.get("/notices/summary").json["unread"] == 3
    assert bob.get("/notices/summary").json == {"unread": 0, "topics": {}}
    choice = {"muted": ["community", "acts"], "quiet_from": 23, "quiet_until": 7}
    assert alice.put("/notices/settings", choice).json["muted"] == ["acts", "community"]
    assert alice.get("/notices/settings").json["quiet_from"] == 23
    assert bob.get("/notices/settings").json["muted"] == []
    account = alice.put("/notices/settings", {**choice, "muted": ["account"]})
    assert (account.status_code, code_of(account)) == (422, "invalid_field")
    assert alice.put("/notices/settings", {**choice, "quiet_from": 24}).status_code == 422
