"""A record by the API: from a declared ride to grams, credits, lot and ledger; in units of F, and against a twin."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from datetime import timedelta
from statistics import median

from app.clock import now
from bench import load
from bench.city import CODE, PHONES, city, token
from bench.load import http_request
from bench.measures import Bench

SLOTS = 13_000  # of half an hour, before now: 270 days


def record(bench: Bench) -> float:
    """Records a second through the product, in units of F."""
    city()
    return bench.ratio_to_f(_declaring("/api/v1/records"), connections=16)


def against_twin(bench: Bench) -> float:
    """The product's rate over that of a plain-ORM twin that does the same on the same server; slices alternate."""
    city()
    ours, theirs = _declaring("/api/v1/records"), _declaring("/bench/twin/records")
    load.run(bench.address, _declaring("/bench/twin/records"), seconds=0.5, connections=1)  # opens its common accounts
    shares, rates, twins = [], [], []
    for _ in range(3):
        mine = load.run(bench.address, ours, seconds=bench.seconds / 3, connections=16)
        twin = load.run(bench.address, theirs, seconds=bench.seconds / 3, connections=16)
        if any(status >= 300 for status in mine.statuses):
            raise RuntimeError(f"unexpected answers: {mine.statuses}")
        # Clients that wait too long for the twin's hot rows get an error: those are no records.
        made = twin.per_second * twin.statuses.get(201, 0) / sum(twin.statuses.values())
        shares.append(mine.per_second / made)
        rates.append(mine.per_second)
        twins.append(made)
    bench.notes["rate"], bench.notes["twin"] = median(rates), median(twins)
    return median(shares)


def _declaring(path: str) -> Callable[[int], bytes]:
    """The n-th request: a bus ride of its own half hour, of another phone than the last."""
    run_name, base = secrets.token_hex(4), now().replace(microsecond=0)
    skip = secrets.randbelow(SLOTS - 2_000)

    def make(number: int) -> bytes:
        phone, turn = number % PHONES, number // PHONES + skip
        ends = base - timedelta(minutes=30 * (turn + 1))
        body = {
            "program": CODE,
            "scenario": "bus-ride",
            "client_ref": f"{run_name}-{number}",
            "facts": {"distance_km": "8.5"},
            "occurred_at": (ends - timedelta(minutes=25)).isoformat(),
            "ended_at": ends.isoformat(),
        }
        headers = {"Authorization": f"Bearer {token(phone)}"}
        return http_request("POST", path, headers=headers, body=json.dumps(body).encode())

    return make
