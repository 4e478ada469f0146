"""The same call at the same moment, over HTTP with real commits: a double tap, two phones, two clerks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest

from app import merchants, programs, redemptions
from app.clock import now
from app.db import db, transaction
from tests import given, world
from tests.world import World

TAPS = 8


class Town:
    """A town with committed people, and the calls of their phones from many threads at once."""

    def __init__(self, app: Any) -> None:
        self.app = app
        with app.app_context():
            with transaction():
                self.world: World = world.build(people=0, stock=3, at=now() - timedelta(days=2))
            db.session.remove()

    def citizen(self, *, credits: int = 0, clerk: bool = False) -> str:
        """The token of a new member."""
        with self.app.app_context():
            with transaction():
                login = given.login(at=now())
                world.join(programs.by_code(self.world.code), person_id=login.person_id, at=now())
                if credits:
                    world.rich(self.world, login.person_id, credits, at=now())
                if clerk:
                    merchants.employ(
                        shop_id=self.world.shop_id,
                        person_id=login.person_id,
                        role="clerk",
                        at=now() - timedelta(days=1),
                    )
            db.session.remove()
        return login.token

    def call(self, token: str, path: str, body: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        answer = self.app.test_client().post(f"/api/v1{path}", json=body, headers=headers)
        return answer.status_code, answer.json

    def at_once(self, calls: list[tuple[str, str, Any]]) -> list[tuple[int, Any]]:
        gate = Barrier(len(calls))

        def go(call: tuple[str, str, Any]) -> tuple[int, Any]:
            gate.wait()
            return self.call(*call)

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(go, calls))


@pytest.fixture
def town(clean_db: Any) -> Iterator[Town]:
    yield Town(clean_db)


def statuses(answers: list[tuple[int, Any]]) -> Counter[int]:
    return Counter(status for status, _ in answers)


def test_an_act_declared_by_many_taps_is_one_record(town: Town) -> None:
    ann = town.citizen()
    at = now() - timedelta(hours=3)
    body = {
        "program": town.world.code,
        "scenario": "bus-ride",
        "client_ref": "tap",
        "facts": {"distance_km": 8},
        "occurred_at": at.isoformat(timespec="seconds"),
        "ended_at": (at + timedelta(hours=1)).isoformat(timespec="seconds"),
    }
    answers = town.at_once([(ann, "/records", body)] * TAPS)
    assert statuses(answers) == {201: 1, 200: TAPS - 1}, answers
    assert len({answer["id"] for _, answer in answers}) == 1


def test_an_order_by_many_taps_is_one_order(town: Town) -> None:
    ann = town.citizen(credits=500)
    body = {"item_id": str(town.world.item_id), "quantity": 1, "client_ref": "tap", "price_credits": 100}
    answers = town.at_once([(ann, "/orders", body)] * TAPS)
    assert statuses(answers) == {201: 1, 200: TAPS - 1}, answers
    assert len({answer["id"] for _, answer in answers}) == 1


def test_the_last_pieces_go_to_exactly_as_many(town: Town) -> None:
    people = [town.citizen(credits=100) for _ in range(TAPS)]
    body = {"item_id": str(town.world.item_id), "quantity": 1, "client_ref": "one", "price_credits": 100}
    answers = town.at_once([(token, "/orders", body) for token in people])
    assert statuses(answers) == {201: 3, 409: TAPS - 3}
    assert {answer["error"]["code"] for status, answer in answers if status == 409} == {"sold_out"}


def test_many_clerks_scan_one_code_and_one_wins(town: Town) -> None:
    ann = town.citizen(credits=100)
    clerks = [town.citizen(clerk=True) for _ in range(TAPS)]
    item = {"item_id": str(town.world.item_id), "quantity": 1, "client_ref": "one", "price_credits": 100}
    _, order = town.call(ann, "/orders", item)
    _, shown = town.call(ann, f"/codes/{order['codes'][0]['id']}/show", None)
    scan = {"code": shown["code"], "scan_id": "s"}
    answers = town.at_once([(token, f"/shops/{town.world.shop_id}/redemptions", scan) for token in clerks])
    assert statuses(answers) == {201: 1, 409: TAPS - 1}
    lost = [answer["error"] for status, answer in answers if status == 409]
    assert {error["code"] for error in lost} == {"code_used"} and all(error["details"]["used_at"] for error in lost)
    with town.app.app_context():
        assert redemptions.tally(town.world.shop_id, at=now()) == (1, 150)
        db.session.remove()


def test_credits_for_one_gift_make_one_gift(town: Town) -> None:
    ann = town.citizen(credits=100)
    gifts = [{"project_id": str(town.world.project_id), "credits": 100, "client_ref": f"g{n}"} for n in range(TAPS)]
    answers = town.at_once([(ann, "/gifts", gift) for gift in gifts])
    assert statuses(answers) == {201: 1, 409: TAPS - 1}
    assert {answer["error"]["code"] for status, answer in answers if status == 409} == {"insufficient"}


def test_a_vehicle_bound_by_many_has_one_holder(town: Town) -> None:
    people = [town.citizen() for _ in range(TAPS)]
    car = {"plate": "川A12345", "fuel": "bev"}
    answers = town.at_once([(token, "/vehicles", car) for token in people])
    assert statuses(answers) == {201: 1, 409: TAPS - 1}, answers


def test_a_vehicle_bound_by_many_taps_of_one_person_is_bound_once(town: Town) -> None:
    ann, car = town.citizen(), {"plate": "川A54321", "fuel": "bev"}
    _, before = town.call(ann, "/vehicles", car)
    headers = {"Authorization": f"Bearer {ann}"}
    assert town.app.test_client().delete(f"/api/v1/vehicles/{before['id']}", headers=headers).status_code == 204
    answers = town.at_once([(ann, "/vehicles", car)] * TAPS)
    assert set(statuses(answers)) <= {200, 201}, answers
    assert len({answer["id"] for _, answer in answers}) == 1
