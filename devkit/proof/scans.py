"""Codes that everybody wants at once: three clerks scan each while its order is refunded, and exactly one of them wins.

``python -m devkit.proof.scans CODES SEED`` does it and prints what was seen. Real threads, each command a transaction
of its own, as the edges do it: a clerk types, one scans the picture, one rides in a batch; the fourth is the refund,
which has more to do before it reaches the code and so gets a head start by lot.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from app import orders, redemptions
from app.clock import now
from app.db import db, retrying, run, transaction
from app.errors import Refusal
from devkit.proof import town
from devkit.proof.town import Town

AT_ONCE = 4  # codes under way
PRICE = 5
HEAD_START = 0.02  # seconds, at most
LOST = {"code_used", "code_refunded", "code_stale", "order_redeemed", "state_conflict"}


def opened(codes: int) -> tuple[Town, list[tuple[int, int, int, str]]]:
    """A town and its orders of one code each: order, code, buyer, characters."""
    place = town.build(f"scans-{now():%H%M%S}")
    with transaction():
        item = town.new_item(place, "tea", price_credits=PRICE, stock=codes, per_person=None)
    buyers = [int(town.phone(place, 2_000, now())["person"]) for _ in range(-(-codes // 400))]
    made = []
    for number in range(codes):
        buyer = buyers[number % len(buyers)]
        wish = orders.Wish(item_id=item, quantity=1, price_credits=PRICE)
        with transaction():
            placed = orders.place(person_id=buyer, client_ref=f"scan-{number}", wish=wish, at=now())
            (code,) = redemptions.codes_of_order(placed.order_id)
            made.append((placed.order_id, code, buyer, redemptions.show(code_id=code, person_id=buyer)[1]))
    return place, made


class Fight:
    """One code and the four who want it, held back until all are there."""

    def __init__(self, app: Any, place: Town, order: tuple[int, int, int, str], chance: random.Random) -> None:
        self.app, self.place, self.chance = app, place, chance
        self.order_id, self.code_id, self.buyer, self.typed = order
        self.barrier = threading.Barrier(4)
        self.pause = chance.random() * HEAD_START
        self.outcomes: list[str] = []

    def fight(self, pool: ThreadPoolExecutor) -> list[str]:
        """All four at once; answers what each was told."""
        text, _ = redemptions.picture_of(code_id=self.code_id, person_id=self.buyer, at=now())
        one, two, three, _ = self.place.clerks
        commands = [
            lambda: self._scan(one, self.typed),
            lambda: self._scan(two, text),
            lambda: self._batch(three, self.typed),
            self._refund,
        ]
        self.chance.shuffle(commands)
        return [future.result() for future in [pool.submit(self._go, command) for command in commands]]

    def _go(self, command: Callable[[], str]) -> str:
        with self.app.app_context():
            self.barrier.wait(30)
            if command != self._refund:
                time.sleep(self.pause)
            try:
                return command()
            except Refusal as refusal:
                return refusal.code
            finally:
                db.session.remove()

    def _scan(self, clerk: int, what: str) -> str:
        def command() -> None:
            with transaction():
                redemptions.redeem(
                    typed=what, shop_id=self.place.shop_id, staff_person_id=clerk, scan_id=str(self.code_id), at=now()
                )

        retrying(command)
        return "redeemed"

    def _batch(self, clerk: int, what: str) -> str:
        scan = redemptions.Scan(what, self.place.shop_id, clerk, str(self.code_id))
        (found,) = retrying(lambda: redemptions.redeem_many([scan], at=now()))
        if isinstance(found, Refusal):
            raise found
        return "redeemed"

    def _refund(self) -> str:
        def command() -> None:
            with transaction():
                orders.refund(order_id=self.order_id, reason="证明", asked_by="system:proof", at=now())

        retrying(command)
        return "refunded"


_STORED = """
    select count(*) filter (where c.state = 'redeemed' and r.n = 1 and o.state = 'fulfilled') as redeemed,
           count(*) filter (where c.state = 'refunded' and r.n = 0 and o.state = 'refunded') as refunded,
           count(*) as codes
    from codes c join orders o on o.id = c.order_id
    cross join lateral (select count(*) as n from redemptions x where x.code_id = c.id and x.undone_at is null) r
    where c.program_id = %(program)s
"""


def fought(app: Any, codes: int, seed: int) -> dict[str, Any]:
    """Every code fought for once; what was told, what is stored, and whether they agree."""
    began, chance = time.monotonic(), random.Random(f"scans:{seed}")
    place, made = opened(codes)
    wins: Counter[str] = Counter()
    wrong: list[str] = []

    def contest(order: tuple[int, int, int, str]) -> list[str]:
        with app.app_context(), ThreadPoolExecutor(4) as pool:
            try:
                return Fight(app, place, order, chance).fight(pool)
            finally:
                db.session.remove()

    with ThreadPoolExecutor(AT_ONCE) as arena:
        for order, told in zip(made, arena.map(contest, made), strict=True):
            won = [one for one in told if one in ("redeemed", "refunded")]
            wins.update(won)
            if len(won) != 1 or set(told) - LOST - set(won):
                wrong.append(f"code {order[1]}: {told}")
    stored = run(_STORED, {"program": place.program_id})[0]
    agree = (stored.redeemed, stored.refunded, stored.codes) == (wins["redeemed"], wins["refunded"], codes)
    return {
        "codes": codes, "redeemed": wins["redeemed"], "refunded": wins["refunded"], "wrong": wrong, "agree": agree,
        "stored": [stored.redeemed, stored.refunded], "seconds": time.monotonic() - began,
    }  # fmt: skip


def main() -> int:
    """Fight for so many codes and print what was seen."""
    import wsgi

    codes, seed = int(sys.argv[1]), int(sys.argv[2])
    app = wsgi.create_app()
    with app.app_context():
        print(json.dumps(fought(app, codes, seed)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
