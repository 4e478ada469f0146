"""Orders paid through the local WeChat with everything going wrong, then query and bill, then the count of every fen.

Notices are lost, repeated, reordered, late, forged; answers to our calls are lost, wrongly signed, refused; orders are
cancelled and paid all the same, refunded while their notices are under way; web processes are killed. The local WeChat
lives in this process, so that what it knows can be compared with what we stored.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from devkit.commands import FLASK
from devkit.proof.client import Journal, Person
from devkit.proof.kills import HOME, kill_web, product, ready
from devkit.proof.shop import PRICE_CREDITS, PRICE_FEN
from devkit.servers import Servers, ServersError
from wechat.sandbox.box import Sandbox
from wechat.sandbox.clock import BEIJING
from wechat.sandbox.faults import Fault
from wechat.sandbox.identity import create
from wechat.sandbox.pay.desk import DeskRefusal
from wechat.sandbox.pay.forging import FORGERIES
from wechat.sandbox.pay.notices import NoticeFault

BUYERS, CLIENTS = 24, 8
MANY = 10**9
BETWEEN_KILLS = (2.0, 5.0)
ROUNDS = 40  # of sweeping, at most: each looks at two hundred of everything that is due
# What a buyer does with an order, in parts of a hundred.
STORIES = (("pay", 58), ("pay twice", 8), ("cancel", 8), ("cancel and pay", 10), ("abandon", 8), ("abandon and pay", 8))
# How often something goes wrong with a notice, and with a call of ours.
NOTICE_FAULTS = {
    "drop": 0.08, "silence": 0.06, "delay": 0.06, "duplicate": 0.08, "parallel": 0.04, "reorder": 0.05,
    "lost_answer": 0.05, "new_id": 0.03, **dict.fromkeys(FORGERIES, 0.01),
}  # fmt: skip
NOT_OF_REFUNDS = ("foreign_appid", "foreign_openid", "wrong_currency")  # a refund's notice says nothing about these
CALL_FAULTS = {
    "lost_answer": 0.02, "wrong_signature": 0.01, "system_error": 0.01, "system_error_after": 0.01, "http500": 0.01,
    "truncated": 0.01, "reset": 0.01,
}  # fmt: skip


@dataclass
class Outcome:
    """What a run of payments showed."""

    orders: int = 0
    stories: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    notices: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    refunds_asked: dict[str, int] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    forged: list[str] = field(default_factory=list)
    fen: list[str] = field(default_factory=list)
    differences: Counter[str] = field(default_factory=Counter)
    at_wechat_fen: int = 0
    booked_fen: int = 0
    seconds: float = 0.0

    @property
    def fine(self) -> bool:
        return not (self.unfinished or self.unmatched or self.twice or self.forged or self.fen)


def through_wechat(servers: Servers, environ: dict[str, str], *, orders: int, seed: int) -> Outcome:
    """Order, pay, cancel, refund, kill; then let everything come to its end, reconcile, and count."""
    began = time.monotonic()
    outcome = Outcome(orders=orders)
    chance = random.Random(f"payments:{seed}")
    identity, application = create()
    with tempfile.TemporaryDirectory(prefix="diandi-proof-") as folder, Sandbox(identity, seed=seed) as box:

        def named(address: str) -> dict[str, str]:
            return box.environ(application, Path(folder), address)

        settings = {**environ, **named("http://127.0.0.1:9")}
        shop = _helper(settings, "open", str(BUYERS))
        for phone in shop["phones"]:
            box.user(phone["user"])
        outcome.at_wechat_fen = -box.book.balance_fen  # what the merchant had there before
        with product(environ, named) as (children, address):
            _trouble(box)
            with _killing(children, chance, outcome):
                _buy(box, shop, address, outcome, seed)
                with psycopg.connect(servers.database_url(), autocommit=True) as link:
                    paid = [row[0] for row in link.execute(_TO_REFUND).fetchall()]
                    outcome.refunds_asked = _helper(settings, "refund", *map(str, chance.sample(paid, len(paid) // 6)))
            ready(address, children)
            _end(box, servers, settings)
            for _ in range(2):  # what the bill finds is asked for, and may have to go back: that stands in the next one
                since = time.time()
                _reconcile(box, servers, settings, outcome, since)
                _end(box, servers, settings)
                _on_their_calendar(box, servers, since)
        outcome.forged = list(box.journal.violations)
        _count(box, servers, outcome)
    outcome.seconds = time.monotonic() - began
    return outcome


_TO_REFUND = "select id from orders where cash_fen > 0 and state = 'paid' order by id"


def _trouble(box: Sandbox) -> None:
    for kind, probability in NOTICE_FAULTS.items():
        match = "TRANSACTION.SUCCESS" if kind in NOT_OF_REFUNDS else "*"
        seconds = 20 if kind == "delay" else 0
        box.notices.plant(NoticeFault(kind, match, times=MANY, probability=probability, seconds=seconds))
    for kind, probability in CALL_FAULTS.items():
        box.state.faults.append(Fault("/v3/*", kind, MANY, probability=probability))
    box.notices.probe_rate = 0.02


@contextmanager
def _killing(children: dict[str, Any], chance: random.Random, outcome: Outcome) -> Iterator[None]:
    """Every few seconds one of the web processes dies."""
    over = threading.Event()

    def kill() -> None:
        while not over.wait(chance.uniform(*BETWEEN_KILLS)):
            kill_web(children["web"], chance)
            outcome.kills += 1

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)


class Buyer(Person):
    """One client: orders, pays at the local WeChat's cash desk, changes its mind."""

    def __init__(self, box: Sandbox, shop: dict[str, Any], count: int, outcome: Outcome, *rest: Any) -> None:
        super().__init__(*rest)
        self.box, self.shop, self.count, self.outcome = box, shop, count, outcome
        self.mine = shop["phones"][self.number :: CLIENTS]

    def run(self) -> None:
        names, weights = zip(*STORIES, strict=True)
        for step in range(self.count):
            story = self.chance.choices(names, weights)[0]
            self.outcome.stories[story] += 1
            self._live(story, self.chance.choice(self.mine), f"pay-{self.number}-{step}")

    def _live(self, story: str, phone: dict[str, str], reference: str) -> None:
        token = phone["token"]
        body = {
            "item_id": self.shop["item"], "quantity": 1, "client_ref": reference, "price_credits": PRICE_CREDITS,
            "price_fen": PRICE_FEN,
        }  # fmt: skip
        order = self._until("/api/v1/orders", token, body)
        if order is None or (story == "abandon" and self.chance.random() < 0.5):
            return
        number = self._called_up(str(order["id"]), phone)
        if number is None or story == "abandon":
            return
        if story == "pay twice":
            self._called_up(str(order["id"]), phone)
        if story.startswith("cancel"):
            self._until(f"/api/v1/orders/{order['id']}/cancel", token, None)
        if story.endswith("and pay"):
            with suppress(DeskRefusal):
                self.box.pay(number, anyway=True)
        elif story.startswith("pay"):
            with suppress(DeskRefusal):
                self.box.pay(number, coupon_fen=self.chance.choice((0, 0, 0, 100)))
            if self.chance.random() < 0.5:
                self.call("GET", f"/api/v1/orders/{order['id']}/payment", token)

    def _called_up(self, order: str, phone: dict[str, str]) -> str | None:
        """Call the payment up as the client does: the cash desk checks every parameter."""
        parameters = self._until(f"/api/v1/orders/{order}/payment", phone["token"], None)
        if parameters is None:
            return None
        try:
            return self.box.call_up(parameters, self.box.user(phone["user"]).openid).order
        except DeskRefusal:
            return None

    def _until(self, path: str, token: str, body: Any) -> dict[str, Any] | None:
        """Ask with the same key until there is an answer: a killed process is no answer."""
        for _ in range(60):
            status, said = self.call("POST", path, token, body)
            if 200 <= status < 300:
                return said
            if 400 <= status < 500 and status != 429:
                return None
            time.sleep(0.1)
        self.outcome.unfinished.append(f"{path}: no answer")
        return None


def _buy(box: Sandbox, shop: dict[str, Any], address: tuple[str, int], outcome: Outcome, seed: int) -> None:
    journal = Journal(HOME / f"payments-{seed}.jsonl")
    buyers = [
        Buyer(box, shop, outcome.orders // CLIENTS, outcome, number, address, {"phones": []}, journal, seed)
        for number in range(CLIENTS)
    ]
    for buyer in buyers:
        buyer.start()
    for buyer in buyers:
        buyer.join()


def _end(box: Sandbox, servers: Servers, settings: dict[str, str]) -> None:
    """Nothing goes wrong any more: repeats come, refunds end, what was abandoned is closed, what is due is asked."""
    box.notices.faults.clear()
    box.notices.probe_rate = 0.0
    box.state.faults.clear()
    box.notices.release()
    for _ in range(ROUNDS):
        box.clock.advance(60)
        box.agenda.quiet(60)
        with psycopg.connect(servers.database_url(), autocommit=True) as link:
            for statement in _HASTEN:
                link.execute(statement)
            waiting = sum(row[0] for row in link.execute(_WAITING).fetchall())
        if not waiting:
            return
        _flask(["payments", "sweep"], settings)


# Proof servers only: what would be due some time is due now.
_HASTEN = (
    "update orders set pay_until = now() - interval '5 minutes' where state in ('placed', 'paying')",
    "update payments set next_look_at = now() - interval '1 second' where state in ('created', 'waiting', 'closing')",
    "update refunds set next_look_at = now() - interval '1 second' where next_look_at is not null",
)
_WAITING = """
    select count(*) from orders where state in ('placed', 'paying', 'refunding')
    union all select count(*) from payments where state in ('created', 'waiting', 'closing')
    union all select count(*) from refunds where state in ('asked', 'processing')
"""


def _on_their_calendar(box: Sandbox, servers: Servers, since: float) -> None:
    """The local WeChat lives some days ahead of us by now; in life both have one calendar, and its bills go by it."""
    with psycopg.connect(servers.database_url(), autocommit=True) as link:
        link.execute(
            "update refunds set accepted_at = accepted_at + interval '1 second' * %s"
            " where accepted_at between to_timestamp(%s) and now()",
            [box.clock.now() - time.time(), since],
        )


_ON_ANOTHER_CALENDAR = """
    select count(*) from payment_differences d join refunds r on r.id = d.refund_id
    where d.kind = 'refund_missing_at_wechat' and d.day = %s and r.accepted_at >= to_timestamp(%s)
"""


def _reconcile(box: Sandbox, servers: Servers, settings: dict[str, str], outcome: Outcome, since: float) -> None:
    """The bills of every day that was touched, after ten in the morning of the next one.

    A refund that the worker asked for while the bill was read carries our day, not theirs: it is set right after this
    pass and looked for in the next.
    """
    days = sorted({datetime.fromtimestamp(at, BEIJING).date() for at in _moments(box)})
    after = datetime.combine(days[-1] + timedelta(days=1), datetime.min.time(), BEIJING) + timedelta(hours=11)
    if box.clock.now() < after.timestamp():  # it ticks meanwhile, and never goes back
        box.clock.set(after.timestamp())
    for day in days:
        status, told = _flask(["payments", "reconcile", day.isoformat(), "--json"], settings)
        if status not in (0, 1) or not told.strip():
            outcome.unmatched.append(f"bill of {day}: {told[-200:]}")
            continue
        for report in json.loads(told):
            for kind, count in report["differences"].items():
                outcome.differences[kind] += count
                if kind == "refund_missing_at_wechat":
                    with psycopg.connect(servers.database_url(), autocommit=True) as link:
                        found = link.execute(_ON_ANOTHER_CALENDAR, [day, since]).fetchone()
                    count -= found[0] if found else 0
                if kind != "notice_missed" and count > 0:  # found by the bill, mended by the query: named and kept
                    outcome.unmatched.append(f"{day} {report['bill']}: {kind} {count}")


def _moments(box: Sandbox) -> Iterator[float]:
    with box.book.lock:
        yield from [order.paid_at for order in box.book.orders.values() if order.paid_at is not None]
        yield from [refund.created for refund in box.book.refunds.values()]
    yield time.time()


_OURS = """
    select p.out_trade_no, p.state, p.transaction_id, p.total_fen, o.state as order_state, coalesce((
             select sum(r.fen) from refunds r where r.payment_id = p.id and r.state = 'success'), 0)::bigint as back
    from payments p join orders o on o.id = p.subject_ref
"""
_BOOKED = """
    select coalesce(-sum(e.amount), 0)::bigint from accounts a join entries e on e.account_id = a.id
    where a.asset = 'fen' and a.kind = 'wechat'
"""
_UNFINISHED = """
    select 'order ' || id || ' ' || state from orders where state in ('placed', 'paying', 'refunding') and cash_fen > 0
    union all
    select 'payment ' || id || ' ' || state from payments where state in ('created', 'waiting', 'closing')
    union all
    select 'refund ' || id || ' ' || state || ' ' || coalesce(problem, '') from refunds where state <> 'success'
"""


def _count(box: Sandbox, servers: Servers, outcome: Outcome) -> None:
    """What WeChat has against what we have, payment by payment, refund by refund, fen by fen."""
    with psycopg.connect(servers.database_url(), row_factory=namedtuple_row) as link:
        ours = {row.out_trade_no: row for row in link.execute(_OURS).fetchall()}
        outcome.unfinished += [row[0] for row in link.execute(_UNFINISHED).fetchall()]
        states = link.execute("select state, count(*) from orders where cash_fen > 0 group by 1").fetchall()
        outcome.states = Counter(dict(states))
        notices = link.execute("select state, count(*) from payment_notices group by 1").fetchall()
        outcome.notices = Counter(dict(notices))
        outcome.booked_fen = link.execute(_BOOKED).fetchall()[0][0]
    with box.book.lock:
        theirs, back = dict(box.book.orders), Counter[str]()
        for refund in box.book.refunds.values():
            if refund.status == "SUCCESS":
                back[refund.order] += refund.refund_fen
        outcome.at_wechat_fen += box.book.balance_fen
    for number, order in theirs.items():
        _compare(number, order, ours.get(number), back[number], outcome)
    if outcome.booked_fen != outcome.at_wechat_fen:
        outcome.fen.append(f"at WeChat {outcome.at_wechat_fen}, in the ledger {outcome.booked_fen}")


def _compare(number: str, order: Any, ours: Any, back: int, outcome: Outcome) -> None:
    paid = order.paid_at is not None
    if (
        ours is None
        or paid != (ours.state in ("paid", "late"))
        or (paid and ours.transaction_id != order.transaction_id)
    ):
        outcome.unmatched.append(f"{number}: there {order.state}, here {ours and ours.state}")
        return
    if ours.back != back:
        outcome.fen.append(f"{number}: {back} fen went back, {ours.back} are booked")
    kept = paid and back < order.total_fen
    if kept != (ours.order_state in ("paid", "fulfilled")):
        outcome.twice.append(f"{number}: kept {kept}, the order is {ours.order_state}")


def _helper(settings: dict[str, str], *words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "devkit.proof.shop", *words]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True)
    if done.returncode != 0:
        raise ServersError(f"the shop of the payments failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _flask(words: list[str], settings: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run([*FLASK, *words], env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True)
    return done.returncode, done.stdout
