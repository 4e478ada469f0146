"""Expiry, reminders, holds: each lot ends once, each hold ends one way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app import funding, ledger, orders
from app.db import connection, transaction
from app.errors import Refusal
from app.units import CREDITS
from tests import world
from tests.world import AT, World


@pytest.fixture
def city(db_session: Any) -> World:
    with transaction():
        made = world.build()
        world.rich(made, made.people[0], 300)
        return made


def one(query: str, **values: Any) -> Any:
    return connection().execute(text(query), values).scalar_one()


def wallet_balance(person: int) -> int:
    return int(one("select balance from accounts where kind = 'wallet' and owner_key = :p", p=str(person)))


def test_what_is_left_at_the_end_returns_to_its_budget_once(city: World) -> None:
    end = one("select expires_at from lots")
    capacity = one("select sum(balance) from accounts where kind = 'budget'")
    with transaction():
        assert funding.expire_lots(at=end - timedelta(microseconds=1)) == 0
    with transaction():
        assert funding.expire_lots(at=end) == 1
    with transaction():
        assert funding.expire_lots(at=end) == 0
    assert wallet_balance(city.people[0]) == 0
    assert one("select sum(balance) from accounts where kind = 'budget'") == capacity + 300
    assert one("select remaining from lots") == 0


def test_credits_past_their_end_cannot_be_spent_even_before_the_job_ran(city: World) -> None:
    end = one("select expires_at from lots")
    with pytest.raises(Refusal) as refused, transaction():
        orders.place(person_id=city.people[0], client_ref="late", wish=orders.Wish(city.item_id, 1, 100), at=end)
    assert refused.value.code == "insufficient"


def test_two_reminders_before_the_end_each_once(city: World) -> None:
    end = one("select expires_at from lots")
    for days in (40, 30, 29, 7, 6, 1):
        with transaction():
            funding.remind(at=end - timedelta(days=days))
    assert one("select count(*) from notices where kind = 'credits.expiring'") == 2


def test_a_hold_is_released_to_its_lots_or_spent_never_both(city: World) -> None:
    person = city.people[0]
    with transaction():
        wallet = funding.lock_wallet(person_id=person, program_id=city.program_id, at=AT)
        held = funding.hold(wallet=wallet, credits=120, source_ref="a", at=AT)
        spent_account = ledger.account(program_id=city.program_id, asset=CREDITS, kind="spent")
    assert wallet_balance(person) == 180
    for _ in range(2):
        with transaction():
            funding.release(wallet=wallet, transfer_id=held.transfer_id, at=AT)
    assert wallet_balance(person) == 300
    assert one("select remaining from lots") == 300
    with pytest.raises(Refusal) as refused, transaction():
        funding.settle(wallet=wallet, transfer_id=held.transfer_id, to_account_id=spent_account, at=AT)
    assert refused.value.code == "ledger_conflict"
    with transaction():
        wallet = funding.lock_wallet(person_id=person, program_id=city.program_id, at=AT)
        second = funding.hold(wallet=wallet, credits=50, source_ref="b", at=AT)
        funding.settle(wallet=wallet, transfer_id=second.transfer_id, to_account_id=spent_account, at=AT)
    with pytest.raises(Refusal), transaction():
        funding.release(wallet=wallet, transfer_id=second.transfer_id, at=AT)
    assert (wallet_balance(person), one("select remaining from lots")) == (250, 250)
    with pytest.raises(Refusal) as refused, transaction():
        wallet = funding.lock_wallet(person_id=person, program_id=city.program_id, at=AT)
        funding.hold(wallet=wallet, credits=251, source_ref="c", at=AT)
    assert refused.value.details["missing"] == "1"


def test_a_program_has_one_default_budget_the_newest(city: World) -> None:
    before = one("select id from budgets where is_default")
    sponsor = one("select sponsor_id from budgets where id = :b", b=before)
    with transaction():
        newest = funding.open_budget(
            program_id=city.program_id, sponsor_id=sponsor, code="second", name="第二笔", price_fen=2000,
            is_default=True, at=AT,
        )  # fmt: skip
    assert one("select id from budgets where is_default") == newest.id
    with transaction():
        funding.open_budget(
            program_id=city.program_id, sponsor_id=sponsor, code="third", name="专用", price_fen=2000,
            is_default=False, at=AT,
        )  # fmt: skip
    assert one("select id from budgets where is_default") == newest.id
