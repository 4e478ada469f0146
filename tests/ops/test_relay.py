"""The relay: every event is applied once by every listener that wants it, whatever dies, however often it is told."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import events, outbox
from app.db import connection, transaction
from jobs.listeners import Event, Listener
from jobs.relay import relay_once


class Heard:
    """A listener that writes what it hears into PostgreSQL, in the relay's transaction."""

    def __init__(self, *names: str, name: str = "test.heard") -> None:
        self.listener = Listener(name, frozenset(names), self.apply)
        self.fail_on: set[int] = set()

    def apply(self, batch: Sequence[Event]) -> None:
        for event in batch:
            connection().execute(text("insert into heard (event_id) values (:id)"), {"id": event.id})
            if event.payload["n"] in self.fail_on:
                raise ValueError("cannot take this one")

    def times(self) -> dict[int, int]:
        rows = connection().execute(text("select event_id, count(*) from heard group by 1")).all()
        return {int(event_id): int(count) for event_id, count in rows}


@pytest.fixture
def heard_table(db_session: Session) -> None:
    db_session.execute(text("create table heard (event_id bigint not null)"))
    db_session.commit()


def publish(*numbers: int) -> list[int]:
    with transaction():
        outbox.publish_many([(events.AWARD_PAID, None, {"n": n}) for n in numbers])
        ids = connection().execute(text("select id from outbox order by id desc limit :n"), {"n": len(numbers)})
        return sorted(ids.scalars())


def state(event_id: int) -> tuple[bool, int]:
    row = connection().execute(
        text("select published_at is not null, attempts from outbox where id = :id"), {"id": event_id}
    )
    published, attempts = row.one()
    return published, attempts


@pytest.mark.usefixtures("heard_table")
def test_an_event_told_twice_is_applied_once() -> None:
    heard = Heard(events.AWARD_PAID)
    ids = publish(1, 2)
    assert relay_once([heard.listener]) == 2
    assert relay_once([heard.listener]) == 0
    with transaction():  # as if the relay had died after the listeners and before it was noted
        connection().execute(text("update outbox set published_at = null"))
    assert relay_once([heard.listener]) == 2
    assert heard.times() == dict.fromkeys(ids, 1)


@pytest.mark.usefixtures("heard_table")
def test_a_crash_in_a_listener_leaves_nothing_and_the_next_try_applies_once() -> None:
    heard, boom = Heard(events.AWARD_PAID), KeyboardInterrupt()

    def dies(batch: Sequence[Event]) -> None:
        raise boom

    (event_id,) = publish(1)
    with pytest.raises(KeyboardInterrupt):
        relay_once([heard.listener, Listener("test.dies", frozenset({events.AWARD_PAID}), dies)])
    assert heard.times() == {}
    assert state(event_id) == (False, 0)
    relay_once([heard.listener])
    assert heard.times() == {event_id: 1}


@pytest.mark.usefixtures("heard_table")
def test_one_bad_event_holds_up_nobody_and_is_tried_again_later() -> None:
    heard = Heard(events.AWARD_PAID)
    first, bad, last = publish(1, 2, 3)
    heard.fail_on = {2}
    relay_once([heard.listener])
    assert heard.times() == {first: 1, last: 1}
    assert state(bad) == (False, 1)
    assert relay_once([heard.listener]) == 0  # not yet: it waits before the next try
    with transaction():
        connection().execute(text("update outbox set created_at = created_at - interval '1 hour'"))
    heard.fail_on = set()
    relay_once([heard.listener])
    assert heard.times()[bad] == 1
    assert state(bad)[0]


@pytest.mark.usefixtures("heard_table")
def test_every_listener_has_an_inbox_of_its_own() -> None:
    one, two = Heard(events.AWARD_PAID, name="test.one"), Heard(events.AWARD_PAID, name="test.two")
    deaf = Heard(events.CODE_REDEEMED, name="test.deaf")
    (event_id,) = publish(1)
    relay_once([one.listener, two.listener, deaf.listener])
    assert one.times() == {event_id: 2}


def test_unknown_events_are_refused_at_once(db_session: Session) -> None:
    with transaction(), pytest.raises(ValueError, match="unknown event"):
        outbox.publish("no.such.event", {})


@pytest.mark.race
def test_two_relays_share_the_work_and_a_late_commit_is_not_lost(clean_db: Any) -> None:
    """A cursor "id > last" would skip the row whose transaction began first and ended last."""
    heard = Heard(events.AWARD_PAID)
    begun, may_commit = threading.Event(), threading.Event()

    def late() -> None:
        with clean_db.app_context(), transaction():
            outbox.publish(events.AWARD_PAID, {"n": 0})
            begun.set()
            may_commit.wait(10)

    def relay(counts: list[int]) -> None:
        with clean_db.app_context():
            while seen := relay_once([heard.listener], limit=7):
                counts.append(seen)

    with clean_db.app_context():
        with transaction():
            connection().execute(text("create table heard (event_id bigint not null)"))
        writer = threading.Thread(target=late)
        writer.start()
        assert begun.wait(10)
        ids = publish(*range(1, 101))
        counts: tuple[list[int], list[int]] = ([], [])
        relays = [threading.Thread(target=relay, args=(mine,)) for mine in counts]
        for thread in relays:
            thread.start()
        for thread in relays:
            thread.join(30)
        assert heard.times() == dict.fromkeys(ids, 1)
        assert sum(map(sum, counts)) == 100  # each event was claimed by one of them
        may_commit.set()
        writer.join(10)
        relay_once([heard.listener])
        assert sorted(heard.times()) == [min(ids) - 1, *ids]
