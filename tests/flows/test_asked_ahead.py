"""The fastest reads ask for the login and for their own number in one trip; a login that doesn't hold gets nothing.

Seen red with each of these planted: the reply of the login thrown away; the question left unsent when the view asks
Redis nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from sqlalchemy import text

from app import cache, limits
from app.db import connection, transaction
from app.people import logins
from tests.flows.conftest import NOW, Citizen, deliver, ride
from tests.world import World


@pytest.fixture
def rank(ann: Citizen, town: World) -> Iterator[str]:
    """The address of Ann's rank, in a process that has seen her token."""
    ann.post("/records", ride(town))
    deliver()
    path = f"/programs/{town.code}/boards/person/grams/week/me"
    ann.get(path)
    assert logins._owners
    yield path
    logins._owners.clear()


def end_all_sessions(*, evicted: bool) -> None:
    with transaction():
        connection().execute(text("update sessions set revoked_at = :at"), {"at": NOW})
    if evicted:
        logins.evict(list(logins._owners))


def test_both_questions_go_in_one_trip(ann: Citizen, rank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trips = []
    send = redis.connection.AbstractConnection.send_packed_command

    def counted(self: Any, command: Any, *args: Any, **kwargs: Any) -> Any:
        trips.append(command)
        return send(self, command, *args, **kwargs)

    monkeypatch.setattr(redis.connection.AbstractConnection, "send_packed_command", counted)
    assert ann.get(rank)["me"]["rank"] == 1
    assert len(trips) == 1


def test_an_ended_login_sees_nothing(ann: Citizen, rank: str) -> None:
    end_all_sessions(evicted=True)
    assert ann.refused(rank, method="GET") == (401, "login_required")
    assert ann.refused(rank.removesuffix("/me"), method="GET") == (401, "login_required")


def test_an_ended_login_is_not_told_that_there_is_no_such_board(ann: Citizen, rank: str) -> None:
    nowhere = rank.replace("person", "planet")
    assert ann.refused(nowhere, method="GET") == (404, "board_unknown")
    end_all_sessions(evicted=True)
    assert ann.refused(nowhere, method="GET") == (401, "login_required")


def test_a_flushed_redis_is_asked_again_and_then_the_truth(ann: Citizen, rank: str) -> None:
    cache.client().script_flush()
    assert ann.get(rank)["me"]["rank"] == 1
    cache.client().flushdb()
    assert ann.get(rank)["me"]["rank"] == 1, "from the scores, by the login's row"
    end_all_sessions(evicted=False)
    cache.client().flushdb()
    assert ann.refused(rank, method="GET") == (401, "login_required")


def test_the_limit_holds(ann: Citizen, rank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(limits.CITIZEN.most):
        status = ann.phone.call("GET", rank).status_code
        if status == 429:
            break
    assert ann.refused(rank, method="GET") == (429, "too_many")


def test_without_redis_the_truth_is_asked(ann: Citizen, rank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(redis.connection.AbstractConnection, "send_packed_command", gone)
    assert ann.get(rank)["me"]["rank"] == 1
    end_all_sessions(evicted=False)
    assert ann.refused(rank, method="GET") == (401, "login_required")
