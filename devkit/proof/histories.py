"""Random concurrent histories of the books: in each, four actors do twenty things to two persons and one small budget.

What was acknowledged is kept by the client and compared with the database after each history: every acknowledged key
exists once, every key that was only ever refused does not exist. Whether the books balance is for `flask prove`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from app import funding, orders, records, redemptions, welfare
from app.clock import now
from app.db import db, retrying, run, session, transaction
from app.errors import Refusal
from app.funding.models import Budget
from app.records import reviews
from devkit.proof.town import Scene, Town, build, scene

ACTORS, STEPS = 4, 20
PROCESSES = 2
MIX = (
    *("award",) * 5, *("record",) * 3, *("order",) * 3, *("gift",) * 2, *("redeem",) * 3, "undo", *("reverse",) * 2,
    *("repeat",) * 3, "deposit", *("pay",) * 2,
)  # fmt: skip

Key = tuple[str, str]


@dataclass
class Ledger:
    """The client's own book of one history: what was answered to which key."""

    acknowledged: dict[Key, int] = field(default_factory=dict)
    refused: dict[Key, str] = field(default_factory=dict)
    commands: list[tuple[Key, Callable[[], int]]] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class History:
    """One history: a scene, and four actors who share its keys."""

    def __init__(self, town: Town, number: int, seed: int) -> None:
        self.town, self.number = town, number
        self.name = f"{town.code}-{number}"
        self.chance = random.Random(f"{seed}:{number}")
        with transaction():
            self.scene: Scene = scene(town, self.name, self.chance)
        self.book = Ledger()
        self._lock = threading.Lock()
        seeds = [self.chance.random() for _ in range(ACTORS)]
        self.chances = [random.Random(one) for one in seeds]

    def act(self, actor: int) -> None:
        """An actor's share of the steps."""
        chance = self.chances[actor]
        for step in range(STEPS // ACTORS):
            kind = chance.choice(MIX)
            try:
                getattr(self, f"_{kind}")(chance, f"{self.name}-{actor}-{step}")
                self.book.counts[kind] += 1
            except Refusal as refusal:
                self.book.counts[f"{kind}: {refusal.code}"] += 1

    # -- what actors do; each keyed command goes through _say

    def _award(self, chance: random.Random, ref: str) -> None:
        request = funding.AwardRequest(
            self.town.program_id,
            chance.choice(self.scene.people),
            "proof",
            ref,
            now() - timedelta(days=chance.randrange(9)),
            base_micro=chance.randrange(1, 90_000_000),
            budget_id=self.scene.budget_id,
        )
        self._say(("award", ref), lambda: funding.award([request], at=now())[0].award_id)

    def _record(self, chance: random.Random, ref: str) -> None:
        starts = now() - timedelta(minutes=30 * chance.randrange(2, 400))
        act = records.Act(
            program_id=self.town.program_id,
            scenario="metro-ride",
            person_id=chance.choice(self.scene.people),
            source_id=self.town.source_id,
            reference=ref,
            facts={"distance_km": f"{chance.randrange(1, 40)}.{chance.randrange(300, 1000)}"},
            occurred_at=starts,
            ended_at=starts + timedelta(minutes=25),
        )
        self._say(("record", ref), lambda: records.take(act, at=now()).record_id or 0)

    def _order(self, chance: random.Random, ref: str) -> None:
        person, quantity = chance.choice(self.scene.people), chance.choice((1, 1, 2))
        price = run("select price_credits from items where id = %(i)s", {"i": self.scene.item_id})[0].price_credits
        session().rollback()

        def place() -> int:
            wish = orders.Wish(self.scene.item_id, quantity, price)
            placed = orders.place(person_id=person, client_ref=ref, wish=wish, at=now())
            self.book.codes += redemptions.codes_of_order(placed.order_id) if placed.fresh else []
            return placed.order_id

        self._say(("order", ref), place)

    def _gift(self, chance: random.Random, ref: str) -> None:
        person, credits = chance.choice(self.scene.people), chance.randrange(1, 60)

        def give() -> int:
            given = welfare.give(
                person_id=person,
                program_id=self.town.program_id,
                project_id=self.scene.project_id,
                credits=credits,
                client_ref=ref,
                at=now(),
            )
            return given.gift.id

        self._say(("gift", ref), give)

    def _redeem(self, chance: random.Random, ref: str) -> None:
        if not self.book.codes:
            return
        code_id, clerk = chance.choice(self.book.codes), chance.choice(self.town.clerks)
        row = run("select person_id from codes where id = %(c)s", {"c": code_id})
        session().rollback()
        if not row:  # its order was rolled back
            return
        with transaction():
            _, typed = redemptions.show(code_id=code_id, person_id=row[0].person_id)

        def scan() -> int:
            verdict = redemptions.redeem(
                typed=typed, shop_id=self.town.shop_id, staff_person_id=clerk, scan_id=ref, at=now()
            )
            return verdict.redemption_id

        self._say(("scan", ref), scan)

    def _undo(self, chance: random.Random, ref: str) -> None:
        done = [number for key, number in list(self.book.acknowledged.items()) if key[0] == "scan"]
        if done:
            number, clerk = chance.choice(done), chance.choice(self.town.clerks)
            undo = {"redemption_id": number, "shop_id": self.town.shop_id, "staff_person_id": clerk}
            self._do(lambda: redemptions.undo(**undo, at=now()))

    def _reverse(self, chance: random.Random, ref: str) -> None:
        done = [number for key, number in list(self.book.acknowledged.items()) if key[0] == "record"]
        if done:
            number = chance.choice(done)
            self._do(lambda: reviews.reverse(record_id=number, code="error", words="", by="operator:proof", at=now()))

    def _deposit(self, chance: random.Random, ref: str) -> None:
        fen = chance.randrange(1, 300)

        def pay_in() -> int:
            budget = session().get_one(Budget, self.scene.budget_id)
            return funding.receive_deposit(budget=budget, fen=fen, reference=ref, at=now())[0].id

        self._say(("deposit", ref), pay_in)

    def _pay(self, chance: random.Random, ref: str) -> None:
        self._do(lambda: funding.pay_pending(budget_id=self.scene.budget_id, at=now()))

    def _repeat(self, chance: random.Random, ref: str) -> None:
        """The same command again, acknowledged before or not: the answer must be the first one's."""
        if self.book.commands:
            key, command = chance.choice(self.book.commands)
            self._say(key, command, first=False)

    def _say(self, key: Key, command: Callable[[], int], *, first: bool = True) -> None:
        if first:
            self.book.commands.append((key, command))
        try:
            number = self._do(command)
        except Refusal as refusal:
            self.book.refused[key] = refusal.code
            raise
        with self._lock:
            before = self.book.acknowledged.setdefault(key, number)
        if before != number:
            self.book.wrong.append(f"{key} was answered {before} and then {number}")

    @staticmethod
    def _do(command: Callable[[], Any]) -> Any:
        """One command, one transaction, tried again as an edge does."""

        def once() -> Any:
            with transaction():
                return command()

        return retrying(once)

    def compare(self) -> list[str]:
        """What the client's book and the database don't agree on."""
        found = [*self.book.wrong]
        keys = sorted({*self.book.acknowledged, *self.book.refused})
        stored: dict[str, dict[str, list[int]]] = {}
        for kind, sql in _STORED.items():
            refs = [ref for of, ref in keys if of == kind]
            rows = run(sql, {"refs": refs, "budget": self.scene.budget_id}) if refs else []
            there: dict[str, list[int]] = {}
            for row in rows:
                there.setdefault(row.ref, []).append(row.id)
            stored[kind] = there
        session().rollback()
        for kind, ref in keys:
            number, there_now = self.book.acknowledged.get((kind, ref)), stored[kind].get(ref, [])
            if number is None and there_now:
                found.append(f"refused, but there: {kind} {ref}")
            elif number is not None and there_now != [number]:
                found.append(f"acknowledged as {number}, found {there_now}: {kind} {ref}")
        return found


_STORED = {
    "award": "select source_ref as ref, id from awards where reason = 'proof' and source_ref = any (%(refs)s)",
    "record": "select reference as ref, id from records where reference = any (%(refs)s)",
    "order": "select client_ref as ref, id from orders where client_ref = any (%(refs)s)",
    "gift": "select client_ref as ref, id from gifts where client_ref = any (%(refs)s)",
    "scan": "select scan_id as ref, id from redemptions where scan_id = any (%(refs)s)",
    "deposit": "select reference as ref, id from deposits where budget_id = %(budget)s and reference = any (%(refs)s)",
}


def run_some(app: Any, numbers: range, seed: int, code: str) -> dict[str, Any]:
    """Live through histories one after the other, each with four threads; answers what happened."""
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    with app.app_context(), ThreadPoolExecutor(ACTORS) as crowd:
        town = build(code)
        for number in numbers:
            history = History(town, number, seed)

            def actor(one: int, of: History = history) -> None:
                with app.app_context():
                    of.act(one)

            for done in [crowd.submit(actor, one) for one in range(ACTORS)]:
                try:
                    done.result()
                except Exception as error:  # whatever it is, it is a finding
                    wrong.append(f"history {number}: {type(error).__name__}: {error}"[:600])
            wrong += [f"history {number}: {line}" for line in history.compare()]
            counts.update(history.book.counts)
            counts["acknowledged"] += len(history.book.acknowledged)
    return {"counts": dict(counts), "wrong": wrong, "histories": len(numbers)}


def main() -> int:
    """`python -m devkit.proof.histories`: all processes; prints one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--histories", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    began = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with context.Pool(PROCESSES) as pool:
        shares = [range(one, options.histories, PROCESSES) for one in range(PROCESSES)]
        parts = pool.starmap(_process, [(share, options.seed) for share in shares])
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part["counts"])
    wrong = [line for part in parts for line in part["wrong"]]
    seconds = round(time.monotonic() - began, 1)
    print(json.dumps({"counts": dict(sorted(counts.items())), "wrong": wrong, "seconds": seconds}))
    return 1 if wrong else 0


def _process(numbers: range, seed: int) -> dict[str, Any]:
    import wsgi

    app = wsgi.create_app()
    done = run_some(app, numbers, seed, f"hist-{seed}-{os.getpid()}")
    with app.app_context():
        db.engine.dispose()
    return done


if __name__ == "__main__":
    sys.exit(main())
