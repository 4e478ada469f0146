"""How many trips a hot request makes. Statements are counted at the driver, so nothing escapes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
import redis

from app import memo
from app.db import transaction
from tests import world
from tests.flows.conftest import Citizen, deliver, ride
from tests.world import World

OURS = ("SAVEPOINT", "RELEASE", "ROLLBACK")


class Trips:
    """Statements and Redis commands since the counting began."""

    def __init__(self) -> None:
        self.sql: list[str] = []
        self.redis: list[str] = []


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trips]:
    trips = Trips()
    execute, send = psycopg.Cursor.execute, redis.connection.AbstractConnection.send_packed_command

    def counted_execute(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        if not str(query).startswith(OURS):
            trips.sql.append(str(query))
        return execute(self, query, *args, **kwargs)

    def counted_send(self: Any, command: Any, *args: Any, **kwargs: Any) -> Any:
        trips.redis.append(str(command)[:60])
        return send(self, command, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", counted_execute)
        patch.setattr(redis.connection.AbstractConnection, "send_packed_command", counted_send)
        yield trips


@pytest.fixture
def warm(ann: Citizen, town: World) -> Iterator[Citizen]:
    """Ann with a ride on the boards, in a process that remembers as production does."""
    ann.post("/records", ride(town))
    deliver()
    memo.configure(60.0)
    yield ann
    memo.configure(0.0)


BUDGETS: dict[str, tuple[str, int, int]] = {
    "my rank": ("/programs/{}/boards/person/grams/week/me", 0, 2),
    "a board page with my row": ("/programs/{}/boards/person/grams/week?limit=100", 0, 2),
    "a board of org-units": ("/programs/{}/boards/unit/grams/week", 1, 2),
    "my profile": ("/me", 1, 1),
    "home": ("/home", 6, 1),
    "wallet": ("/wallet", 2, 1),
    "statement": ("/wallet/{}/statement", 2, 1),
    "my acts": ("/records", 1, 1),
    "my orders": ("/orders", 2, 1),
    "my codes": ("/codes", 1, 1),
    "my notices": ("/notices", 1, 1),
    "the shelf": ("/programs/{}/items", 0, 0),
    "the shelf for me": ("/programs/{}/items/for-me", 0, 1),
    "my cart": ("/cart", 1, 1),
    "causes": ("/programs/{}/welfare", 0, 0),
}


@pytest.mark.parametrize("what", BUDGETS)
def test_a_read_stays_within_its_budget(warm: Citizen, town: World, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    path, statements, commands = BUDGETS[what]
    warm.get(path.format(town.code))
    with counting(monkeypatch) as trips:
        warm.get(path.format(town.code))
    assert len(trips.sql) <= statements, trips.sql
    assert len(trips.redis) <= commands, trips.redis


def test_a_declared_act_stays_within_its_budget(warm: Citizen, town: World, monkeypatch: pytest.MonkeyPatch) -> None:
    warm.post("/records", ride(town, "warm-up", day=20))
    with counting(monkeypatch) as trips:
        warm.post("/records", ride(town, "measured", day=21))
    assert len(trips.sql) <= 4, trips.sql
    assert len(trips.redis) <= 2, trips.redis


def test_an_order_stays_within_its_budget(warm: Citizen, town: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The login, one look, one write, and its answer after the commit."""
    with transaction():
        world.rich(town, int(warm.get("/me")["id"]), 500)
    wish = {"item_id": str(town.item_id), "quantity": 1, "price_credits": 100}
    warm.post("/orders", {**wish, "client_ref": "warm-up"})
    with counting(monkeypatch) as trips:
        warm.post("/orders", {**wish, "client_ref": "measured"})
    assert len(trips.sql) <= 5, trips.sql
    assert len(trips.redis) <= 2, trips.redis


def test_the_counter_counts(warm: Citizen, monkeypatch: pytest.MonkeyPatch) -> None:
    with counting(monkeypatch) as trips:
        warm.get("/home")
    assert trips.sql and trips.redis
