"""What people look at most: my rank, a page of a board with my row, my profile. In units of F."""

from __future__ import annotations

from collections.abc import Callable

from bench import load
from bench.city import CODE, city, token
from bench.load import http_request
from bench.measures import Bench

BOARD = f"/api/v1/programs/{CODE}/boards/person/grams/month"


def my_rank(bench: Bench) -> float:
    """Rank, score, movement and size of the month's board."""
    return _share(bench, f"{BOARD}/me")


def board_page(bench: Bench) -> float:
    """The first hundred lines, with my own row and neighbours."""
    return _share(bench, f"{BOARD}?limit=100")


def profile(bench: Bench) -> float:
    """Who I am."""
    return _share(bench, "/api/v1/me")


READERS = 400  # within a minute: 300 looks each are allowed, and nobody needs them all


def _share(bench: Bench, path: str) -> float:
    """Readers who have looked before: a login is asked of PostgreSQL once a minute, not at every look."""
    city()
    asking = _asking(path)
    load.run(bench.address, asking, seconds=2)
    return bench.ratio_to_f(asking)


def _asking(path: str) -> Callable[[int], bytes]:
    """The n-th request: a phone each, so that no login reaches its limit."""
    ready = [
        http_request("GET", path, headers={"Authorization": f"Bearer {token(number)}"}) for number in range(READERS)
    ]
    return lambda number: ready[number % READERS]
