"""A shop that is open: the application served over HTTP, a local WeChat that pays and tells, a desk between them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from werkzeug.serving import make_server

import till
from app import config, orders, payments, people
from app.clock import now
from app.db import db, session, transaction
from app.payments.models import Payment
from tests import cash, world
from tests.wechat.sandboxes import keys
from tests.world import World
from till.desk import make
from wechat.sandbox.box import Sandbox


@dataclass
class Shop:
    """What a test acts on. Commits are real; the database is cloned anew afterwards."""

    app: Any
    box: Sandbox
    desk: till.Desk
    base: str
    world: World
    item_id: int
    tokens: dict[int, str] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)

    # -- as the person

    def call(self, method: str, path: str, person: int = 0, body: Any = None, status: int = 200) -> Any:
        token = self.tokens[self.world.people[person]]
        answer = requests.request(
            method, f"{self.base}/api/v1{path}", json=body, headers={"Authorization": f"Bearer {token}"}, timeout=20
        )
        assert answer.status_code == status, answer.text
        return answer.json()

    def order(self, reference: str = "one", person: int = 0, **changes: Any) -> str:
        body = {"item_id": str(self.item_id), "quantity": 1, "client_ref": reference, "price_credits": 100}
        return str(self.call("POST", "/orders", person, {**body, "price_fen": 990, **changes}, 201)["id"])

    def call_up(self, order: str, person: int = 0) -> str:
        """The client calls the payment up and the cash desk opens; the number."""
        parameters = self.call("POST", f"/orders/{order}/payment", person)
        return self.box.call_up(parameters, self.openid(person)).order

    def payment(self, order: str, person: int = 0) -> Any:
        return self.call("GET", f"/orders/{order}/payment", person)

    def openid(self, person: int = 0) -> str:
        return self.box.user(self.names[self.world.people[person]]).openid

    # -- behind the counter

    def settle(self) -> None:
        """Let WeChat say all it has to say."""
        assert self.box.agenda.quiet()

    def state(self, order: str) -> str:
        with self.app.app_context():
            return session().get_one(orders.Order, int(order)).state

    def stored(self, order: str) -> Payment:
        with self.app.app_context():
            found = payments.of_order(int(order))
            assert found is not None
            return session().get_one(Payment, found.id)

    def sweep(self) -> int:
        from jobs.payments import sweep

        with self.app.app_context():
            return sweep()

    def sql(self, query: str) -> list[Any]:
        from app.db import run

        with self.app.app_context():
            return run(query)

    def due(self) -> None:
        """Whatever is to be looked at some time is due now."""
        self.change("update payments set next_look_at = now() - interval '1 second', looked_at = null"
                    " where state in ('created', 'waiting', 'closing')")  # fmt: skip
        self.change("update refunds set next_look_at = now() - interval '1 second' where next_look_at is not null")

    def out_of_time(self) -> None:
        """The time to pay all unpaid orders is over."""
        self.change("update orders set pay_until = now() - interval '5 minutes' where state in ('placed', 'paying')")

    def change(self, statement: str) -> None:
        from app.db import run

        with self.app.app_context(), transaction():
            run(statement)

    def broken_proofs(self) -> dict[str, Any]:
        from jobs.proofs import proofs, prove

        with self.app.app_context():
            kept = ("LED", "BUD-1", "BUD-3", "WAL", "IDM", "STK", "COD", "PAY")
            return {found.proof.id: found.first for found in prove(proofs(ids=kept)) if not found.held}


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(keys()[0], strict=True) as running:
        yield running


@pytest.fixture
def shop(clean_db: Any, box: Sandbox, slot: Any, tmp_path: Path) -> Iterator[Shop]:
    """Three members with credits, an item for credits and money, everything wired as by settings."""
    server = make_server("127.0.0.1", 0, clean_db, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}"
    environ = box.environ(keys()[1], tmp_path, base)
    settings = config.load(
        {
            "DIANDI_ENV": "test",
            "DATABASE_URL": slot.database_url,
            "REDIS_URL": slot.redis_url,
            "BILLS_FOLDER": str(tmp_path / "bills"),
            **environ,
        }
    )
    with clean_db.app_context():
        desk = make(settings)
    assert desk is not None
    before, clean_db.extensions["till"] = clean_db.extensions["till"], desk
    try:
        yield _open(clean_db, box, desk, base)
    finally:
        clean_db.extensions["till"] = before
        box.agenda.stop()
        server.shutdown()
        thread.join(10)
        server.server_close()


def _open(app: Any, box: Sandbox, desk: till.Desk, base: str) -> Shop:
    with app.app_context():
        with transaction():
            made = world.build(people=0, at=now())
            item_id = cash.item(made, stock=1_000)
        shop = Shop(app, box, desk, base, made, item_id)
        for name in ("alice", "bob", "chen"):
            with transaction():
                _member(shop, name)
        db.session.remove()
    return shop


def _member(shop: Shop, name: str) -> None:
    from app import programs

    at = now()
    login = people.sign_in(
        appid=shop.desk.terms.appid, openid=shop.box.user(name).openid, at=at, session_days=30, device="test"
    )
    person = world.join(programs.by_code(shop.world.code), person_id=login.person_id, at=at)
    world.rich(shop.world, person, 5_000, at=at)
    shop.world.people.append(person)
    shop.tokens[person], shop.names[person] = login.token, name


def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that other threads do."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it didn't come"
        time.sleep(0.02)
