"""Redis is gone: everything that is true is still answered, slower; what is acknowledged stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from app import cache
from app.db import transaction
from tests import world
from tests.flows.conftest import NOW, Citizen, deliver, ride
from tests.world import World


@pytest.fixture
def gone(redis: Redis) -> Iterator[Any]:
    """A switch that takes Redis away until the test ends."""
    connected = cache.client()
    yield lambda: cache.connect("redis://127.0.0.1:1/0")
    cache._client = connected


def test_reads_and_writes_go_on(ann: Citizen, ben: Citizen, town: World, gone: Any) -> None:
    ann.post("/records", ride(town, km=30))
    ben.post("/records", ride(town, km=5))
    with transaction():
        world.rich(town, ann.person_id, 500, at=NOW)
    deliver()
    board = f"/programs/{town.code}/boards/person/grams/week"
    before = {path: ann.get(path) for path in (board, f"{board}/me", "/home", "/wallet", "/records", "/me")}
    gone()
    for path, shown in before.items():
        assert ann.get(path) == shown, path
    made = ann.post("/records", ride(town, "during", day=20))
    order = ann.post("/orders", {"item_id": str(town.item_id), "quantity": 1, "client_ref": "o", "price_credits": 100})
    assert ann.get(f"/records/{made['id']}")["record"]["state"] == "counted"
    assert ann.get("/orders")["items"][0]["id"] == order["id"]
    assert ann.get("/wallet")["items"][0]["credits"] == before["/wallet"]["items"][0]["credits"] + made["credits"] - 100
