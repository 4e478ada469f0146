"""Many at once: one message, one person, one holder of a number."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from app import clock, notices, people, phones
from app.db import db, retrying, run, transaction
from app.errors import Refusal
from tests.courier.conftest import Town, noon

MANY = 8
pytestmark = pytest.mark.race


def together(town: Town, act: Callable[[int], Any]) -> list[Any]:
    """What each of many threads got, or the refusal's code."""
    start, found = threading.Barrier(MANY), [None] * MANY

    def one(number: int) -> None:
        with town.app.app_context():
            start.wait(10)
            try:
                found[number] = act(number)
            except Refusal as refusal:
                found[number] = refusal.code  # type: ignore[call-overload]
            finally:
                db.session.remove()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found


def test_many_workers_send_one_message(town: Town) -> None:
    from jobs.wechat import tell

    alice = town.phone("alice")
    for _ in range(3):
        town.box.clock.advance(1)
        town.wechat("popups", user="alice", templates=["T-record"])
    town.work()
    with town.inside(), transaction():
        notices.tell(key="n", person_id=alice.person_id, kind="record.rejected", zh="一次", en="once", at=noon())
        notice = int(run("select max(id) as id from notices")[0].id)
    town.box.mini.switches.send_seconds = 0.1

    def send(number: int) -> None:
        with clock.frozen(noon()):
            tell(notice)

    together(town, send)
    assert len([one for one in town.wechat_inbox() if one["kind"] == "subscribe"]) == 1
    assert [row.state for row in town.sql("select state from message_deliveries")] == ["sent"]
    assert town.sql("select remaining from message_quotas")[0].remaining == 2


def test_one_account_in_many_mini_programs_at_once_is_one_person(town: Town) -> None:
    def login(number: int) -> int:
        def command() -> int:
            with transaction():
                known = {"unionid": "u-1", "session_days": 1, "at": clock.now()}
                return people.sign_in(appid=f"wx{number}", openid=f"o{number}", **known).person_id

        return retrying(command)

    assert len(set(together(town, login))) == 1


def test_a_number_is_bound_by_one_of_many(town: Town) -> None:
    with town.inside(), transaction():
        made = [
            people.sign_in(appid="wx", openid=f"o{number}", at=clock.now(), session_days=1).person_id
            for number in range(MANY)
        ]

    def bind(number: int) -> str:
        try:
            with transaction():
                phones.bind(person_id=made[number], country="86", number="13800138000", at=clock.now())
        except DBAPIError:
            return "broken"
        return "bound"

    assert sorted(together(town, bind)) == ["bound"] + ["phone_taken"] * (MANY - 1)
