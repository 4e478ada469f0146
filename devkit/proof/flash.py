"""A flash sale: more attempts than units, by 64 connections at once, with kill -9 in the middle.

Every unit is sold exactly once and none is left over; whoever got no answer asks again by the same reference. It is the
case that naive stock sells three times over (reference: faults and bad input, section 1).

``python -m devkit.proof.flash STOCK PHONES`` opens the sale and prints it.
"""

from __future__ import annotations

import json
import os
import queue
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import psycopg

from devkit.proof.client import Asked, Journal, Person
from devkit.proof.kills import HOME, kill, product, ready
from devkit.servers import Servers, ServersError

CONNECTIONS, PHONES, PRICE = 64, 250, 5
KILLED = ("web", "postgres", "web")
MOST_TRIES = 40


@dataclass
class Outcome:
    """What a sale showed."""

    attempts: int
    stock: int
    orders: int = 0
    sold_out: int = 0
    others: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    stored: int = 0
    counters: tuple[int, int, int] = (0, 0, 0)
    entries: int = 0
    doubled: int = 0
    seconds: float = 0.0

    @property
    def fine(self) -> bool:
        exact = self.orders == self.stored == self.stock and self.counters == (0, 0, self.stock)
        return (
            exact and self.sold_out == self.attempts - self.stock and not (self.others or self.entries or self.doubled)
        )


def sale(servers: Servers, environ: dict[str, str], *, attempts: int, stock: int, seed: int) -> Outcome:
    """Sell and kill; then count what was told, what is stored, and what the ledger says."""
    began, chance = time.monotonic(), random.Random(f"flash:{seed}")
    shop = _opened(environ, stock)
    journal = Journal(HOME / f"flash-{seed}.jsonl")
    journal.file.unlink(missing_ok=True)
    outcome = Outcome(attempts, stock)
    wanted: queue.SimpleQueue[Asked] = queue.SimpleQueue()
    for number in range(attempts):
        wanted.put(_attempt(shop, number))
    with product(environ) as (children, address):
        crowd = [_Buyer(number, address, shop, journal, seed, wanted) for number in range(CONNECTIONS)]
        for buyer in crowd:
            buyer.start()
        for part, target in enumerate(KILLED, start=1):
            while wanted.qsize() > attempts * (len(KILLED) + 1 - part) // (len(KILLED) + 1):
                time.sleep(0.01)
            kill(target, children, servers, chance)
            outcome.kills[target] += 1
        for buyer in crowd:
            buyer.join(180)
        ready(address, children)
    told = Counter(one.code or one.outcome for one in journal.asked.values())
    outcome.orders, outcome.sold_out = told.pop("acknowledged", 0), told.pop("sold_out", 0)
    outcome.others, outcome.doubled = told, len(journal.doubled)
    _count(outcome, servers, shop)
    outcome.seconds = time.monotonic() - began
    return outcome


class _Buyer(Person):
    """One connection: takes attempts from the queue and asks each again, by its key, until it has an answer."""

    def __init__(self, number: int, address: Any, town: Any, journal: Journal, seed: int, wanted: Any) -> None:
        super().__init__(number, address, town, journal, seed)
        self.wanted = wanted

    def run(self) -> None:
        while True:
            try:
                one = self.wanted.get_nowait()
            except queue.Empty:
                return
            for _ in range(MOST_TRIES):
                self.say(one)
                if one.outcome != "unknown":
                    break
                time.sleep(0.25)


def _attempt(shop: dict[str, Any], number: int) -> Asked:
    key = f"flash-{number}"
    body = {"item_id": shop["item"], "quantity": 1, "client_ref": key, "price_credits": PRICE}
    return Asked("order", key, "/api/v1/orders", shop["phones"][number % len(shop["phones"])]["token"], body)


_COUNT = """
    select (select count(*) from orders where item_id = %(item)s), i.available, i.reserved, i.sold,
           (select coalesce(sum(abs(x.amount)), 0) from (
              select sum(e.amount) as amount from entries e join accounts a on a.id = e.account_id group by a.asset) x)
    from items i where i.id = %(item)s
"""


def _count(outcome: Outcome, servers: Servers, shop: dict[str, Any]) -> None:
    """What is stored, the item's counters, and the sum of all entries, which is zero in each asset."""
    with psycopg.connect(servers.database_url()) as link:
        row = link.execute(_COUNT, {"item": int(shop["item"])}).fetchone()
    assert row is not None
    outcome.stored, outcome.counters, outcome.entries = row[0], (row[1], row[2], row[3]), int(row[4])


def _opened(environ: dict[str, str], stock: int) -> dict[str, Any]:
    made = subprocess.run(
        [sys.executable, "-m", "devkit.proof.flash", str(stock), str(PHONES)],
        env={**os.environ, **environ}, capture_output=True, text=True,
    )  # fmt: skip
    if made.returncode != 0:
        raise ServersError(f"the flash sale could not be opened:\n{made.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(made.stdout.splitlines()[-1])
    return found


def main() -> int:
    """Open a sale and print it."""
    import wsgi
    from app.clock import now
    from app.db import transaction
    from devkit.proof import town

    stock, phones = (int(word) for word in sys.argv[1:])
    with wsgi.create_app().app_context():
        place = town.build(f"flash-{now():%H%M%S}")
        with transaction():
            item = town.new_item(place, "flash", price_credits=PRICE, stock=stock, per_person=None)
        found = {"item": str(item), "phones": [town.phone(place, 2_000, now()) for _ in range(phones)]}
        print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
